/** Opening a store and saying what it is. */
import { readFileSync } from "node:fs";
import { cpus, homedir, release, totalmem } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { Store, StoreInfo, StoreOptions } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { loadContainersConf } from "../sandbox/containers-conf.ts";
import { listRuntimes } from "../sandbox/select-sandbox.ts";
import { TIER_SUMMARIES } from "../sandbox/tier.ts";
import { defaultNetwork } from "../sandbox/network.ts";
import { expectedTier, namespaceState } from "../sandbox/user-namespace.ts";
import { agreeOnOwners } from "../store/owner-notes.ts";
import { counts } from "../store/records.ts";
import { type DriverName, openStoreFiles, type StoreFiles } from "../store/store.ts";
import packageJson from "../../package.json" with { type: "json" };

/** A store with its files open; what the functions of the API take for a Store. */
export interface OpenStore extends Store {
  readonly files: StoreFiles;
}

/** Version of this Cooper. */
export const VERSION: string = packageJson.version;

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
  const driver = driverFor(options);
  const files = openStoreFiles(root);
  // Unprivileged processes only look at records.
  if (namespaceState().kind !== "unprivileged") agreeOnOwners(files);
  const store: OpenStore = {
    root,
    runRoot,
    driver,
    files,
    [Symbol.asyncDispose]: async () => files[Symbol.dispose](),
  };
  return store;
}

/** The driver that was asked for, by an option or the environment. Error: `usage` for a name that means none. */
export function driverFor(options: Pick<StoreOptions, "driver">): DriverName {
  return options.driver ?? driverOf(process.env.COOPER_STORAGE_DRIVER ?? process.env.STORAGE_DRIVER);
}

/** The snapshotter behind a driver's name, Buildah's `vfs` included. */
function driverOf(name: string | undefined): DriverName {
  if (name === undefined || name === "" || name === "overlay") return "overlay";
  if (name === "copy" || name === "vfs") return "copy";
  throw new CooperError("usage", `There is no storage driver "${name}"`, { hint: "overlay and copy are" });
}

/** The open files behind a Store. */
export function filesOf(store: Store): StoreFiles {
  return (store as OpenStore).files;
}

/** Facts about the store and the host. */
export async function storeInfo(store: Store): Promise<StoreInfo> {
  const state = namespaceState();
  const runtimes = listRuntimes().map(({ isolation, program }) => ({ name: isolation, program }));
  return {
    root: store.root,
    runRoot: store.runRoot,
    driver: store.driver,
    rootless: state.kind !== "root",
    ...tierFacts(),
    network: loadContainersConf().network ?? defaultNetwork(),
    isolation: runtimes[0]?.name,
    runtimes,
    uidMap: readMap("/proc/self/uid_map"),
    gidMap: readMap("/proc/self/gid_map"),
    ...counts(filesOf(store).db),
    kernel: release(),
    cores: cpus().length,
    memoryBytes: totalmem(),
    version: VERSION,
  };
}

function tierFacts(): Pick<StoreInfo, "tier" | "tierSummary"> {
  const { tier, why } = expectedTier();
  return { tier, tierSummary: `${TIER_SUMMARIES[tier]}${why === undefined ? "" : ` (${why})`}` };
}

function readMap(file: string): [number, number, number][] {
  return readFileSync(file, "latin1")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number]);
}
