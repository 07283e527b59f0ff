/** Working containers for callers: a handle with what `from`, `run`, `copy`, `config`, `commit` do. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import type {
  CommitOptions,
  ContainerDetails,
  ContainerInfo,
  CopyOptions,
  FromOptions,
  RunOptions,
  Store,
} from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { ignoreEvents } from "../base/events.ts";
import { commitImage, type ImageTime } from "../container/commit.ts";
import { containerBase, scratchBase } from "../container/container-base.ts";
import { copyIntoContainer } from "../container/copy-in.ts";
import {
  endKeeper,
  isMountedForUser,
  mountForUser,
  mountPointOf,
  requireReach,
  unmountForUser,
} from "../container/mounting.ts";
import { parseMount, runSpec } from "../container/run-spec.ts";
import type { RunSettings } from "../container/run-settings.ts";
import {
  type ContainerBase,
  containerOf,
  copyContainerDiff,
  createContainer,
  findContainer,
  freezeContainer,
  mountPointNotes,
  removeContainerFiles,
  saveContainer,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import { obtainImage } from "../image/move-image.ts";
import { applyConfigEdits, newImageConfig } from "../oci/config.ts";
import type { ConfigEdits } from "../oci/config-edits.ts";
import type { ContainerConfig, HistoryEntry } from "../oci/types.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
import { normaliseName } from "../oci/reference.ts";
import { removeNotedMountPoints } from "../sandbox/mountpoint-notes.ts";
import { selectSandbox } from "../sandbox/select-sandbox.ts";
import { candidateNamesOrNone, readConfig, readManifest } from "../store/images.ts";
import { allContainers, freeName, type ImageRecord, namesOf, renameContainer } from "../store/records.ts";
import type { StoreFiles } from "../store/store.ts";
import { selfCommand } from "./namespace.ts";
import { changedConfig } from "./changed-config.ts";
import { findCopySource, withBoth, withLock, withRoot, withSourceRoot } from "./container-access.ts";
import { registrySettings } from "./registry-options.ts";
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
  run(argv: string[], options?: RunOptions): Promise<{ exitCode: number }>;
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
  const found = image === "scratch" ? undefined : await obtainBase(files, image, options);
  const parts = {
    driver: store.driver,
    base: found === undefined ? scratchBase : baseOf(files, found, image),
    image: found === undefined ? scratchConfig(options) : readConfig(files, found),
    annotations: found === undefined ? {} : (readManifest(files, found).annotations ?? {}),
    run: options.run ?? {},
  };
  const container = createNamed(files, options.name, image, parts);
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
function baseOf(files: StoreFiles, image: ImageRecord, asked: string): ContainerBase {
  const base = containerBase(files, image);
  const names = namesOf(files.db, image.id);
  return { ...base, imageName: candidateNamesOrNone(asked).find((name) => names.includes(name)) ?? names[0] };
}

function scratchConfig(options: FromOptions) {
  return newImageConfig(options.platform === undefined ? hostPlatform() : parsePlatform(options.platform));
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
  return {
    id,
    name,
    mount: () => locked((container) => mountTidied(store, container)),
    umount: () => locked((container) => unmountForUser(files, store.runRoot, container)),
    run: (argv, options = {}) =>
      withFiles((container) => run(store, container, argv, options), options.signal),
    copy: (sources, destination, options = {}) => copyFrom(store, id, sources, destination, options, false),
    add: (sources, destination, options = {}) => copyFrom(store, id, sources, destination, options, true),
    config: (edits) => locked((container) => editConfig(files, container, edits)),
    addHistory: (createdBy) => locked((container) => addHistory(files, container, createdBy)),
    commit: (image, options = {}) =>
      withFiles((container) => commit(store, container, image, options), options.signal),
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
  removeNotedMountPoints(mountPointNotes(container), snapshotter(container).path(treeOf(files, container)));
  return path;
}

/** Takes out of a container what a run that was killed could not. */
async function tidied(store: Store, container: WorkingContainer): Promise<WorkingContainer> {
  const notes = mountPointNotes(container);
  if (existsSync(notes))
    await withRoot(store, container, async (root) => removeNotedMountPoints(notes, root));
  return container;
}

function run(
  store: Store,
  container: WorkingContainer,
  argv: string[],
  options: RunOptions,
): Promise<{ exitCode: number }> {
  const {
    env,
    user,
    workingDir,
    hostname,
    mounts,
    terminal,
    inherit,
    stdin,
    onStdout,
    onStderr,
    signal,
    ...settings
  } = options;
  return withRoot(store, container, (root) => {
    const spec = runSpec(container, root, {
      argv,
      env: env ?? [],
      ...(user === undefined ? {} : { user }),
      ...(workingDir === undefined ? {} : { workingDir }),
      ...(hostname === undefined ? {} : { hostname }),
      ...(terminal === undefined ? {} : { terminal }),
      mounts: (mounts ?? []).map(parseMount),
      settings,
    });
    return sandboxOf(store, container, settings).run(spec, {
      ...(inherit === undefined ? {} : { inherit }),
      ...(stdin === undefined ? {} : { stdin }),
      ...(onStdout === undefined ? {} : { onStdout }),
      ...(onStderr === undefined ? {} : { onStderr }),
      ...(signal === undefined ? {} : { signal }),
    });
  });
}

