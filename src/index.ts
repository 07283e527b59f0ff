/** The public API of Cooper: what programs in TypeScript use, and all that the command line stands on. */
export type * from "./api-types.ts";
export { CooperError, type ErrorCode, type Location } from "./base/errors.ts";
export type { BuildEvent, EventSink, StepLabel } from "./base/events.ts";
export type { ConfigEdits } from "./oci/config-edits.ts";
export { build, checkBuild } from "./api/build.ts";
export { type Container, from, listContainers, openContainer } from "./api/container.ts";
export { diff, exportRoot } from "./api/diff.ts";
export { diskUsage, pruneImages } from "./api/disk.ts";
export { type Check, type Diagnosis, doctor } from "./api/doctor.ts";
export { imageHistory } from "./api/history.ts";
export {
  importImage,
  inspectImage,
  listImages,
  removeImage,
  resolveImage,
  tagImage,
  untagImage,
} from "./api/images.ts";
export { login, loginIsValid, loginName, logout, logoutAll } from "./api/login.ts";
export { digestOfReference, inspectReference } from "./api/look.ts";
export {
  addToManifest,
  annotateManifest,
  createManifest,
  inspectManifest,
  manifestExists,
  pushManifest,
  removeFromManifest,
  removeManifest,
} from "./api/manifests.ts";
export { copy, loadImages, pull, push, saveImages } from "./api/move.ts";
export { enterUserNamespace, executeUnshared, runSandboxInit } from "./api/namespace.ts";
export { openStore, storeInfo } from "./api/store.ts";
