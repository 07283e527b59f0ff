/** `build`: finds the Dockerfile and decides the defaults; the build floor does the rest. */
import { cpus } from "node:os";
import { resolve } from "node:path";
import type {
  BuildOptions,
  BuildReport,
  BuildResult,
  CachePlaceOptions,
  CheckWarning,
  Store,
} from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { ignoreEvents } from "../base/events.ts";
import { buildImage, checkImage } from "../build/build-image.ts";
import type { BuildRequest } from "../build/build-request.ts";
import { exportImage } from "../build/export-image.ts";
import { openContextSource } from "../build/open-context.ts";
import { sandboxSettings } from "../container/run-settings.ts";
import { findIgnoreFile, readDockerfiles } from "../build/read-dockerfile.ts";
import { formatPlatform, parsePlatform } from "../oci/platform.ts";
import { normaliseName, parseReference } from "../oci/reference.ts";
import { storageLimit } from "../sandbox/containers-conf.ts";
import { selectSandbox } from "../sandbox/select-sandbox.ts";
import { mountNamespaceFor } from "./container-access.ts";
import type { CacheLocation } from "../transport/cache-place.ts";
import { createManifest } from "./manifests.ts";
import { selfCommand } from "./namespace.ts";
import { registrySettings } from "./registry-options.ts";
import { filesOf } from "./store.ts";

/** Builds a Dockerfile. Throws the first failing step's error, located; nothing is named then. */
export async function build(store: Store, options: BuildOptions): Promise<BuildResult> {
  const request = await buildRequest(store, options);
  const { onReport } = options;
  const limit = storageLimit();
  const spared: string[] = [];
  try {
    const result = await (onReport === undefined
      ? execute(store, options, request)
      : reported(store, options, request, onReport));
    spared.push(result.imageId);
    return result;
  } finally {
    if (limit !== undefined && !request.signal.aborted) {
      const { keepWithinLimit } = await import("./storage-limit.ts");
      keepWithinLimit(store, limit, { spared, onEvent: request.onEvent });
    }
  }
}

/** Builds and reports, whatever comes of it. */
async function reported(
  store: Store,
  options: BuildOptions,
  request: BuildRequest,
  onReport: (report: BuildReport) => void,
): Promise<BuildResult> {
  const { BuildRecording } = await import("./build-recording.ts");
  const recording = new BuildRecording();
  const { names, secretValues } = request;
  const observed: BuildRequest = {
    ...request,
    onEvent: (event) => {
      recording.onEvent(event);
      request.onEvent(event);
    },
    onMiss: (step, miss) => recording.onMiss(step, miss),
  };
  let result: BuildResult;
  try {
    result = await execute(store, options, observed);
  } catch (error) {
    onReport(recording.report(names, [], error, secretValues));
    throw error;
  }
  const { reportImage } = await import("./explore.ts");
  const images = (result.images ?? [result]).map(({ imageId }) =>
    reportImage(filesOf(store), imageId, request.signal),
  );
  onReport(recording.report(names, images, undefined, secretValues));
  return result;
}

async function execute(store: Store, options: BuildOptions, request: BuildRequest): Promise<BuildResult> {
  // All mounts of a build live in a namespace of its own: however it ends, the host keeps none.
  mountNamespaceFor(store.driver);
  const sandbox = () =>
    selectSandbox({
      ...sandboxSettings(options.run ?? {}),
      runtimeDir: store.runRoot,
      selfCommand: selfCommand(),
      onWarning: (message) => request.onEvent({ type: "warning", message }),
    });
  const platforms = await platformsOf(store, options, request);
  if (platforms.length > 1) {
    if ((options.sbom?.output ?? options.sbom?.purlOutput) !== undefined)
      throw new CooperError("usage", "The SBOMs of several platforms do not go into one file", {
        hint: "put them into the images: --sbom-image-output",
      });
    const { buildList } = await import("./build-list.ts");
    return await buildList(store, options, request, platforms, sandbox);
  }
  if (platforms[0] !== undefined) request.platform = platforms[0];
  const { id, digest } = await buildImage(filesOf(store), request, sandbox);
  for (const { type, destination, directory = false, name } of options.outputs ?? [])
    await exportImage(filesOf(store), request, id, { type, destination, directory, name });
  if (options.manifest !== undefined)
    await createManifest(store, options.manifest, { amend: true, images: [id] });
  return { imageId: id, names: request.names, digest };
}