function sandboxOf(store: Store, container: WorkingContainer, settings: RunSettings) {
  const isolation = settings.isolation ?? container.run.isolation;
  return selectSandbox({
    ...(isolation === undefined ? {} : { isolation }),
    runtimeDir: store.runRoot,
    selfCommand: selfCommand(),
  });
}

async function copyFrom(
  store: Store,
  id: string,
  sources: string[],
  destination: string | undefined,
  options: CopyOptions,
  add: boolean,
): Promise<string> {
  const { from: named, signal, ...rest } = options;
  const source = named === undefined ? undefined : await findCopySource(store, named, options);
  return await withBoth(store, id, source, signal, async (untidy) => {
    const container = await tidied(store, untidy);
    return await withRoot(store, container, (root) =>
      withSourceRoot(store, source, { id, root }, (sourceRoot) =>
        copyIntoContainer(filesOf(store), container, root, {
          ...rest,
          ...(sourceRoot === undefined ? {} : { sourceRoot }),
          ...(signal === undefined ? {} : { signal }),
          sources,
          destination,
          add,
        }),
      ),
    );
  });
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

/** Steps that were noted, and the commit; in reproducible images all have its time. */
function historyOf(container: WorkingContainer, timestamp: ImageTime | undefined): HistoryEntry[] {
  const noted = (container.history ?? []).map(({ created, ...rest }) =>
    timestamp === undefined ? { created, ...rest } : rest,
  );
  const { createdBy = "cooper commit", comment } = container;
  return [
    ...noted,
    { created_by: createdBy, ...(comment === undefined ? {} : { comment }) },
  ] as HistoryEntry[];
}

/** As for builds: one sets every time, the other those after it. */
function commitTime({ timestamp, sourceDateEpoch, rewriteTimestamp }: CommitOptions): ImageTime | undefined {
  if (timestamp !== undefined) return { seconds: timestamp, files: "set" };
  if (sourceDateEpoch === undefined) return undefined;
  return { seconds: sourceDateEpoch, files: rewriteTimestamp === false ? "keep" : "clamp" };
}

/** FROM gives stages a PATH; here nothing is FROM. */
function editedByInstructions(changes: string[], config: ContainerConfig): ContainerConfig {
  const edited = changedConfig(changes, config);
  const isPath = (entry: string) => entry.startsWith("PATH=");
  if (config.Env?.some(isPath) || changes.some((change) => /\bPATH\b/.test(change))) return edited;
  const env = edited.Env?.filter((entry) => !isPath(entry)) ?? [];
  const { Env: _, ...rest } = edited;
  return env.length === 0 ? rest : { ...rest, Env: env };
}

/** The config and the annotations of the image, which the container itself does not get. */
function editedForCommit(container: WorkingContainer, options: CommitOptions) {
  const { changes = [], annotations = [], unsetEnv = [], unsetAnnotations = [], identityLabel } = options;
  const config = editedByInstructions(changes, container.image.config ?? {});
  return applyConfigEdits({ ...container.image, config }, container.annotations, {
    labels: identityLabel === undefined ? [] : [`io.buildah.version=${identityLabel}`],
    annotations,
    unsetEnv,
    unsetAnnotations,
  });
}

async function commit(
  store: Store,
  container: WorkingContainer,
  name: string | undefined,
  options: CommitOptions,
): Promise<{ imageId: string }> {
  const files = filesOf(store);
  requireReach(store.runRoot, container);
  const names = name === undefined ? [] : [normaliseName(name)];
  const event = options.onEvent ?? ignoreEvents;
  event({ type: "commit-start", name: names[0] });
  const stack = changesOf(store, container, options.remove === true);
  const timestamp = commitTime(options);
  const edited = editedForCommit(container, options);
  const image = commitImage(
    files,
    { ...container, image: edited.image, annotations: edited.annotations },
    [{ stack, history: historyOf(container, timestamp), checkpoint: true }],
    {
      format: options.format ?? "oci",
      names,
      squash: options.squash ?? false,
      omitHistory: options.omitHistory ?? false,
      timestamp,
      keepTime: false,
    },
  );
  event({ type: "commit-done", name: names[0], imageId: image.id });
  if (options.remove) remove(store, container);
  return { imageId: image.id };
}

/** Snapshots of everything written since the base. A container that its user has mounted is copied, not frozen. */
function changesOf(store: Store, container: WorkingContainer, last: boolean): string[] {
  const files = filesOf(store);
  if (last || !isMountedForUser(files, container)) {
    freezeContainer(files, container);
    return container.frozen;
  }
  const copied = copyContainerDiff(files, container);
  return copied === undefined ? container.frozen : [...container.frozen, copied];
}

function remove(store: Store, container: WorkingContainer): void {
  endKeeper(store.runRoot, container.id);
  removeContainerFiles(filesOf(store), container);
}

function inspect(store: Store, container: WorkingContainer): ContainerDetails {
  return {
    ...infoOf(store, container),
    config: container.image,
    annotations: container.annotations,
    baseDigest: container.base.manifestDigest,
    run: container.run,
  };
}
