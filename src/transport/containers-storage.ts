/**
 * `containers-storage:[[STORE]]NAME`: Podman's store, through skopeo or podman (containers-transports(5)). Its layout and
 * its locks are those programs' own business; images change hands as a temporary directory of the `dir:` kind.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { findProgram, runProcess } from "../base/process.ts";
import { compressionOf, layerMediaType } from "../oci/media-types.ts";
import { isFullId, normaliseDockerName, parseReference } from "../oci/reference.ts";
import { parseImageConfig, parseManifestOrIndex } from "../oci/schema.ts";
import type { Descriptor } from "../oci/types.ts";
import { openDirSource, openDirTarget } from "./dir.ts";
import { REF_NAME } from "./layout-index.ts";
import { formatOf, isContainerImage } from "./plan-layers.ts";
import type { Source, Target } from "./types.ts";
import { fetchDocument } from "./verified-stream.ts";

/** What stands behind `containers-storage:`. */
interface StoredName {
  /** As it was written, the store included. */
  text: string;
  /** `[driver@root+run:options]` with its brackets, or empty: the store that containers-storage.conf(5) says. */
  store: string;
  image: string;
}

/**
 * Reads an image. Podman's store keeps layers unpacked: one that came compressed comes out as the plain tar, and then
 * the manifest has another digest than the one that was stored; the image's id stays. Throws `not-found`, `unsupported`
 * when neither program is installed.
 */
export async function openContainersStorageSource(text: string, signal?: AbortSignal): Promise<Source> {
  const name = `containers-storage:${text}`;
  const stored = parseStoredName(text, name);
  const directory = temporaryDirectory();
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    for (const argv of readCommands(stored, directory)) await runTool(argv, `Cannot read ${name}`, signal);
    const inner = openDirSource(directory);
    const { root, bytes } = await mendedManifest(inner, signal);
    const carried = nameOrNone(stored.image);
    return {
      name,
      resolve: async () =>
        carried === undefined ? root : { ...root, annotations: { ...root.annotations, [REF_NAME]: carried } },
      fetch: async (descriptor) =>
        descriptor.digest === root.digest ? oneChunk(bytes) : await inner.fetch(descriptor),
      [Symbol.asyncDispose]: async () => remove(),
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Writes an image under a name, which it gets when Podman's tool has taken all of it; digests stay. Throws alike. */
export function openContainersStorageTarget(text: string, signal?: AbortSignal): Target {
  const name = `containers-storage:${text}`;
  const doing = `Cannot write ${name}`;
  const stored = parseStoredName(text, name);
  if (stored.image.startsWith("@") || isFullId(stored.image))
    throw new CooperError("usage", `${doing}: it is an id, and an image is written under a name`);
  const image = normaliseDockerName(stored.image);
  if (parseReference(image).digest !== undefined)
    throw new CooperError("usage", `${doing}: an image is written under a tag, not under a digest`);
  const directory = temporaryDirectory();
  const write = writeCommands({ ...stored, image }, directory);
  const inner = openDirTarget(directory);
  return {
    name,
    demands: { single: true, allLayers: true },
    exists: (descriptor, role) => inner.exists(descriptor, role),
    push: (content, expected, role) => inner.push(content, expected, role),
    pushManifest: (descriptor, bytes) => inner.pushManifest(descriptor, bytes),
    async tag(root) {
      await inner.tag(root);
      await write((argv) => runTool(argv, doing, signal));
    },
    async [Symbol.asyncDispose]() {
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function parseStoredName(text: string, name: string): StoredName {
  const [, store = "", image = ""] = /^(\[[^\]]*\])?(.*)$/s.exec(text) ?? [];
  if (image === "" || image.startsWith("["))
    throw new CooperError("usage", `"${name}" does not say which image of the store is meant`, {
      hint: "write containers-storage:NAME or containers-storage:[DRIVER@ROOT+RUNROOT]NAME",
    });
  return { text, store, image };
}

function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), ".cooper-containers-storage-"));
}

function nameOrNone(image: string): string | undefined {
  try {
    const name = normaliseDockerName(image);
    return parseReference(name).digest === undefined ? name : undefined;
  } catch {
    return undefined; // An id.
  }
}

/** The policy was asked already, by Cooper; what is handed over here is of no other origin. */
const SKOPEO_COPY = ["copy", "--insecure-policy", "--quiet"];

function readCommands({ text, store, image }: StoredName, directory: string): string[][] {
  const skopeo = findProgram("skopeo");
  if (skopeo !== undefined)
    return [[skopeo, ...SKOPEO_COPY, `containers-storage:${text}`, `dir:${directory}`]];
  const podman = requirePodman(`Cannot read containers-storage:${text}`);
  const wanted = image.startsWith("@") ? image.slice(1) : image;
  return [[podman, ...podmanStore(store), "push", "--quiet", wanted, `dir:${directory}`]];
}

