/** Images and lists: documents that parse and say the same as the records, and everything that they consist of. */
import type { Digest } from "../../base/digest.ts";
import { messageOf } from "../../base/errors.ts";
import { parseImageConfig, parseManifest, parseManifestOrIndex } from "../../oci/schema.ts";
import type { Manifest } from "../../oci/types.ts";
import { readBlob } from "../blobs.ts";
import type { StoredLayer } from "../layer-records.ts";
import type { Checking } from "./fault.ts";

/** Indexes within indexes beyond this depth are an attack. */
const MAX_DEPTH = 4;

/** An image or list that is lost, or what it needs. */
export type Condition = { lost: string } | { needs: Set<string> };

/** Whether an image is whole; the blobs and snapshots that it needs. */
export function conditionOfImage(check: Checking, image: { id: string; manifest: Digest }): Condition {
  try {
    const manifest = parseManifest(blobOf(check, image.manifest), "its manifest");
    if (manifest.config.digest !== `sha256:${image.id}`) return { lost: "its manifest is another image's" };
    return {
      needs: thingsOfImage(check, image.manifest, manifest, check.inventory.imageLayers.get(image.id)),
    };
  } catch (error) {
    return { lost: messageOf(error) };
  }
}

/** The same for a list; entries that the store does not have are not missed. */
export function conditionOfIndex(check: Checking, index: { id: string; manifest: Digest }): Condition {
  try {
    const needs = new Set<string>();
    collect(check, index.id, index.manifest, undefined, needs, 0);
    return { needs };
  } catch (error) {
    return { lost: messageOf(error) };
  }
}

function collect(
  check: Checking,
  indexId: string,
  digest: Digest,
  mediaType: string | undefined,
  needs: Set<string>,
  depth: number,
): void {
  if (needs.has(digest)) return;
  if (depth > MAX_DEPTH) throw new Error("indexes within indexes, too deep");
  const root = parseManifestOrIndex(blobOf(check, digest), `manifest ${digest}`, mediaType);
  needs.add(digest);
  if (root.kind === "index") {
    for (const entry of root.index.manifests)
      if (isMeant(check, indexId, entry.digest))
        collect(check, indexId, entry.digest, entry.mediaType, needs, depth + 1);
    return;
  }
  const layers = check.inventory.instanceLayers.get(`${indexId} ${digest}`);
  if (layers !== undefined) {
    for (const thing of thingsOfImage(check, digest, root.manifest, layers)) needs.add(thing);
    return;
  }
  for (const { digest: blob } of [root.manifest.config, ...root.manifest.layers]) {
    if (!isMeant(check, indexId, blob)) continue;
    blobOf(check, blob, false);
    needs.add(blob);
  }
}

/** Whether the store has, or had, a part of a list: one that was never fetched is not missing. */
function isMeant({ inventory }: Checking, indexId: string, digest: Digest): boolean {
  return inventory.blobs.has(digest) || inventory.uses.get(`index:${indexId}`)?.has(digest) === true;
}

function thingsOfImage(
  check: Checking,
  manifestDigest: Digest,
  manifest: Manifest,
  layers: StoredLayer[] = [],
): Set<string> {
  const config = parseImageConfig(blobOf(check, manifest.config.digest), "its config");
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length || diffIds.length !== layers.length)
    throw new Error(
      `${manifest.layers.length} layers in the manifest, ${diffIds.length} in the config, ${layers.length} here`,
    );
  const needs = new Set<string>([manifestDigest, manifest.config.digest]);
  for (const [i, { diffId, stack }] of layers.entries()) {
    if (diffIds[i] !== diffId)
      throw new Error(`layer ${i + 1} is ${diffId} here, ${diffIds[i]} in the config`);
    for (const id of stack) {
      const problem = check.inventory.snapshots.has(id) ? check.damage.get(id) : "it is not known";
      if (problem !== undefined) throw new Error(`layer ${i + 1} (layers/${id}): ${problem}`);
      needs.add(id);
    }
    const { digest } = manifest.layers[i]!;
    // What was committed has no blob before its first push.
    if (digest === diffId && !check.inventory.blobs.has(digest)) continue;
    blobOf(check, digest, false);
    needs.add(digest);
  }
  return needs;
}

/** Content of a blob that is whole, or an empty one when it is only asked about. */
function blobOf({ store, inventory, damage }: Checking, digest: Digest, read = true): Uint8Array {
  const problem = inventory.blobs.has(digest) ? damage.get(digest) : "it is not known";
  if (problem !== undefined) throw new Error(`blob ${digest}: ${problem}`);
  return read ? readBlob(store.root, digest) : new Uint8Array();
}
