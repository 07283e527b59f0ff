/** The public API of Cooper: what scripts in TypeScript use, and all that the command line stands on. */
import type { CopyOptions, FromOptions, CommitOptions, RunOptions, Store, StoreOptions, BuildOptions, BuildResult, ImageInfo, PullOptions, PushOptions, PushResult, ContainerInfo, ImageDetails, ImportOptions, StoreInfo, ContainerDetails } from "./api-types.ts";
import type { ConfigEdits } from "./oci/config-edits.ts";

export type * from "./api-types.ts";
export type { ConfigEdits } from "./oci/config-edits.ts";
export { CooperError, type ErrorCode, type Location } from "./base/errors.ts";
export type { BuildEvent, EventSink, StepLabel } from "./base/events.ts";

function pending(): never {
  throw new Error("being built");
}

/**
 * Makes this process root in a user namespace of its own when it is not root already, by executing itself again there
 * (this call then never returns); does nothing where the process is privileged. Call it first in a program that is run
 * by an ordinary user. With `container`, joins the namespace in which that container is mounted, if it is.
 */
export function enterUserNamespace(_options: { root?: string; runRoot?: string; container?: string } = {}): void {
  pending();
}

/** Opens (and makes) a store. Nothing is read beyond what opening needs. */
export async function openStore(_options: StoreOptions = {}): Promise<Store> {
  pending();
}

/** Makes a working container from an image or from `scratch`. */
export async function from(_store: Store, _image: string, _options: FromOptions = {}): Promise<Container> {
  pending();
}

/** A working container by name, id, or unique prefix of an id. */
export async function openContainer(_store: Store, _name: string): Promise<Container> {
  pending();
}

export function listContainers(_store: Store): ContainerInfo[] {
  pending();
}

/** A working container. `await using` removes it at the end of the block. */
export interface Container extends AsyncDisposable {
  readonly id: string;
  readonly name: string;
  /** Mounts the root file system and returns its path; the same path until umount(). */
  mount(): Promise<string>;
  /** False when it was not mounted. */
  umount(): Promise<boolean>;
  /** Runs a command in it. A non-zero status is a result, not an error. */
  run(argv: string[], options?: RunOptions): Promise<{ exitCode: number }>;
  /** Copies files, directories or URLs into it. Returns the digest of what was copied. */
  copy(sources: string[], destination: string | undefined, options?: CopyOptions): Promise<string>;
  /** Like copy(), and unpacks local archives and fetches URLs. */
  add(sources: string[], destination: string | undefined, options?: CopyOptions): Promise<string>;
  config(edits: ConfigEdits): Promise<void>;
  /** Makes an image of it. Without a name the image has an id only. */
  commit(name?: string, options?: CommitOptions): Promise<{ imageId: string }>;
  rename(name: string): Promise<void>;
  inspect(): Promise<ContainerDetails>;
  /** Unmounts and deletes it. */
  remove(): Promise<void>;
}

/** Builds a Dockerfile. */
export async function build(_store: Store, _options: BuildOptions): Promise<BuildResult> {
  pending();
}

/** Brings an image into the store: `oci:`, `oci-archive:`, `docker-archive:`, `dir:` references. */
export async function pull(_store: Store, _source: string, _options: PullOptions = {}): Promise<ImageInfo> {
  pending();
}

/** Sends an image of the store to a destination. */
export async function push(_store: Store, _image: string, _destination: string, _options: PushOptions = {}): Promise<PushResult> {
  pending();
}

/** Copies an image between two transports without a store. */
export async function copy(_source: string, _destination: string, _options: PushOptions = {}): Promise<PushResult> {
  pending();
}

/** Makes an image of one layer from a root file system: a directory, or a tar (compressed or not; `-` is stdin). */
export async function importImage(_store: Store, _source: string, _options: ImportOptions = {}): Promise<ImageInfo> {
  pending();
}

export function listImages(_store: Store): ImageInfo[] {
  pending();
}

/** An image by name, id or unique prefix. Throws `not-found`. */
export async function inspectImage(_store: Store, _image: string): Promise<ImageDetails> {
  pending();
}

export async function tagImage(_store: Store, _image: string, _names: string[]): Promise<void> {
  pending();
}

/** Removes a name, or an image with its last name. Returns what was done, in order. */
export async function removeImage(
  _store: Store,
  _image: string,
  _options: { force?: boolean } = {},
): Promise<{ untagged: string[]; deleted: string[] }> {
  pending();
}

/** Removes every image that nothing uses. */
export async function pruneImages(_store: Store): Promise<string[]> {
  pending();
}

export async function storeInfo(_store: Store): Promise<StoreInfo> {
  pending();
}