type Run = (argv: string[]) => Promise<string>;

function writeCommands({ text, store, image }: StoredName, directory: string): (run: Run) => Promise<void> {
  const skopeo = findProgram("skopeo");
  if (skopeo !== undefined) {
    return async (run) => {
      await run([skopeo, ...SKOPEO_COPY, `dir:${directory}`, `containers-storage:${store}${image}`]);
    };
  }
  const podman = [requirePodman(`Cannot write containers-storage:${text}`), ...podmanStore(store)];
  return async (run) => {
    const id = await run([...podman, "pull", "--quiet", `dir:${directory}`]);
    await run([...podman, "tag", id, image]);
  };
}

function requirePodman(doing: string): string {
  const podman = findProgram("podman");
  if (podman !== undefined) return podman;
  throw new CooperError("unsupported", `${doing}: neither skopeo nor podman is installed`, {
    hint: "Podman's store is read and written by its own tools: install one of them",
  });
}

/** `[driver@root+run:options]` as Podman's own flags. */
function podmanStore(store: string): string[] {
  const parts = /^\[(?:([^@\]]*)@)?([^+:\]]*)(?:\+([^:\]]*))?(?::([^\]]*))?\]$/.exec(store);
  if (parts === null) return [];
  const [, driver, root, run, options] = parts;
  const flags = { "storage-driver": driver, root, runroot: run, "storage-opt": options };
  return Object.entries(flags).flatMap(([flag, value]) => (value ? [`--${flag}=${value}`] : []));
}

/** Runs a program of Podman's family to its end; gives what it printed. */
async function runTool(argv: string[], doing: string, signal: AbortSignal | undefined): Promise<string> {
  const { exitCode, stdout, stderr } = await runProcess(argv, {
    env: toolEnvironment(),
    ...(signal === undefined ? {} : { signal }),
  });
  if (exitCode === 0) return Buffer.from(stdout).toString().trim();
  const [why, code] = explain(Buffer.from(stderr).toString());
  throw new CooperError(code, `${doing}: ${argv[0]!.replace(/.*\//, "")} says: ${why}`);
}

/** The last thing that the program said, without the frame of its log. */
function explain(stderr: string): [string, "not-found" | "system"] {
  const last = stderr.trim().split("\n").at(-1) ?? "";
  const said = /\bmsg=("(?:[^"\\]|\\.)*")/.exec(last)?.[1];
  const why = said === undefined ? last.replace(/^Error: /, "") : unquote(said);
  const isMissing = /does not resolve to an image ID|image not known|no such image/i.test(why);
  return [why, isMissing ? "not-found" : "system"];
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}

/**
 * In a user namespace that Cooper made, Podman's tools would take themselves for root. These are the marks by which they
 * know a namespace of an ordinary user's; the ids in it are the same as in their own.
 */
function toolEnvironment(): Record<string, string | undefined> {
  const { COOPER_ROOTLESS_UID: uid, COOPER_ROOTLESS_GID: gid } = process.env;
  if (uid === undefined || process.geteuid?.() !== 0) return process.env;
  return {
    ...process.env,
    _CONTAINERS_USERNS_CONFIGURED: "done",
    _CONTAINERS_ROOTLESS_UID: uid,
    _CONTAINERS_ROOTLESS_GID: gid,
  };
}

/** The manifest, with layers that are plain tars called so: some versions of the tools leave "gzip" in Docker's types. */
async function mendedManifest(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<{ root: Descriptor; bytes: Uint8Array }> {
  const root = await source.resolve();
  const bytes = await fetchDocument(source, root, signal);
  const parsed = parseManifestOrIndex(bytes, `Manifest of ${source.name}`, root.mediaType);
  if (parsed.kind === "index" || !isContainerImage(parsed.manifest)) return { root, bytes };
  const { manifest, mediaType } = parsed;
  const config = parseImageConfig(
    await fetchDocument(source, manifest.config, signal),
    `Config of ${source.name}`,
  );
  const layers = manifest.layers.map((layer, i) =>
    layer.digest === config.rootfs.diff_ids[i] && compressionOf(layer.mediaType) !== "none"
      ? { ...layer, mediaType: layerMediaType(formatOf(mediaType), "none") }
      : layer,
  );
  if (layers.every((layer, i) => layer === manifest.layers[i])) return { root, bytes };
  const mended = Buffer.from(JSON.stringify({ ...manifest, layers }));
  return { root: { ...root, digest: digestOf(mended), size: mended.length }, bytes: mended };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
