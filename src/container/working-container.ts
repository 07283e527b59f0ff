/** The working container: a writable tree on an image's layers, and the config that its next image will have. */
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { CooperError, isDiskFull } from "../base/errors.ts";
import type { Digest } from "../base/digest.ts";
import type { HistoryEntry, ImageConfig } from "../oci/types.ts";
import { type ImageLayer, imageRemoved } from "../store/images.ts";
import {
  addContainer,
  type ContainerRecord,
  deleteContainer,
  findContainerByName,
  findContainersByPrefix,
  saveContainerState,
} from "../store/container-records.ts";
import { findImage } from "../store/image-records.ts";
import { addUses, dropUses, forgetSnapshot, snapshotsOfContainers } from "../store/snapshot-records.ts";
import { addSnapshot } from "../store/snapshot-records.ts";
import { withReserve } from "../store/reserve.ts";
import type { Owner } from "../sandbox/owner.ts";
import { randomContainerId } from "../store/random-id.ts";
import type { Snapshotter, WritableTree } from "../store/snapshotter.ts";
import {
  deleteUnused,
  finishing,
  type DriverName,
  makeSnapshot,
  moveAway,
  snapshotPath,
  snapshotPaths,
  snapshotterOf,
  type StoreFiles,
} from "../store/store.ts";
import type { RunSettings } from "./run-settings.ts";

/** What a container was made from. Scratch has no image and no layers. */
export interface ContainerBase {
  imageId: string | undefined;
  imageName: string | undefined;
  manifestDigest: Digest | undefined;
  layers: ImageLayer[];
}

/** Plain data; the saved state of a container that has a name, and all there is of one that a build uses. */
export interface WorkingContainer {
  id: string;
  /** Undefined for a build's own container: it lies in the session and no other command sees it. */
  name: string | undefined;
  /** Milliseconds since 1970. */
  created: number;
  driver: DriverName;
  /** Of the writable tree. */
  directory: string;
  base: ContainerBase;
  /** Snapshots taken since the base, lowest first. */
  frozen: string[];
  /** Layers of their own that its images get on top; its own tree does not show them. */
  links?: { snapshot: string; createdBy: string }[];
  /** The config of the next image; its rootfs and history are the base's. */
  image: ImageConfig;
  annotations: Record<string, string>;
  /** For the next commit's history entry. */
  createdBy: string | undefined;
  comment: string | undefined;
  /** Steps that its images' history tells of, before the commit's own entry. */
  history?: HistoryEntry[];
  run: RunSettings;
  /** The process with which it goes. */
  owner?: Owner;
  /** The key of the build cache that its files had with so many snapshots (files-key.ts). */
  known?: { key: Digest; snapshots: number };
  /** Its user has the path of a tree that needs no mount (scratch): whatever is written there is still being written. */
  shown: boolean;
}

/** The writable tree, for the snapshotter. */
export function treeOf(store: StoreFiles, container: WorkingContainer): WritableTree {
  const frozen = container.frozen.map((id) => snapshotPath(store, id));
  return {
    directory: container.directory,
    lowers: [...snapshotPaths(store, container.base.layers), ...frozen],
  };
}

export function snapshotter(container: WorkingContainer): Snapshotter {
  return snapshotterOf(container.driver);
}

/** Where a run of a container notes what it must remove afterwards. */
export function mountPointNotes(container: WorkingContainer): string {
  return join(container.directory, "mount-points");
}

/**
 * Makes a container that commands find by name. Throws `exists` when the name is taken, `not-found` when another process has
 * removed the image since it was found: from here on `prune` sees that a container comes from it.
 */
export function createContainer(
  store: StoreFiles,
  name: string,
  parts: Pick<WorkingContainer, "driver" | "base" | "image" | "annotations" | "run" | "owner">,
): WorkingContainer {
  const id = randomContainerId();
  const container: WorkingContainer = {
    ...parts,
    id,
    name,
    created: Date.now(),
    directory: join(store.root, "containers", id),
    frozen: [],
    createdBy: undefined,
    comment: undefined,
    shown: false,
  };
  const record = {
    id,
    name,
    imageId: parts.base.imageId,
    created: container.created,
    state: JSON.stringify(container),
  };
  const snapshots = parts.base.layers.flatMap((layer) => layer.stack);
  const unfinished = { ...treeOf(store, container), directory: store.session.path("container") };
  snapshotter(container).prepare(unfinished);
  const add = store.db.transaction(() => {
    if (record.imageId !== undefined && findImage(store.db, record.imageId) === undefined)
      throw imageRemoved(record.imageId);
    addContainer(store.db, record);
    addUses(store.db, `container:${id}`, snapshots);
    renameSync(unfinished.directory, container.directory);
  });
  finishing(store, () => add.immediate());
  return container;
}

/** Makes a container for a build: it goes with the session, whatever happens. */
export function createBuildContainer(
  store: StoreFiles,
  parts: Pick<WorkingContainer, "driver" | "base" | "frozen" | "image" | "annotations" | "run">,
): WorkingContainer {
  const directory = store.session.path("container");
  const container: WorkingContainer = {
    ...parts,
    id: randomContainerId(),
    name: undefined,
    created: Date.now(),
    directory,
    createdBy: undefined,
    comment: undefined,
    shown: false,
  };
  snapshotter(container).prepare(treeOf(store, container));
  return container;
}

