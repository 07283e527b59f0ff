/** Which files a working container has, as a key of the build cache: the same as a build's after the same steps. */
import { hashInTurns } from "../archive/hash-tree.ts";
import { type Digest, digestOf } from "../base/digest.ts";
import { imageKey, keyAfter, scratchKey } from "../plan/cache-key.ts";
import { snapshotPath, type StoreFiles } from "../store/store.ts";
import { freezeContainer, saveContainer, type WorkingContainer } from "./working-container.ts";

/**
 * Key of all files, for which what was written since the last time is frozen. What steps of the cache made counts by them;
 * anything else (copies, files written by way of a mount, other runs) by its content, without times.
 */
export async function filesKey(
  store: StoreFiles,
  container: WorkingContainer,
  signal?: AbortSignal,
): Promise<Digest> {
  freezeContainer(store, container);
  const { frozen, known } = container;
  // A freeze that was killed may have taken a snapshot away again.
  const isKnown = known !== undefined && known.snapshots <= frozen.length;
  let key = isKnown ? known.key : baseKey(container);
  for (const snapshot of frozen.slice(isKnown ? known.snapshots : 0))
    key = digestOf(`${key} content ${await contentOf(store, snapshot, signal)}`);
  noteKey(store, container, key);
  return key;
}

/** Notes that a step with a key gave a snapshot (null: nothing), the last of the container's. */
export function noteStep(
  store: StoreFiles,
  container: WorkingContainer,
  step: { parent: Digest; key: Digest; identity: string | null },
): void {
  noteKey(store, container, keyAfter(step.parent, step.key, step.identity));
}

function noteKey(store: StoreFiles, container: WorkingContainer, key: Digest): void {
  container.known = { key, snapshots: container.frozen.length };
  saveContainer(store, container);
}

function baseKey({ base, image }: WorkingContainer): Digest {
  return base.imageId === undefined ? scratchKey(image) : imageKey(image);
}

function contentOf(store: StoreFiles, snapshot: string, signal: AbortSignal | undefined): Promise<Digest> {
  const request = {
    sourceRoot: snapshotPath(store, snapshot),
    sources: ["."],
    wildcards: false,
    parents: false,
  };
  // Whiteouts and opaque directories are part of what a snapshot does.
  return hashInTurns(request, { opaque: true, ownership: "verbatim", itself: true }, { signal });
}
