/** Where COPY --from and RUN --mount=from take files: each origin becomes a directory that can be read. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestOf } from "../base/digest.ts";
import { CooperError, withHint, wrapError } from "../base/errors.ts";
import { decodeName } from "../base/path-bytes.ts";
import { type IgnoreMatcher, parseIgnoreFile } from "../dockerfile/ignore.ts";
import { nearName } from "../dockerfile/suggest.ts";
import { parseIndex } from "../oci/schema.ts";
import type { Origin } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { openContextSource } from "./open-context.ts";
import { materialise } from "./materialise.ts";
import type { PortableKey } from "./portable-key.ts";
import { imageStage, scratchStage } from "./stage-base.ts";
import { mountStage, type StageState } from "./stage-state.ts";

/** What stands behind an origin: a plain directory of the host, or the files of a stage or image. */
export type OpenOrigin = OpenDirectory | { kind: "stage"; stage: StageState };

export interface OpenDirectory {
  kind: "directory";
  path: string;
  /** Absolute path of the ignore file that applies to it. */
  ignoreFile: string | undefined;
}

/** Finds (waits for, pulls) an origin; each is opened once per build. */
export function openOrigin(build: Build, origin: Origin): Promise<OpenOrigin> {
  const key = JSON.stringify(origin);
  let open = build.origins.get(key);
  if (open === undefined) {
    open = openNew(build, origin);
    build.origins.set(key, open);
  }
  return open;
}

async function openNew(build: Build, origin: Origin): Promise<OpenOrigin> {
  switch (origin.kind) {
    case "scratch":
      return { kind: "stage", stage: scratchStage(build.request, undefined) };
    case "stage":
      return { kind: "stage", stage: await build.stage(origin.stage) };
    case "image":
      return {
        kind: "stage",
        stage: await imageStage(build.store, build.request, origin.reference, origin.platform).catch(
          (error) => {
            throw meantStage(build, origin.reference, error);
          },
        ),
      };
    case "context":
      return openContext(build, origin.name);
  }
}

/** A name that is no stage's is an image's: the error for one that cannot be had knows what it may be a misspelling of. */
function meantStage({ plan }: Build, name: string, error: unknown): unknown {
  const stages = plan.stages.flatMap((stage) => stage.name ?? []);
  const near = nearName(name, stages);
  if (near === undefined || !(error instanceof CooperError) || error.code === "cancelled") return error;
  return withHint(error, `Did you mean the stage ${near}?`);
}

async function openContext(build: Build, name: string | undefined): Promise<OpenOrigin> {
  const given = name === undefined ? undefined : build.request.buildContexts[name];
  if (name !== undefined && given === undefined)
    throw new CooperError("not-found", `There is no build context named "${name}"`);
  const image = given === undefined ? undefined : imageContext(given);
  if (image !== undefined)
    return { kind: "stage", stage: await imageStage(build.store, build.request, image, undefined) };
  // Directories are the same for all platforms.
  let open = build.contexts.get(name);
  if (open === undefined) {
    open = name === undefined || given === undefined ? mainContext(build) : namedContext(build, name, given);
    build.contexts.set(name, open);
  }
  return await open;
}

async function mainContext({ request, store }: Build): Promise<OpenDirectory> {
  const { context, ignoreFile } = request;
  if (context !== undefined) return { kind: "directory", path: context, ignoreFile };
  const empty = store.session.path("context");
  mkdirSync(empty);
  return { kind: "directory", path: empty, ignoreFile: undefined };
}

async function namedContext(build: Build, name: string, given: string): Promise<OpenDirectory> {
  const fetching = { session: build.store.session, signal: build.request.signal };
  const { directory } = await openContextSource(fetching, given).catch((error) => {
    throw wrapError(`Cannot open the build context "${name}"`, error);
  });
  if (directory === undefined) {
    throw new CooperError(
      "invalid",
      `The build context "${name}" is neither a directory nor an archive: ${given}`,
    );
  }
  const ignoreFile = join(directory, ".dockerignore");
  return { kind: "directory", path: directory, ignoreFile: existsSync(ignoreFile) ? ignoreFile : undefined };
}

/** Of the main context, if there is one, and of those of --build-context that are no images. */
export async function contextDirectories(build: Build): Promise<string[]> {
  const { context, buildContexts } = build.request;
  const named = build.plan.contexts.filter((name) => imageContext(buildContexts[name] ?? "") === undefined);
  const opened = await Promise.all(
    [...(context === undefined ? [] : [undefined]), ...named].map((name) => openContext(build, name)),
  );
  return opened.flatMap((open) => (open.kind === "directory" ? [open.path] : []));
}

/** The image that a context's place names, as a transport of its own where it is a layout. */
function imageContext(given: string): string | undefined {
  const image = /^(?:docker-image|container-image|docker):\/\/(.+)$/.exec(given);
  if (image !== null) return image[1];
  const layout = /^oci-layout:\/\/(.+)$/.exec(given);
  if (layout === null) return undefined;
  const place = layout[1]!;
  const at = place.indexOf("@");
  return at === -1
    ? `oci:${place}`
    : `oci:${place.slice(0, at).replace(/:[^:/]*$/, "")}:@${layoutIndex(place, at)}`;
}

/** Number of the image with a digest in a layout's index. */
function layoutIndex(place: string, at: number): number {
  const directory = place.slice(0, at).replace(/:[^:/]*$/, "");
  const digest = place.slice(at + 1);
  let found = -1;
  try {
    const index = parseIndex(readFileSync(join(directory, "index.json")), "index.json");
    found = index.manifests.findIndex((entry) => entry.digest === digest);
  } catch (error) {
    throw wrapError(`Cannot read the OCI layout ${directory}`, error);
  }
  if (found === -1) throw new CooperError("not-found", `The OCI layout ${directory} has no image ${digest}`);
  return found;
}

/** What hides files of a directory. */
export function ignoreOf({ ignoreFile }: OpenDirectory): IgnoreMatcher | undefined {
  if (ignoreFile === undefined) return undefined;
  return parseIgnoreFile(decodeName(readFileSync(ignoreFile)), ignoreFile);
}

/**
 * The origin's files as a directory of this mount namespace. Paths in it may be looked up by name: a stage is read from when
 * its commands have ended, with everything that they started, and nobody else can reach a build's mounts.
 */
export async function originRoot(build: Build, origin: Origin): Promise<string> {
  const open = await openOrigin(build, origin);
  if (open.kind === "directory") return open.path;
  await materialise(build, open.stage);
  return mountStage(build.store, build.request, open.stage);
}

/** What identifies all the files of an origin, in keys of this store and in those that all machines compute alike. */
export interface OriginKey {
  local: Digest;
  portable: PortableKey;
}

/** What identifies the content of an origin for the cache; undefined for a directory, whose files are hashed. */
export async function originKey(build: Build, origin: Origin): Promise<OriginKey | undefined> {
  const open = await openOrigin(build, origin);
  if (open.kind === "directory") return undefined;
  const { key, portable } = open.stage;
  return { local: digestOf(`origin ${key}`), portable: async () => digestOf(`origin ${await portable()}`) };
}
