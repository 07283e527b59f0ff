/** What a step gives: from another stage of this build, from the cache, or by executing it. */
import type { Digest } from "../base/digest.ts";
import type { StepLabel } from "../base/events.ts";
import { mkdirInContainer } from "../container/mkdir.ts";
import { keyAfter, stepKey } from "../plan/cache-key.ts";
import type { Step } from "../plan/types.ts";
import { addCached, findCached } from "../store/records.ts";
import { deleteUnused, holdSnapshots } from "../store/store.ts";
import type { Build } from "./build-image.ts";
import { executeCopy } from "./copy-step.ts";
import { executeRun } from "./run-step.ts";
import { freezeStage, mountStage, releaseStage, type StageState } from "./stage-state.ts";
import { stepInputs } from "./step-inputs.ts";

export interface StepResult {
  /** Null when the step changed no file. */
  snapshot: string | null;
  cached: boolean;
}

/** A stage whose steps are being run. */
export interface SteppedStage {
  build: Build;
  state: StageState;
  /** False from the first miss on: what follows a new snapshot is new. */
  useCache: boolean;
}

/** Runs a step, or finds what it gives, and brings the stage's state to what it is afterwards. */
export async function resultOf(stage: SteppedStage, step: Step, label: StepLabel): Promise<StepResult> {
  if (step.op.kind === "config") return { snapshot: null, cached: false };
  const { build, state } = stage;
  const { quick, exact } = await stepInputs(build, step.op);
  const key = stepKey(state.key, step, quick);
  const exactKey = exact && (async () => stepKey(state.key, step, await exact()));
  const other = build.steps.get(key);
  const shared = other === undefined ? undefined : await resultOfOther(stage, other);
  const result = shared ?? (await forOthersToo(build, key, ownResult(stage, step, label, { key, exactKey })));
  state.key = keyAfter(state.key, key, result.snapshot);
  return result;
}

/** Stages at once may have the same steps: the first to come runs them for all. */
async function resultOfOther(
  stage: SteppedStage,
  other: Promise<StepResult>,
): Promise<StepResult | undefined> {
  const { snapshot, cached } = await other;
  // What is to be run anew is not taken from the cache by way of others either.
  if (cached && !stage.useCache) return undefined;
  adopt(stage.build, stage.state, snapshot);
  return { snapshot, cached: true };
}

function forOthersToo(build: Build, key: Digest, result: Promise<StepResult>): Promise<StepResult> {
  build.steps.set(key, result);
  return result;
}

interface Keys {
  key: Digest;
  exactKey: (() => Promise<Digest>) | undefined;
}

async function ownResult(
  stage: SteppedStage,
  step: Step,
  label: StepLabel,
  { key, exactKey }: Keys,
): Promise<StepResult> {
  const { build, state, useCache } = stage;
  const known = useCache ? cachedSnapshot(build, key) : undefined;
  const exact = known === undefined ? await exactKey?.() : undefined;
  const found = known === undefined && useCache && exact !== undefined ? cachedSnapshot(build, exact) : known;
  if (found !== undefined) {
    adopt(build, state, found);
    if (exact !== undefined) remember(build, [key], found);
    return { snapshot: found, cached: true };
  }
  stage.useCache = false;
  await execute(build, state, step, label);
  const snapshot = freezeStage(build.store, state);
  remember(build, exact === undefined ? [key] : [key, exact], snapshot);
  return { snapshot, cached: false };
}

/** Goes on from a snapshot that the stage's own container, if it has one, did not make. */
function adopt({ store }: Build, state: StageState, snapshot: string | null): void {
  if (snapshot === null) return;
  state.frozen.push(snapshot);
  releaseStage(store, state);
}

function cachedSnapshot({ store }: Build, key: Digest): string | null | undefined {
  const found = findCached(store.db, key);
  if (found === undefined || found === null) return found;
  return holdSnapshots(store, [found]) ? found : undefined;
}

function remember({ store }: Build, keys: Digest[], snapshot: string | null): void {
  const replaced = store.db
    .transaction(() => keys.flatMap((key) => addCached(store.db, key, snapshot)))
    .immediate();
  deleteUnused(store, replaced);
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
