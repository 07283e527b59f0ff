/** `copy` and `add` of the command line: files of the host, of another container or image, or of a URL. */
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { parseChmod } from "../archive/copy-chmod.ts";
import { hashInTurns } from "../archive/hash-tree.ts";
import { digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { decodeName } from "../base/path-bytes.ts";
import { type IgnoreMatcher, ignoreMatcher, parseIgnoreFile } from "../dockerfile/ignore.ts";
import type { StoreFiles } from "../store/store.ts";
import { download } from "./download.ts";
import { mkdirInContainer } from "./mkdir.ts";
import {
  type FileSources,
  PLAIN_PLACEMENT,
  type Placement,
  placeFiles,
  placeMadeFile,
} from "./place-files.ts";
import type { WorkingContainer } from "./working-container.ts";

export interface CopyInRequest {
  sources: string[];
  /** Relative ones start at the config's working directory, which is also the default. */
  destination: string | undefined;
  add: boolean;
  chown?: string;
  chmod?: string;
  /** Sources are relative to this directory and may not leave it. */
  contextDir?: string;
  ignoreFile?: string;
  exclude?: string[];
  /** Root of another container's or image's files, mounted; sources are looked up in it. */
  sourceRoot?: string;
  preserveOwnership?: boolean;
  parents?: boolean;
  /** Seconds since 1970. */
  timestamp?: number;
  checksum?: string;
  signal?: AbortSignal;
}

const isUrl = (source: string) => /^https?:\/\//.test(source);

/** Copies into the container's mounted root. Returns a digest of all that was copied. */
export async function copyIntoContainer(
  store: StoreFiles,
  container: WorkingContainer,
  root: string,
  request: CopyInRequest,
): Promise<string> {
  if (request.sources.length === 0)
    throw new CooperError("usage", "There is nothing to copy: no source was given");
  const placement = placementOf(container, root, request);
  const urls = request.sources.filter(isUrl);
  if (urls.length > 0 && !request.add) {
    throw new CooperError("usage", `copy does not take URLs: ${urls[0]}`, { hint: "use add" });
  }
  const digests: string[] = [];
  const patterns = request.sources.filter((source) => !isUrl(source));
  if (request.checksum !== undefined && patterns.length > 0)
    throw new CooperError("usage", `--checksum is for what is downloaded, and ${patterns[0]} is not`);
  if (patterns.length > 0) {
    const files = fileSources(request, patterns);
    digests.push(
      await hashInTurns(hashRequest(files, placement), hashOptions(placement), { signal: request.signal }),
    );
    await placeFiles(files, placement);
  }
  for (const url of urls) digests.push(await addUrl(store, url, placement, request));
  return digests.length === 1 ? digests[0]! : digestOf(digests.join("\n"));
}

function placementOf(container: WorkingContainer, root: string, request: CopyInRequest): Placement {
  const base = container.image.config?.WorkingDir || "/";
  const given = request.destination ?? base;
  const several = request.sources.length > 1 && !given.endsWith("/");
  return {
    root,
    destination: `${isAbsolute(given) ? given : join(base, given)}${several ? "/" : ""}`,
    chown: request.chown,
    keepOwners: request.preserveOwnership === true || request.sourceRoot !== undefined,
    chmod: request.chmod,
    link: false,
    parents: request.parents ?? false,
    ...(request.timestamp === undefined ? {} : { mtimeNs: BigInt(request.timestamp) * 1_000_000_000n }),
    exclude: request.exclude ?? [],
    wildcards: true,
    unpack: request.add,
    directoryContents: true,
    signal: request.signal,
  };
}

/** Without a context directory sources are paths of the whole host. */
function fileSources(request: CopyInRequest, patterns: string[]): FileSources {
  const ignore = ignoreOf(request);
  if (request.sourceRoot !== undefined)
    return { root: request.sourceRoot, label: "the source", patterns, ignore };
  if (request.contextDir !== undefined) {
    return {
      root: resolve(request.contextDir),
      label: `the context directory ${request.contextDir}`,
      patterns,
      ignore,
    };
  }
  return { root: "/", label: "the host", patterns: patterns.map((pattern) => resolve(pattern)), ignore };
}

function ignoreOf(request: CopyInRequest): IgnoreMatcher | undefined {
  if (request.ignoreFile !== undefined) {
    return parseIgnoreFile(decodeName(readFileSync(request.ignoreFile)), request.ignoreFile);
  }
  if (request.contextDir === undefined) return undefined;
  for (const name of [".containerignore", ".dockerignore"]) {
    const path = join(request.contextDir, name);
    try {
      return parseIgnoreFile(decodeName(readFileSync(path)), path);
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
    }
  }
  return ignoreMatcher([], "no ignore file");
}

function hashRequest(files: FileSources, placement: Placement) {
  return {
    sourceRoot: files.root,
    label: files.label,
    sources: files.patterns,
    wildcards: placement.wildcards,
    parents: placement.parents,
    ignore: files.ignore,
    exclude: placement.exclude,
  };
}

function hashOptions(placement: Placement) {
  return {
    ...(placement.keepOwners ? {} : { owner: { uid: 0, gid: 0 }, capabilities: false }),
    ...(placement.chmod === undefined ? {} : { chmod: parseChmod(placement.chmod) }),
  };
}

/** One file of the host at a path of a root, as root's and with mode 0644 (buildah-commit(1), --add-file). */
export async function placeHostFile(
  source: string,
  to: { root: string; destination: string; signal: AbortSignal | undefined },
): Promise<void> {
  if (statSync(source, { throwIfNoEntry: false })?.isFile() !== true)
    throw new CooperError("not-found", `Cannot add ${source}: there is no such file`);
  const file = realpathSync(source);
  // First, since a mode that is given is that of directories on the way too.
  mkdirInContainer(to.root, dirname(to.destination), "0:0");
  await placeFiles(
    { root: dirname(file), label: "the host", patterns: [basename(file)], ignore: undefined },
    { ...PLAIN_PLACEMENT, ...to, chmod: "0644" },
  );
}

async function addUrl(
  store: StoreFiles,
  url: string,
  placement: Placement,
  request: CopyInRequest,
): Promise<string> {
  const got = await download(url, store.session.path("download"), request.checksum, request.signal);
  const name = got.suggestedName ?? (new URL(url).pathname.split("/").at(-1) || "download");
  await placeMadeFile(
    { name, content: { file: got.file }, mode: 0o600, mtimeNs: got.mtimeNs },
    { ...placement, unpack: false, keepOwners: false },
    store.session.path("made"),
  );
  return got.digest;
}