/** A container by name, id, or unique prefix of an id. Throws `not-found`. */
export function findContainer(store: StoreFiles, text: string): WorkingContainer {
  return containerOf(store, findRecord(store, text));
}

function findRecord(store: StoreFiles, text: string): ContainerRecord {
  const named = findContainerByName(store.db, text);
  if (named !== undefined) return named;
  const matches = /^[0-9a-f]{1,64}$/.test(text) ? findContainersByPrefix(store.db, text) : [];
  if (matches.length > 1) {
    throw new CooperError("usage", `Container id ${text} is ambiguous`, { hint: "give more of its digits" });
  }
  if (matches[0] !== undefined) return matches[0];
  throw new CooperError("not-found", `${text}: no such container`, {
    hint: "cooper containers lists what is there",
  });
}

/** The container of a record, whatever a killed freeze left of it. */
export function containerOf(store: StoreFiles, record: ContainerRecord): WorkingContainer {
  const container = JSON.parse(record.state) as WorkingContainer;
  container.name = record.name;
  container.directory = join(store.root, "containers", record.id);
  const last = container.frozen.at(-1);
  // Recorded before the rename (see freezeContainer): if it did not come to that, `upper` still holds everything.
  if (last !== undefined && !existsSync(snapshotPath(store, last))) container.frozen.pop();
  return container;
}

/** Writes the state back. */
export function saveContainer(store: StoreFiles, container: WorkingContainer): void {
  if (container.name !== undefined) saveContainerState(store.db, container.id, JSON.stringify(container));
}

/**
 * Freezes what was written since the last time: unmounts, and moves it into a snapshot. Returns the snapshot's id, or
 * undefined when nothing was written.
 */
export function freezeContainer(store: StoreFiles, container: WorkingContainer): string | undefined {
  const tree = treeOf(store, container);
  const driver = snapshotter(container);
  driver.unmount(tree);
  if (container.name === undefined) {
    const id = makeSnapshot(store, (target) => driver.freeze(tree, target));
    if (id !== undefined) container.frozen.push(id);
    return id;
  }
  return finishing(store, () => freezeNamed(store, container));
}

/** The state names the snapshot before the rename makes it: a kill in between loses nothing (see containerOf). */
function freezeNamed(store: StoreFiles, container: WorkingContainer): string | undefined {
  const id = store.session.snapshotId();
  const tree = treeOf(store, container);
  const after = { ...container, frozen: [...container.frozen, id] };
  const record = (state: WorkingContainer) =>
    saveContainerState(store.db, container.id, JSON.stringify(state));
  store.db
    .transaction(() => {
      addSnapshot(store.db, id);
      addUses(store.db, `container:${container.id}`, [id]);
      record(after);
    })
    .immediate();
  if (snapshotter(container).freeze(tree, snapshotPath(store, id))) {
    container.frozen.push(id);
    return id;
  }
  store.db
    .transaction(() => {
      forgetSnapshot(store.db, id);
      record(container);
    })
    .immediate();
  return undefined;
}

/**
 * Puts a snapshot on top of a container in which nothing was written since it was last frozen, and which is not mounted.
 * The caller holds the snapshot.
 */
export function adoptSnapshot(store: StoreFiles, container: WorkingContainer, id: string): void {
  snapshotter(container).adopt(treeOf(store, container), snapshotPath(store, id));
  container.frozen.push(id);
  store.db
    .transaction(() => {
      addUses(store.db, `container:${container.id}`, [id]);
      saveContainer(store, container);
    })
    .immediate();
}

/** A snapshot of what was written, for a container that stays in use: nothing is moved away under it. */
export function copyContainerDiff(store: StoreFiles, container: WorkingContainer): string | undefined {
  return makeSnapshot(store, (target) => snapshotter(container).copyDiff(treeOf(store, container), target));
}

/** Deletes a named container and what only it used; one that its user still has mounted, too. */
export function removeContainerFiles(store: StoreFiles, container: WorkingContainer): void {
  withReserve(store.root, () => finishing(store, () => removeRecordAndFiles(store, container)));
}

function removeRecordAndFiles(store: StoreFiles, container: WorkingContainer): void {
  const tree = treeOf(store, container);
  snapshotter(container).unmount(tree, true);
  const trash = store.session.path("trash");
  // Forgotten and renamed in one transaction, so that whoever looks finds all of it or nothing.
  const forget = () =>
    store.db
      .transaction(() => {
        deleteContainer(store.db, container.id);
        const things = dropUses(store.db, `container:${container.id}`);
        moveAway(container.directory, trash);
        return things;
      })
      .immediate();
  const deleteFiles = () => snapshotter(container).remove({ ...tree, directory: trash });
  let things: string[];
  try {
    things = forget();
    deleteFiles();
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    // The database has no room for the removal before there is some. A kill from here on is put right by recover.ts.
    moveAway(container.directory, trash);
    deleteFiles();
    const own = snapshotsOfContainers(store.db).filter(
      (id) => container.frozen.includes(id) || container.links?.some(({ snapshot }) => snapshot === id),
    );
    for (const id of own) rmSync(dirname(snapshotPath(store, id)), { recursive: true, force: true });
    things = forget();
  }
  deleteUnused(store, things);
}
