/** What a step gives: from another stage of this build, from the cache, or by executing it. */
import type { Digest } from "../base/digest.ts";
import type { StepLabel } from "../base/events.ts";
import { mkdirInContainer } from "../container/mkdir.ts";
import { keyAfter, stepKey } from "../plan/cache-key.ts";
import type { StepFacts } from "../plan/step-facts.ts";
import type { StagePlan, Step } from "../plan/types.ts";
import { knownStep, rememberStep } from "../store/step-cache.ts";
import { saveStepRecord, type StepRecord } from "../store/step-records.ts";
import type { Build } from "./build-image.ts";
import { executeCopy } from "./copy-step.ts";
import { explainMiss, factsOf, nameFiles, placeOf } from "./explain-miss.ts";
import { leakInSnapshot } from "./leak-guard.ts";
import { materialise } from "./materialise.ts";
import { measureFrozen, portableAfter, type PortableKey, portableStep } from "./portable-key.ts";
import type { RemoteCache, RemoteHit } from "./remote-cache.ts";
import { executeRun, expectRun } from "./run-step.ts";
import { freezeStage, mountStage, releaseStage, type StageState } from "./stage-state.ts";
import { keyWithSecrets } from "./secrets.ts";
import { type Inputs, stepInputs } from "./step-inputs.ts";

export interface StepResult {
  /** Null when the step changed no file; of one in a remote cache what stands for it until materialise(). */
  snapshot: string | null;
  /** Of a result that came from a remote cache, now or earlier: what identifies it in keys of this store. */
  diffId: Digest | null;
  /** When it was run: milliseconds since 1970. */
  created: number;
  cached: boolean;
  /** Where this build found it. */
  hit?: RemoteHit;
  /** The step that this build ran for it: the one that asks, or its equal in another stage. */
  ranAs?: RanStep;
}

/** A step of this build, as events name it. */
export type RanStep = Pick<StepLabel, "stage" | "index">;

/** A stage whose steps are being run. */
export interface SteppedStage {
  build: Build;
  plan: StagePlan;
  state: StageState;
  /** The state's key before its first step. */
  baseKey: Digest;
  /** Whether results of earlier builds may be used at all. */
  cacheAsked: boolean;
  /** Number of the last step that was run, here or for an equal step of another stage. */
  lastRun: number | undefined;
  /** What is known of the stage's steps from earlier builds, once somebody asked. */
  records: StepRecord[] | undefined;
  /** False from the first miss on: what follows a new snapshot is new. */
  useCache: boolean;
}

/** A step's key in this store, and in remote caches. */
interface Keys {
  inputs: Inputs;
  local: Digest;
  portable: PortableKey;
}

function keysOf({ key, portable }: StageState, step: Step, inputs: Inputs): Keys {
  return {
    inputs,
    local: stepKey(key, step, inputs.digests),
    portable: portableStep(portable, step, inputs),
  };
}

/** Runs a step, or finds what it gives, and brings the stage's state to what it is afterwards. */
export async function resultOf(
  stage: SteppedStage,
  step: Step,
  label: StepLabel,
): Promise<Pick<StepResult, "snapshot" | "cached" | "hit" | "ranAs">> {
  if (step.op.kind === "config") return { snapshot: null, cached: false };
  const { build, state } = stage;
  const inputs = await stepInputs(build, step.op);
  const quick = keysOf(state, step, inputs.quick);
  const exact = once(async () => inputs.exact && keysOf(state, step, await inputs.exact()));
  const other = build.steps.get(quick.local);
  const shared =
    other === undefined
      ? undefined
      : await resultOfOther(stage, other, label, async () =>
          factsOf(stage, step, ((await exact()) ?? quick).inputs),
        );
  const result =
    shared ?? (await forOthersToo(build, quick.local, ownResult(stage, step, label, { quick, exact })));
  state.key = keyAfter(state.key, quick.local, result.diffId ?? result.snapshot);
  if (build.remote !== undefined)
    noteResult(
      stage,
      build.remote,
      step,
      [quick, exact.known].filter((keys) => keys !== undefined),
      result,
    );
  return result;
}

/** Stages at once may have the same steps: the first to come runs them for all. */
async function resultOfOther(
  stage: SteppedStage,
  other: Promise<StepResult>,
  { index: number, text }: StepLabel,
  facts: () => Promise<StepFacts>,
): Promise<StepResult | undefined> {
  const result = await other;
  // What is to be run anew is not taken from the cache by way of others either.
  if (result.cached && !stage.useCache) return undefined;
  adopt(stage.build, stage.state, result.snapshot);
  if (result.ranAs !== undefined) {
    stage.lastRun = number;
    const { snapshot } = result;
    const record = { number, text, facts: JSON.stringify(await facts()), snapshot };
    saveStepRecord(stage.build.store.db, placeOf(stage), record);
  }
  return { ...result, cached: true };
}

function forOthersToo(build: Build, key: Digest, result: Promise<StepResult>): Promise<StepResult> {
  build.steps.set(key, result);
  return result;
}

