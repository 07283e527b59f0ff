/**
 * Layers against their diff_ids. A layer that came from elsewhere is unpacked again from its blob and compared, since its
 * tar is not the one that Cooper would pack; a committed one is packed again and hashed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { applyLayer } from "../../archive/apply-layer.ts";
import { firstDifference } from "../../archive/compare-directories.ts";
import { decompressAll } from "../../archive/compression.ts";
import { type Digest, Digester } from "../../base/digest.ts";
import { messageOf } from "../../base/errors.ts";
import { fileIds } from "../../base/process-ids.ts";
import { streamBlob } from "../blobs.ts";
import { committedLayerTar } from "../pack.ts";
import { findVariant, UNPACKED } from "../layer-records.ts";
import { SESSION_ID_LENGTH, sessionExists } from "../session.ts";
import { type StoreFiles, snapshotPath } from "../store.ts";
import type { Checking, StoreFault } from "./fault.ts";

/** Every snapshot that is known must be there, unless a living process is just about to put it there. */
export function checkSnapshots({ store, inventory, damage }: Checking): void {
  for (const id of inventory.snapshots) {
    if (!existsSync(snapshotPath(store, id)) && !isInProgress(store, id))
      damage.set(id, "its directory is missing");
  }
}

/** Whether the process that makes a snapshot may still be at work. */
export function isInProgress(store: StoreFiles, id: string): boolean {
  return sessionExists(`${store.root}/tmp`, id.slice(0, SESSION_ID_LENGTH));
}

/**
 * Compares what was unpacked with what its blob unpacks to, and with `repair` puts that in its place. Returns how many
 * snapshots had a blob to be compared with.
 */
export async function checkUnpacked(check: Checking): Promise<number> {
  const { store, inventory, damage, signal } = check;
  let verified = 0;
  for (const { id, diffId } of inventory.unpacked) {
    signal?.throwIfAborted();
    const blob = inventory.layerBlobs.find(
      ({ digest, diffId: held }) => held === diffId && inventory.blobs.has(digest) && !damage.has(digest),
    );
    if (blob === undefined || !inventory.snapshots.has(id)) continue;
    const fresh = store.session.path("layer");
    mkdirSync(fresh, { mode: 0o700 });
    try {
      await compareWithBlob(check, id, diffId, blob.digest, fresh);
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
    verified++;
  }
  return verified;
}

async function compareWithBlob(
  check: Checking,
  id: string,
  diffId: Digest,
  blob: Digest,
  fresh: string,
): Promise<void> {
  const { store, damage, faults, repair } = check;
  const unpacked = await unpackAgain(check, blob, fresh);
  if (unpacked !== diffId) {
    damage.set(blob, `it does not unpack to ${diffId}: ${unpacked}`);
    return;
  }
  const problem = damage.get(id) ?? firstDifference(fresh, snapshotPath(store, id));
  if (problem === undefined) return;
  // It can be had again, so nothing that needs it is lost.
  damage.delete(id);
  const fault: StoreFault = { kind: "layer", what: `layers/${id}`, problem };
  if (!repair) faults.push({ ...fault, hint: "--repair unpacks it again from its blob" });
  else if (isMounted(id))
    faults.push({ ...fault, hint: "unmount the containers that use it, and repair then" });
  else {
    replaceSnapshot(store, id, fresh);
    faults.push({ ...fault, repair: `unpacked again from ${blob}` });
  }
}

/** Digest of the tar in a blob that was unpacked, or why that was not possible. */
async function unpackAgain({ store, signal }: Checking, blob: Digest, directory: string): Promise<string> {
  const digester = new Digester();
  const hashed = async function* () {
    for await (const chunk of decompressAll(streamBlob(store.root, blob))) {
      digester.update(chunk);
      yield chunk;
    }
  };
  try {
    await applyLayer(hashed(), directory, { ids: fileIds(), ...(signal && { signal }) });
    return digester.digest();
  } catch (error) {
    if (signal?.aborted) throw error;
    return messageOf(error);
  }
}

/** A crash between the renames leaves a missing directory, which the next repair finds again. */
function replaceSnapshot(store: StoreFiles, id: string, fresh: string): void {
  const path = snapshotPath(store, id);
  const trash = store.session.path("trash");
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (existsSync(path)) renameSync(path, trash);
  renameSync(fresh, path);
  rmSync(trash, { recursive: true, force: true });
}

/** Whether any process has an overlay on a snapshot; those of other users cannot be asked, and have stores of their own. */
function isMounted(id: string): boolean {
  const mention = `${id}/diff`;
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/mountinfo`, "latin1").includes(mention);
    } catch {
      return false; // It has ended.
    }
  });
}

/**
 * Packs each committed layer of an image or list once more; the whole stack is lost when it packs to something else.
 * Returns how many there were.
 */
export async function checkCommitted({ store, inventory, damage, signal }: Checking): Promise<number> {
  const seen = new Set<string>();
  for (const layers of [...inventory.imageLayers.values(), ...inventory.instanceLayers.values()]) {
    let below: string[] = [];
    for (const { stack, diffId } of layers) {
      const key = `${stack.join()} ${diffId}`;
      const whole = [...below, ...stack].every((id) => existsSync(snapshotPath(store, id)));
      if (whole && !seen.has(key) && findVariant(store.db, stack, diffId) !== UNPACKED) {
        seen.add(key);
        const problem = await problemOfStack(store, stack, below, diffId, signal);
        if (problem !== undefined) for (const id of stack) damage.set(id, problem);
      }
      below = [...below, ...stack];
    }
  }
  return seen.size;
}

async function problemOfStack(
  store: StoreFiles,
  stack: string[],
  below: string[],
  diffId: Digest,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const digester = new Digester();
  try {
    let turn = 0;
    for (const chunk of committedLayerTar(store, stack, below, diffId)) {
      digester.update(chunk);
      if (++turn % 64 === 0) await Bun.sleep(0);
      signal?.throwIfAborted();
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    return messageOf(error);
  }
  const found = digester.digest();
  return found === diffId ? undefined : `it packs to ${found}, not to ${diffId}`;
}
