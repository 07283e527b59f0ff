/**
 * Keys of steps that every machine computes alike. The store's own keys go on from a snapshot by its id, which another
 * store does not know; these go on from its diff_id. Finding that out means packing the snapshot, so that nothing of it
 * is done before a remote cache has to be asked or filled.
 */
import { type Digest, digestOf } from "../base/digest.ts";
import { stepKey } from "../plan/cache-key.ts";
import type { Step } from "../plan/types.ts";
import { measureLayer } from "../store/pack.ts";
import { findLayer } from "../store/layer-records.ts";
import type { Build } from "./build-image.ts";
import { materialise } from "./materialise.ts";
import type { StageState } from "./stage-state.ts";
import type { Inputs } from "./step-inputs.ts";

/** Computed when it is asked for, once. */
export type PortableKey = () => Promise<Digest>;

/** Key of a step, `before` being that of the files that it begins with. */
export function portableStep(before: PortableKey, step: Step, inputs: Inputs): PortableKey {
  return once(async () => stepKey(await before(), step, await inputs.portable()));
}

export interface Measured {
  diffId: Digest;
  /** Bytes of the tar. */
  size: number;
}

/** A tar of this size, or less, holds nothing. */
const EMPTY_TAR = 1024;

/** Whether a snapshot says nothing to other machines (a socket, a whiteout of nothing): as if it were not there. */
export function isEmptyLayer({ size }: Measured): boolean {
  return size <= EMPTY_TAR;
}

/** Key of the files after a step: `before` is that of those before it, `measure` says what it added. */
export function portableAfter(
  before: PortableKey,
  step: PortableKey,
  measure: () => Promise<Measured>,
): PortableKey {
  return once(async () => {
    const measured = await measure();
    return isEmptyLayer(measured) ? await step() : digestOf(`${await before()} ${measured.diffId}`);
  });
}

/** What a snapshot of a stage, by its place in `frozen`, packs to on what lies below it. */
export async function measureFrozen(build: Build, state: StageState, depth: number): Promise<Measured> {
  const id = state.frozen[depth]!;
  const known = findLayer(build.store.db, [id]);
  if (known !== undefined) return known;
  return await measureLayer(build.store, await layerOf(build, state, depth), { signal: build.signal });
}

/** A snapshot of a stage as a layer to pack; what it is packed against is brought here. */
export async function layerOf(
  build: Build,
  state: StageState,
  depth: number,
): Promise<{ stack: string[]; below: string[] }> {
  await materialise(build, state);
  const base = state.base.layers.flatMap((layer) => layer.stack);
  return { stack: [state.frozen[depth]!], below: [...base, ...state.frozen.slice(0, depth)] };
}

function once(compute: PortableKey): PortableKey {
  let computed: Promise<Digest> | undefined;
  return () => {
    computed ??= compute();
    return computed;
  };
}
