/** Opening a store. */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { Store, StoreOptions } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { hasOneId } from "../base/process-ids.ts";
import { existingParent, fileSystemOf } from "../base/file-system.ts";
import { canHaveOwnProc, expectedTier, namespaceState } from "../sandbox/user-namespace.ts";
import { agreeOnOwners } from "../store/owner-notes.ts";
import { type DriverName, openStoreFiles, type StoreFiles } from "../store/store.ts";

/** A store with its files open; what the functions of the API take for a Store. */
export interface OpenStore extends Store {
  readonly files: StoreFiles;
}

/** Where a store lies when nothing says otherwise, and what does say otherwise. */
export function storePaths(options: { root?: string; runRoot?: string }): { root: string; runRoot: string } {
  const { env } = process;
  const system = namespaceState().kind === "root";
  const data = env.XDG_DATA_HOME || join(env.HOME || homedir(), ".local/share");
  const root = options.root ?? env.COOPER_ROOT ?? (system ? "/var/lib/cooper" : join(data, "cooper"));
  const runRoot = options.runRoot ?? env.COOPER_RUNROOT ?? (system ? "/run/cooper" : userRunRoot());
  return { root: absolute(root), runRoot: absolute(runRoot) };
}

function userRunRoot(): string {
  const { XDG_RUNTIME_DIR } = process.env;
  if (XDG_RUNTIME_DIR) return join(XDG_RUNTIME_DIR, "cooper");
  const state = namespaceState();
  return `/tmp/cooper-run-${state.kind === "root" ? 0 : state.uid}`;
}

function absolute(path: string): string {
  return isAbsolute(path) ? path : resolve(path);
}

/** Opens a store, making it where there is none. Nothing is read beyond what opening needs. */
export async function openStore(options: StoreOptions = {}): Promise<Store> {
  const { root, runRoot } = storePaths(options);
  const asked = askedDriver(options);
  const files = openStoreFiles(root);
  // Unprivileged processes only look at records.
  if (namespaceState().kind !== "unprivileged" || hasOneId()) agreeOnOwners(files);
  const store: OpenStore = {
    root,
    runRoot,
    // Looked up when a tree is to be made: most commands make none.
    get driver() {
      return asked ?? ownDriver(root);
    },
    files,
    [Symbol.asyncDispose]: async () => files[Symbol.dispose](),
  };
  return store;
}

/**
 * For a program that ends now: gives back what it held in the store, as disposing of the store does, and leaves the
 * database as a kill would, which harms nothing.
 */
export function leaveStore(store: Store): void {
  filesOf(store).endSession();
}

/**
 * The driver that was asked for, by an option or the environment, else the one for this host and the store at `root`.
 * Error: `usage` for a name that means none.
 */
export function driverFor(options: Pick<StoreOptions, "driver"> & { root: string }): DriverName {
  return askedDriver(options) ?? ownDriver(options.root);
}

function askedDriver({ driver }: Pick<StoreOptions, "driver">): DriverName | undefined {
  return driver ?? driverOf(process.env.COOPER_STORAGE_DRIVER || process.env.STORAGE_DRIVER);
}

/**
 * By what is known without trying: whether commands get mounts, and that no overlay's changes are kept on an overlay.
 */
function ownDriver(root: string): DriverName {
  const mounts = expectedTier().tier < 3 && canHaveOwnProc();
  return mounts && fileSystemOf(existingParent(root)) !== "overlay" ? "overlay" : "copy";
}

/** The snapshotter behind a driver's name, Buildah's `vfs` included. */
function driverOf(name: string | undefined): DriverName | undefined {
  if (name === undefined || name === "") return undefined;
  if (name === "overlay" || name === "overlay2") return "overlay";
  if (name === "copy" || name === "vfs") return "copy";
  throw new CooperError("usage", `There is no storage driver "${name}"`, { hint: "overlay and copy are" });
}

/** The open files behind a Store. */
export function filesOf(store: Store): StoreFiles {
  return (store as OpenStore).files;
}
