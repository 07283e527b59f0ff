/**
 * The public API of Cooper: what programs in TypeScript use, and all that the command line stands on. What each function
 * does is said where it is defined, in api/.
 */
import type { FileChange, Store } from "./api-types.ts";

export type * from "./api-types.ts";
export type { BuildLog } from "./api/build-log.ts";
export type { Container } from "./api/container.ts";
export type { Check, CheckStatus, Diagnosis, Tier } from "./api/doctor.ts";
export type { Digest } from "./base/digest.ts";
export { CooperError, type ErrorCode, type ErrorDetail, type Location } from "./base/errors.ts";
export type {
  BuildEvent,
  EventSink,
  FileDifference,
  InputChange,
  StepLabel,
  StepMiss,
} from "./base/events.ts";
export type { ConfigEdits } from "./oci/config-edits.ts";

type Late<F> = F extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;

/**
 * A function whose module is loaded by its first call. To import the API does no work, and a program pays for what it
 * calls: with all of it, `cooper config` took a fifth longer.
 */
function late<M, K extends keyof M>(load: () => Promise<M>, name: K): Late<M[K]> {
  const call = async (...args: unknown[]) =>
    await ((await load())[name] as (...args: unknown[]) => unknown)(...args);
  return call as Late<M[K]>;
}

const storeModule = () => import("./api/store.ts");
export const openStore = late(storeModule, "openStore");
export const leaveStore = late(storeModule, "leaveStore");
export const storeInfo = late(() => import("./api/store-info.ts"), "storeInfo");

const namespaceModule = () => import("./api/namespace.ts");
export const enterUserNamespace = late(namespaceModule, "enterUserNamespace");
export const executeUnshared = late(namespaceModule, "executeUnshared");
export const runSandboxInit = late(() => import("./sandbox/sandbox-init.ts"), "runSandboxInit");

const containerModule = () => import("./api/container.ts");
export const from = late(containerModule, "from");
export const openContainer = late(containerModule, "openContainer");
export const listContainers = late(containerModule, "listContainers");

const buildModule = () => import("./api/build.ts");
export const build = late(buildModule, "build");
export const openBuildLog = late(() => import("./api/build-log.ts"), "openBuildLog");
export const checkStore = late(() => import("./api/check.ts"), "checkStore");
export const checkBuild = late(buildModule, "checkBuild");

const imagesModule = () => import("./api/images.ts");
export const inspectImage = late(imagesModule, "inspectImage");
export const listImages = late(imagesModule, "listImages");
export const removeImage = late(imagesModule, "removeImage");
export const resolveImage = late(imagesModule, "resolveImage");
export const tagImage = late(imagesModule, "tagImage");
export const untagImage = late(imagesModule, "untagImage");
export const importImage = late(() => import("./api/import.ts"), "importImage");
export const exploreImage = late(() => import("./api/explore.ts"), "exploreImage");
export const imageHistory = late(() => import("./api/history.ts"), "imageHistory");

const moveModule = () => import("./api/move.ts");
export const copy = late(moveModule, "copy");
export const pull = late(moveModule, "pull");
export const pullAll = late(moveModule, "pullAll");
export const push = late(moveModule, "push");
export const loadImages = late(moveModule, "loadImages");
export const saveImages = late(moveModule, "saveImages");
export const sync = late(() => import("./api/sync.ts"), "sync");

const registryModule = () => import("./api/registry-images.ts");
export const deleteImage = late(registryModule, "deleteImage");
export const listTags = late(registryModule, "listTags");

const sourcesModule = () => import("./api/source-images.ts");
export const addToSource = late(sourcesModule, "addToSource");
export const createSource = late(sourcesModule, "createSource");
export const pullSource = late(sourcesModule, "pullSource");
export const pushSource = late(sourcesModule, "pushSource");

const manifestsModule = () => import("./api/manifests.ts");
export const addArtifactToManifest = late(manifestsModule, "addArtifactToManifest");
export const addToManifest = late(manifestsModule, "addToManifest");
export const annotateManifest = late(manifestsModule, "annotateManifest");
export const createManifest = late(manifestsModule, "createManifest");
export const inspectManifest = late(manifestsModule, "inspectManifest");
export const manifestExists = late(manifestsModule, "manifestExists");
export const pushManifest = late(manifestsModule, "pushManifest");
export const removeFromManifest = late(manifestsModule, "removeFromManifest");
export const removeManifest = late(manifestsModule, "removeManifest");

const lookModule = () => import("./api/look.ts");
export const digestOfReference = late(lookModule, "digestOfReference");
export const inspectReference = late(lookModule, "inspectReference");

const loginModule = () => import("./api/login.ts");
export const login = late(loginModule, "login");
export const loginIsValid = late(loginModule, "loginIsValid");
export const loginName = late(loginModule, "loginName");
export const logout = late(loginModule, "logout");
export const logoutAll = late(loginModule, "logoutAll");

const diskModule = () => import("./api/disk.ts");
export const diskUsage = late(diskModule, "diskUsage");
export const pruneImages = late(diskModule, "pruneImages");
export const doctor = late(() => import("./api/doctor.ts"), "doctor");

/** See api/diff.ts. */
export async function* diff(store: Store, first: string, second?: string): AsyncGenerator<FileChange> {
  yield* (await import("./api/diff.ts")).diff(store, first, second);
}

/** See api/diff.ts. */
export async function* exportRoot(
  store: Store,
  name: string,
  options: { signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array> {
  yield* (await import("./api/diff.ts")).exportRoot(store, name, options);
}