/** What `platforms` asks for, each once; none leaves it to `platform`. */
async function platformsOf(store: Store, options: BuildOptions, request: BuildRequest): Promise<string[]> {
  const { platforms = [], platform } = options;
  if (platforms.length > 0 && platform !== undefined)
    throw new CooperError("usage", "A build has either a platform or platforms");
  if (platforms !== "all") return [...new Set(platforms.map((text) => formatPlatform(parsePlatform(text))))];
  const { allPlatforms } = await import("../build/all-platforms.ts");
  return await allPlatforms(filesOf(store), request);
}

/** Judges a Dockerfile without running it, for each platform. Throws what building it would throw before its first step. */
export async function checkBuild(store: Store, options: BuildOptions): Promise<CheckWarning[]> {
  const request = await buildRequest(store, options);
  const platforms = await platformsOf(store, options, request);
  const [platform = request.platform] = platforms;
  if (platforms.length < 2) return checkImage(filesOf(store), { ...request, platform });
  const { checkPlatforms } = await import("../build/build-platforms.ts");
  return await checkPlatforms(filesOf(store), request, platforms);
}

async function buildRequest(store: Store, options: BuildOptions): Promise<BuildRequest> {
  const onEvent = options.onEvent ?? ignoreEvents;
  const signal = options.signal ?? new AbortController().signal;
  const places = await openPlaces(store, options, signal);
  const buildArgs = { ...options.buildArgs };
  const timestamp = imageTime(options, buildArgs);
  return {
    ...places,
    names: (options.tags ?? []).map(normaliseName),
    target: options.target,
    from: options.from,
    buildArgs,
    buildContexts: options.buildContexts ?? {},
    layers: options.layers ?? false,
    skipUnusedStages: options.skipUnusedStages ?? true,
    compatVolumes: options.compatVolumes ?? false,
    stdin: options.stdin ?? false,
    squash: options.squash ?? false,
    noCache: (options.noCache ?? false) || options.cacheTtl === 0,
    noCacheFilter: options.noCacheFilter ?? [],
    cacheFrom: (options.cacheFrom ?? []).map((source) => ({
      location: cacheLocation(source),
      mounts: source.mounts ?? false,
    })),
    cacheTo: (options.cacheTo ?? []).map((target) => ({
      location: cacheLocation(target),
      mounts: target.mounts ?? false,
      mode: target.mode ?? "max",
      compression: target.compression ?? "zstd",
      ignoreErrors: target.ignoreErrors ?? false,
    })),
    cacheNotBefore: options.cacheTtl === undefined ? 0 : Date.now() - options.cacheTtl * 1000,
    format: options.format ?? "oci",
    platform: options.platform,
    pull: options.pull ?? "missing",
    registry: registrySettings(options),
    labels: options.labels ?? [],
    annotations: options.annotations ?? [],
    unsetEnv: options.unsetEnv ?? [],
    unsetLabels: options.unsetLabels ?? [],
    unsetAnnotations: options.unsetAnnotations ?? [],
    env: options.env ?? [],
    omitHistory: options.omitHistory ?? false,
    createdAnnotation: options.createdAnnotation ?? false,
    inheritAnnotations: options.inheritAnnotations ?? false,
    inheritLabels: options.inheritLabels ?? true,
    osFeatures: options.osFeatures ?? [],
    osVersion: options.osVersion,
    secrets: options.secrets ?? [],
    allowSecretLeaks: allowedLeaks(options),
    ssh: options.ssh ?? [],
    allow: options.allow ?? [],
    timestamp,
    debugShell: options.debugShell ?? false,
    // Of several commands at once none knows what it reads.
    jobs: options.jobs ?? (options.stdin ? 1 : cpus().length),
    identityLabel: options.identityLabel,
    sbom: options.sbom === undefined ? undefined : { pull: options.pull ?? "missing", ...options.sbom },
    run: options.run ?? {},
    driver: store.driver,
    runRoot: store.runRoot,
    onEvent,
    onMiss: undefined,
    secretValues: new Map(),
    signal,
  };
}

