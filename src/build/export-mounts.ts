/**
 * Cache mounts on their way to other machines. What was exported or restored before is not sent again: an entry is a row
 * of layers, and an export adds one with what changed since, or nothing.
 */
import { closeSync, existsSync, lstatSync, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { packLayer } from "../archive/pack-layer.ts";
import { isOpaque, isWhiteout } from "../archive/whiteouts.ts";
import { Digester } from "../base/digest.ts";
import { listXattrs } from "../base/xattrs.ts";
import { fsPath, readNames } from "../base/path-bytes.ts";
import { fileIds } from "../base/process-ids.ts";
import type { CacheLayer } from "../oci/cache-entry.ts";
import { indexTree, passNewest, writeChanges } from "../store/find-changes.ts";
import { tryLock } from "../store/locks.ts";
import { type Export, sendEntry, sendLayer } from "./export-cache.ts";
import { type MountRecord, warn } from "./remote-cache.ts";
import { keepBaseline, type MountBaseline, readBaseline } from "./remote-mounts.ts";
import { leakIn } from "./leak-guard.ts";

/** From here on everything is sent as one layer again. */
const MOST_LAYERS = 16;

/** Exports a mount, if it changed. One that another command is using just now is left to that one, with a warning. */
export async function exportMount(work: Export, mount: MountRecord): Promise<void> {
  const { store, request } = work.build;
  const directory = join(store.root, "cache-mounts", mount.name);
  using lock = tryLock(`${directory}.lock`, "exclusive");
  if (lock === undefined) {
    warn(request, `The cache mount "${mount.id}" is in use and was not exported`);
    return;
  }
  if (!existsSync(directory)) return;
  const known = await usableBaseline(work, mount);
  // Looked at before it is read: what somebody manages to write in between is new the next time.
  const state = indexTree(directory);
  const layers =
    known === undefined
      ? await sendAll(work, mount, directory)
      : await sendChanges(work, mount, directory, known);
  if (layers === undefined) return;
  await sendEntry(work, { key: mount.key, created: Date.now(), layers });
  keepBaseline(work.build, mount.name, { place: work.place.name, layers, index: state.index });
  passNewest(state);
}

/** What to go on from: undefined when the place has lost a layer of it, or there are too many. */
async function usableBaseline(work: Export, mount: MountRecord): Promise<MountBaseline | undefined> {
  const baseline = readBaseline(work.build, mount.name, work.place.name);
  if (baseline === undefined || baseline.layers.length >= MOST_LAYERS) return undefined;
  for (const { blob } of baseline.layers) if (!(await work.place.exists(blob))) return undefined;
  return baseline;
}

async function sendAll(
  work: Export,
  mount: MountRecord,
  directory: string,
): Promise<CacheLayer[] | undefined> {
  return await send(work, mount, directory, []);
}

/** The layers that were there and one with the changes; undefined when there are none, or they must not be sent. */
async function sendChanges(
  work: Export,
  mount: MountRecord,
  directory: string,
  known: MountBaseline,
): Promise<CacheLayer[] | undefined> {
  const { session } = work.build.store;
  const [changes, ghosts] = [session.path("mount-changes"), session.path("mount-ghosts")];
  try {
    if (writeChanges(directory, known.index, changes) === undefined) return undefined;
    makeGhosts(changes, ghosts);
    const added = await send(work, mount, changes, [ghosts]);
    return added === undefined ? undefined : [...known.layers, ...added];
  } finally {
    rmSync(changes, { recursive: true, force: true });
    rmSync(ghosts, { recursive: true, force: true });
  }
}

async function send(
  work: Export,
  mount: MountRecord,
  directory: string,
  below: string[],
): Promise<CacheLayer[] | undefined> {
  const leak = await leakIn(work.build, directory);
  if (leak !== undefined) {
    const why = `the secret "${leak.id}" is in ${leak.place}`;
    warn(work.build.request, `The cache mount "${mount.id}" is not exported: ${why}`);
    return undefined;
  }
  const tar = () => packLayer({ diffs: [directory], below, ids: fileIds() });
  const digester = new Digester();
  for (const chunk of tar()) digester.update(chunk);
  const measured = { diffId: digester.digest(), size: digester.size };
  return [await sendLayer(work, measured, async () => tar())];
}

/** A whiteout is packed only for what is there below: stands for the files that the changes delete. */
function makeGhosts(changes: string, ghosts: string): void {
  mkdirSync(fsPath(ghosts), { mode: 0o700 });
  if (isOpaque(changes, listXattrs(changes))) makeFile(`${ghosts}/ghost`);
  for (const name of readNames(changes)) {
    const stat = lstatSync(fsPath(`${changes}/${name}`), { bigint: true });
    if (isWhiteout(stat, `${changes}/${name}`)) makeFile(`${ghosts}/${name}`);
    else if (stat.isDirectory()) makeGhosts(`${changes}/${name}`, `${ghosts}/${name}`);
  }
}

function makeFile(path: string): void {
  closeSync(openSync(fsPath(path), "w", 0o600));
}