async function ownResult(
  stage: SteppedStage,
  step: Step,
  label: StepLabel,
  keys: { quick: Keys; exact: Once<Keys | undefined> },
): Promise<StepResult> {
  const { build, state, useCache } = stage;
  const { quick } = keys;
  const known = useCache ? await knownResult(build, quick, []) : undefined;
  const exact = known === undefined ? await keys.exact() : undefined;
  const withSecrets = keyWithSecrets(build, step.op, quick.local);
  const found =
    known ??
    (useCache && exact ? await knownResult(build, exact, [quick.local]) : undefined) ??
    (useCache && withSecrets ? cachedResult(build, withSecrets) : undefined);
  if (found !== undefined) {
    adopt(build, state, found.snapshot);
    return found;
  }
  const facts = factsOf(stage, step, (exact ?? quick).inputs);
  const why = build.request.onMiss === undefined ? undefined : explainMiss(stage, label, facts);
  stage.useCache = false;
  expectNextRun(stage, label.index);
  await materialise(build, state);
  try {
    await execute(build, state, step, label);
  } catch (error) {
    if (why !== undefined) build.request.onMiss?.(label, why.miss);
    throw error;
  }
  stage.lastRun = label.index;
  const result = { snapshot: freezeStage(build.store, state), diffId: null, created: Date.now() };
  const { index: number, text } = label;
  // What of a secret is in its files could not be told from anything else once there is another one.
  const isLeaking =
    withSecrets !== undefined &&
    result.snapshot !== null &&
    (await leakInSnapshot(build, result.snapshot)) !== undefined;
  const plain = exact === undefined ? [quick.local] : [quick.local, exact.local];
  remember(build, isLeaking ? [withSecrets] : plain, result, () =>
    saveStepRecord(build.store.db, placeOf(stage), {
      number,
      text,
      facts: JSON.stringify(facts),
      snapshot: result.snapshot,
    }),
  );
  if (why !== undefined) build.request.onMiss?.(label, nameFiles(build, step, why, result.snapshot));
  return { ...result, cached: false, ranAs: { stage: label.stage, index: label.index } };
}

/** After a miss, the next RUN will run. Steps are counted from the base, which is the first. */
function expectNextRun({ build, plan }: SteppedStage, number: number): void {
  const { steps } = build.resolved.get(plan.index)!;
  const next = steps.slice(number - 2).find(({ op }) => op.kind === "run")?.op;
  if (next?.kind === "run") expectRun(build, next);
}

/** What this store, or else a remote cache, knows under a key; it is remembered under the others, too. */
async function knownResult(
  build: Build,
  { local, portable }: Keys,
  others: Digest[],
): Promise<StepResult | undefined> {
  const found = cachedResult(build, local);
  if (found !== undefined) {
    if (others.length > 0) remember(build, others, found);
    return found;
  }
  if (build.remote === undefined) return undefined;
  const { findRemoteStep } = await import("./remote-layers.ts");
  return await findRemoteStep(build, build.remote, [local, ...others], portable);
}

/** Goes on from a snapshot that the stage's own container, if it has one, did not make. */
function adopt({ store }: Build, state: StageState, snapshot: string | null): void {
  if (snapshot === null) return;
  state.frozen.push(snapshot);
  releaseStage(store, state);
}

function cachedResult({ store, request }: Build, key: Digest): StepResult | undefined {
  const found = knownStep(store, key, request.cacheNotBefore);
  if (found === undefined) return undefined;
  const { snapshot, result, created } = found;
  return { snapshot, diffId: result, created, cached: true };
}

function remember(
  { store }: Build,
  keys: Digest[],
  result: Omit<StepResult, "cached">,
  record?: () => void,
): void {
  const { snapshot, diffId, created } = result;
  rememberStep(store, keys, { snapshot, result: diffId, created }, record);
}

/** Goes on with the key that all machines compute alike, and notes what there is to export. */
function noteResult(
  { build, plan, state }: SteppedStage,
  remote: RemoteCache,
  { text }: Step,
  keys: Keys[],
  { snapshot, created, cached, hit }: StepResult,
): void {
  const before = state.portable;
  const step = keys[0]!.portable;
  const depth = snapshot === null ? undefined : state.frozen.length - 1;
  if (depth === undefined) state.portable = step;
  else {
    const measure = async () => hit?.entry.layers[0] ?? (await measureFrozen(build, state, depth));
    state.portable = portableAfter(before, step, measure);
  }
  remote.steps.push({
    stage: plan.index,
    text,
    keys: keys.map(({ portable }) => portable),
    state,
    depth,
    isNew: !cached,
    created,
    hit,
  });
}

/** A computation that is done at its first call; `known` is what it gave, if it was called. */
interface Once<T> {
  (): Promise<T>;
  known: T | undefined;
}

function once<T>(compute: () => Promise<T>): Once<T> {
  let computed: Promise<T> | undefined;
  const call: Once<T> = Object.assign(
    () => {
      computed ??= compute().then((value) => {
        call.known = value;
        return value;
      });
      return computed;
    },
    { known: undefined },
  );
  return call;
}

async function execute(build: Build, state: StageState, { op }: Step, label: StepLabel): Promise<void> {
  switch (op.kind) {
    case "run":
      return executeRun(build, state, op, label);
    case "copy":
      return executeCopy(build, state, op);
    case "mkdir":
      mkdirInContainer(mountStage(build.store, build.request, state), op.path, op.user);
      return;
    case "config":
      return;
  }
}
