/** Working containers for callers: a handle, whose larger deeds are loaded when they are done. */
import { basename } from "node:path";
import type {
  CommitOptions,
  ContainerDetails,
  ContainerInfo,
  CopyOptions,
  FromOptions,
  RunOptions,
  RunResult,
  Store,
} from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { annotatedBase, scratchBase } from "../container/container-base.ts";
import { endKeeper, isInReach, mountForUser, mountPointOf, unmountForUser } from "../container/mounting.ts";
import {
  containerOf,
  createContainer,
  findContainer,
  removeContainerFiles,
  saveContainer,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import { obtainImage } from "../image/obtain-image.ts";
import { applyConfigEdits, newImageConfig } from "../oci/config.ts";
import type { ConfigEdits } from "../oci/config-edits.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
import type { ImageConfig } from "../oci/types.ts";
import { candidateNamesOrNone, readConfig } from "../store/images.ts";
import { allContainers, freeName, renameContainer } from "../store/container-records.ts";
import { type ImageRecord, namesOf } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import { tidied, tidy, withLock } from "./container-access.ts";
import { registrySettings } from "./registry-options.ts";
import { ownerOf } from "../sandbox/owner.ts";
import { filesOf } from "./store.ts";

/** A working container. `await using` removes it at the end of the block. */
export interface Container extends AsyncDisposable {
  readonly id: string;
  readonly name: string;
  /** Mounts the root file system and returns its path; the same path until umount(). */
  mount(): Promise<string>;
  /** False when it was not mounted. */
  umount(): Promise<boolean>;
  /** Runs a command in it. A non-zero status is a result, not an error. */
  run(argv: string[], options?: RunOptions): Promise<RunResult>;
  /**
   * Runs a shell for people: the container's own, or the host's static busybox where it has none. Throws `unsupported`
   * where there is neither.
   */
  shell(options?: Omit<RunOptions, "cache">): Promise<{ exitCode: number }>;
  /** Copies files, directories or URLs into it. Returns the digest of what was copied. */
  copy(sources: string[], destination: string | undefined, options?: CopyOptions): Promise<string>;
  /** Like copy(), and unpacks local archives. */
  add(sources: string[], destination: string | undefined, options?: CopyOptions): Promise<string>;
  config(edits: ConfigEdits): Promise<void>;
  /** Has the history of its images tell of a step, before the commit's own entry. */
  addHistory(createdBy: string): Promise<void>;
  /** Makes an image of it. Without a name the image has an id only. */
  commit(name?: string, options?: CommitOptions): Promise<{ imageId: string }>;
  rename(name: string): Promise<void>;
  inspect(): Promise<ContainerDetails>;
  /** Unmounts and deletes it. */
  remove(): Promise<void>;
}

/** Makes a working container from an image or from `scratch`. */
export async function from(store: Store, image: string, options: FromOptions = {}): Promise<Container> {
  const files = filesOf(store);
  const { capAdd, capDrop, addHosts } = options.run ?? {};
  if (capAdd ?? capDrop ?? addHosts) (await import("../container/run-spec.ts")).checkSettings(options.run!);
  const owner = options.removeWith === undefined ? undefined : ownerOf(options.removeWith);
  const found = image === "scratch" ? undefined : await obtainBase(files, image, options);
  const parts = {
    driver: store.driver,
    ...(found === undefined ? { base: scratchBase, annotations: {} } : baseOf(files, found, image)),
    image: found === undefined ? scratchConfig(options) : readConfig(files, found),
    run: options.run ?? {},
    ...(owner === undefined ? {} : { owner }),
  };
  const container = createNamed(files, options.name, image, parts);
  if (owner !== undefined) {
    const { removeOrphans, removeWithOwner } = await import("./owned-containers.ts");
    removeWithOwner(store, container.id, owner);
    removeOrphans(store);
  }
  return handle(store, container.id, container.name!);
}

function obtainBase(files: StoreFiles, image: string, options: FromOptions): Promise<ImageRecord> {
  return obtainImage(files, image, options.pull ?? "missing", {
    platform: options.platform,
    registry: registrySettings(options),
    onEvent: options.onEvent,
    signal: options.signal,
  });
}

/** The base, under the one of its names that was asked for. */
function baseOf(files: StoreFiles, image: ImageRecord, asked: string): ReturnType<typeof annotatedBase> {
  const { base, annotations } = annotatedBase(files, image);
  const names = namesOf(files.db, image.id);
  const imageName = candidateNamesOrNone(asked).find((name) => names.includes(name)) ?? names[0];
  return { base: { ...base, imageName }, annotations };
}

/** With a working directory, as FROM scratch has it in a Dockerfile. */
function scratchConfig({ platform }: FromOptions): ImageConfig {
  const image = newImageConfig(platform === undefined ? hostPlatform() : parsePlatform(platform));
  return { ...image, config: { ...image.config, WorkingDir: "/" } };
}

/** `NAME-working-container`, with a number behind it when that is taken, as Buildah names them. */
function createNamed(
  files: StoreFiles,
  name: string | undefined,
  image: string,
  parts: Parameters<typeof createContainer>[2],
): WorkingContainer {
  if (name !== undefined) return createContainer(files, checkedName(name), parts);
  const stem = image === "scratch" ? "working-container" : `${stemOf(image)}-working-container`;
  for (;;) {
    try {
      return createContainer(files, freeName(files.db, stem), parts);
    } catch (error) {
      // Somebody else was quicker: look again.
      if (!(error instanceof CooperError) || error.code !== "exists") throw error;
    }
  }
}

/** The last part of an image's name, without tag or digest. */
function stemOf(image: string): string {
  const path = image.replace(/^[a-z-]+:(?=\/|\.)/, "").replace(/@.*$/, "");
  return (
    basename(path)
      .replace(/:.*$/, "")
      .replace(/[^a-zA-Z0-9_.-]/g, "-") || "container"
  );
}

function checkedName(name: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return name;
  throw new CooperError("usage", `"${name}" is not a container name: letters, digits, ".", "_" and "-" are`);
}

/** A working container by name, id, or unique prefix of an id. Throws `not-found`. */
export async function openContainer(store: Store, name: string): Promise<Container> {
  const container = findContainer(filesOf(store), name);
  return handle(store, container.id, container.name!);
}

/** All working containers, oldest first. */
export function listContainers(store: Store): ContainerInfo[] {
  const files = filesOf(store);
  return allContainers(files.db).map((record) => infoOf(store, containerOf(files, record)));
}

function infoOf(store: Store, container: WorkingContainer): ContainerInfo {
  return {
    id: container.id,
    name: container.name!,
    imageId: container.base.imageId,
    imageName: container.base.imageName,
    mountPoint: mountPointOf(filesOf(store), store.runRoot, container),
    created: new Date(container.created).toISOString(),
  };
}

function handle(store: Store, id: string, name: string): Container {
  const files = filesOf(store);
  const locked = <T>(action: (container: WorkingContainer) => Promise<T> | T, signal?: AbortSignal) =>
    withLock(store, id, signal, action);
  const withFiles = <T>(action: (container: WorkingContainer) => Promise<T> | T, signal?: AbortSignal) =>
    locked(async (container) => action(await tidied(store, container)), signal);
  const copy = async (
    sources: string[],
    destination: string | undefined,
    options: CopyOptions,
    add: boolean,
  ) => {
    const { copyIntoNamed } = await import("./container-copy.ts");
    return await copyIntoNamed(store, id, sources, destination, options, add);
  };
  return {
    id,
    name,
    mount: () => locked((container) => mountTidied(store, container)),
    umount: () => locked((container) => unmountForUser(files, store.runRoot, container)),
    run: (argv, options = {}) =>
      withFiles(async (container) => {
        const { runInContainer } = await import("./container-run.ts");
        return await runInContainer(store, container, argv, options);
      }, options.signal),
    shell: (options = {}) =>
      withFiles(async (container) => {
        const { shellInContainer } = await import("./container-run.ts");
        return await shellInContainer(store, container, options);
      }, options.signal),
    copy: (sources, destination, options = {}) => copy(sources, destination, options, false),
    add: (sources, destination, options = {}) => copy(sources, destination, options, true),
    config: (edits) => locked((container) => editConfig(files, container, edits)),
    addHistory: (createdBy) => locked((container) => addHistory(files, container, createdBy)),
    commit: (image, options = {}) =>
      withFiles(async (container) => {
        const { commitContainer } = await import("./container-commit.ts");
        const committed = await commitContainer(store, container, image, options);
        if (options.remove) remove(store, container);
        return committed;
      }, options.signal),
    rename: async (newName) => renameContainer(files.db, id, checkedName(newName)),
    inspect: async () => inspect(store, findContainer(files, id)),
    remove: () => locked((container) => remove(store, container)),
    [Symbol.asyncDispose]: async () => {
      await locked((container) => remove(store, container)).catch((error) => {
        if (!(error instanceof CooperError) || error.code !== "not-found") throw error;
      });
    },
  };
}

/** Mounts first: tidied() would do it where nobody else sees it. */
function mountTidied(store: Store, container: WorkingContainer): string {
  const files = filesOf(store);
  const path = mountForUser(files, store.runRoot, container);
  if (isInReach(store.runRoot, container))
    tidy(files, container, snapshotter(container).path(treeOf(files, container)));
  return path;
}

function editConfig(files: StoreFiles, container: WorkingContainer, edits: ConfigEdits): void {
  const edited = applyConfigEdits(container.image, container.annotations, edits);
  container.image = edited.image;
  container.annotations = edited.annotations;
  if (edits.createdBy !== undefined) container.createdBy = edits.createdBy;
  if (edits.historyComment !== undefined) container.comment = edits.historyComment;
  saveContainer(files, container);
}

function addHistory(files: StoreFiles, container: WorkingContainer, createdBy: string): void {
  const entry = { created: new Date().toISOString(), created_by: createdBy, empty_layer: true };
  saveContainer(files, { ...container, history: [...(container.history ?? []), entry] });
}

function remove(store: Store, container: WorkingContainer): void {
  endKeeper(store.runRoot, container.id);
  removeContainerFiles(filesOf(store), container);
}

async function inspect(store: Store, container: WorkingContainer): Promise<ContainerDetails> {
  const { capabilitiesOf } = await import("../container/run-spec.ts");
  const { loadContainersConf } = await import("../sandbox/containers-conf.ts");
  return {
    ...infoOf(store, container),
    config: container.image,
    annotations: container.annotations,
    baseDigest: container.base.manifestDigest,
    run: container.run,
    capabilities: capabilitiesOf(container.run, loadContainersConf()),
  };
}