/** Throws `usage` for what names no secret of the build. */
function allowedLeaks({ allowSecretLeaks = [], secrets = [] }: BuildOptions): string[] {
  const unknown = allowSecretLeaks.find((id) => !secrets.some((secret) => secret.id === id));
  if (unknown === undefined) return allowSecretLeaks;
  throw new CooperError(
    "usage",
    `Cannot allow the secret "${unknown}" to leak: the build has none of that id`,
  );
}

/** A repository by its full name; a tag is short enough for keys behind it. Throws `usage`. */
function cacheLocation(place: CachePlaceOptions): CacheLocation {
  if (place.type === "local") return { type: "local", path: resolve(place.path) };
  const { ref } = place;
  const reference = parseReference(ref);
  const bad = (why: string, hint: string) =>
    new CooperError("usage", `Cannot use ${ref} as a cache: ${why}`, { hint });
  if (reference.registry === undefined)
    throw bad(
      "it names no registry",
      "write it as registry/repository, docker.io/user/repository for Docker Hub",
    );
  if (reference.digest !== undefined) throw bad("it has a digest", "name a repository");
  if ((reference.tag?.length ?? 0) > LONGEST_PREFIX)
    throw bad(`its tag has more than ${LONGEST_PREFIX} characters`, "give it a shorter one");
  return { type: "registry", reference: ref };
}

/** A tag has 128 characters, a key 64 and a dash. */
const LONGEST_PREFIX = 63;

async function openPlaces(
  store: Store,
  options: BuildOptions,
  signal: AbortSignal,
): Promise<Pick<BuildRequest, "project" | "context" | "dockerfiles" | "ignoreFile">> {
  const asked = [options.file ?? []].flat();
  requireOneReader(options, asked);
  const keepGitDir = /^(?:1|t|true)$/i.test(options.buildArgs?.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? "");
  const cppFlags = options.cppFlags ?? [];
  const fetching = { session: filesOf(store).session, signal, keepGitDir, cppFlags };
  const opened =
    options.context === undefined
      ? { directory: undefined, dockerfile: undefined, local: true }
      : await openContextSource(fetching, options.context);
  const { directory, dockerfile } = opened;
  const dockerfiles =
    dockerfile === undefined
      ? await readDockerfiles(fetching, asked, opened)
      : [{ text: dockerfile, file: options.context === "-" ? "-" : options.context! }];
  const ignoreFile = findIgnoreFile(options.ignoreFile, dockerfiles[0]!.file, directory);
  // What was fetched is in a directory of this session.
  const files = opened.local ? dockerfiles.map(({ file }) => file) : asked;
  const project = JSON.stringify([opened.local ? directory : options.context, files]);
  return { project, context: directory, dockerfiles, ignoreFile };
}

/** Standard input can be read once. Throws `usage`. */
function requireOneReader({ context, secrets = [] }: BuildOptions, files: string[]): void {
  const readers = [
    ...(context === "-" ? ["the context"] : []),
    ...files.filter((file) => file === "-").map(() => "the Dockerfile"),
    ...secrets
      .filter(({ kind, source }) => kind === "file" && source === "-")
      .map(({ id }) => `the secret "${id}"`),
  ];
  if (readers.length > 1)
    throw new CooperError("usage", `Standard input cannot be both ${readers[0]} and ${readers[1]}`);
}

/** --timestamp sets every time, as in Buildah; a source date only those after it (reproducible-builds.org). */
function imageTime(options: BuildOptions, buildArgs: Record<string, string>): BuildRequest["timestamp"] {
  if (options.timestamp !== undefined) return { seconds: options.timestamp, files: "set" };
  const seconds = options.sourceDateEpoch ?? sourceDate(buildArgs);
  if (seconds === undefined) return undefined;
  buildArgs.SOURCE_DATE_EPOCH ??= String(seconds);
  return { seconds, files: options.rewriteTimestamp === false ? "keep" : "clamp" };
}

function sourceDate(buildArgs: Record<string, string>): number | undefined {
  const text = buildArgs.SOURCE_DATE_EPOCH ?? process.env.SOURCE_DATE_EPOCH;
  if (text === undefined || text === "") return undefined;
  if (/^\d{1,11}$/.test(text)) return Number(text);
  throw new CooperError("usage", `SOURCE_DATE_EPOCH takes seconds since 1970, not "${text}"`);
}
