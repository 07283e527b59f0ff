/** Runs one stage: each step is found in the cache or executed, then frozen and remembered. */
import type { Digest } from "../base/digest.ts";
import type { StepLabel } from "../base/events.ts";
import { CooperError, locateError } from "../base/errors.ts";
import { mkdirInContainer } from "../container/mkdir.ts";
import { stepKey } from "../plan/cache-key.ts";
import { resolveStage } from "../plan/resolve.ts";
import type { ContainerConfig, HistoryEntry, ImageConfig } from "../oci/types.ts";
import type { ResolvedStage, StagePlan, Step } from "../plan/types.ts";
import { addCached, findCached } from "../store/records.ts";
import { holdSnapshots } from "../store/store.ts";
import type { Build } from "./build-image.ts";
import { copyInputs, executeCopy, mountDigest } from "./copy-step.ts";
import { executeRun } from "./run-step.ts";
import { continuedStage, scratchStage } from "./stage-base.ts";
import { freezeStage, mountStage, type StageState } from "./stage-state.ts";
import { openOrigin, originKey } from "./origins.ts";

/** Builds a stage whose needs are met. */
export async function buildStage(build: Build, index: number): Promise<StageState> {
  const plan = build.plan.stages[index]!;
  build.signal.throwIfAborted();
  const state = await openBase(build, plan);
  const resolved = resolve(build, plan, state);
  const run: StageRun = {
    build,
    plan,
    state,
    total: resolved.steps.length + 1,
    useCache: !build.request.noCache,
  };
  announceBase(run);
  for (const [number, step] of resolved.steps.entries()) {
    await runStep(run, step, number + 2).catch((error) => {
      throw locateError(error, step.location);
    });
  }
  state.planned = resolved.state;
  state.image = imageOf(state.image, resolved.state);
  return state;
}

/** A stage and where it stands. */
interface StageRun {
  build: Build;
  plan: StagePlan;
  state: StageState;
  total: number;
  /** False from the first miss on: what follows a new snapshot is new. */
  useCache: boolean;
}

/** What a stage begins with. */
export async function openBase(build: Build, plan: StagePlan): Promise<StageState> {
  const { base } = plan;
  try {
    if (base.kind === "scratch") return scratchStage(build.request, plan.platform);
    if (base.kind === "stage") return continuedStage(await build.stage(base.stage));
    const open = await openOrigin(
      build,
      base.kind === "image" ? { ...base, platform: base.platform ?? plan.platform } : base,
    );
    if (open.kind === "stage") return continuedStage(open.stage);
    throw new CooperError("unsupported", `A stage cannot begin with a build context that is a directory`);
  } catch (error) {
    throw locateError(error, plan.location);
  }
}

function resolve(build: Build, plan: StagePlan, state: StageState): ResolvedStage {
  const resolved = resolveStage(build.plan, plan, state.planned, {
    buildArgs: build.request.buildArgs,
    os: state.image.os,
  });
  for (const name of resolved.usedArgs) build.usedArgs.add(name);
  for (const { message, location } of resolved.warnings)
    build.request.onEvent({ type: "warning", message, location });
  return resolved;
}

function labelOf(run: StageRun, index: number, text: string, location: StagePlan["location"]): StepLabel {
  return { stage: run.plan.name ?? String(run.plan.index), index, total: run.total, text, location };
}

function announceBase(run: StageRun): void {
  const step = labelOf(run, 1, run.plan.text, run.plan.location);
  run.build.request.onEvent({ type: "step-start", step });
  run.build.request.onEvent({ type: "step-done", step, cached: false, milliseconds: 0 });
}

async function runStep(run: StageRun, step: Step, number: number): Promise<void> {
  const { build, state } = run;
  build.signal.throwIfAborted();
  const label = labelOf(run, number, step.text, step.location);
  const started = performance.now();
  build.request.onEvent({ type: "step-start", step: label });
  const { snapshot, cached } = await snapshotOf(run, step, label);
  state.image = imageOf(state.image, step);
  const stack = snapshot === null ? [] : [snapshot];
  state.plan.push({ stack, history: historyOf(step, stack.length === 0), checkpoint: step.checkpoint });
  build.request.onEvent({
    type: "step-done",
    step: label,
    cached,
    milliseconds: performance.now() - started,
  });
}

function imageOf(
  image: ImageConfig,
  state: { config: ContainerConfig; author: string | undefined },
): ImageConfig {
  return { ...image, config: state.config, ...(state.author === undefined ? {} : { author: state.author }) };
}

function historyOf(step: Step, empty: boolean): HistoryEntry[] {
  if (step.createdBy === undefined) return [];
  return [{ created_by: step.createdBy, comment: "cooper", ...(empty ? { empty_layer: true } : {}) }];
}

/** What a step adds: from the cache, or by executing it. Steps that only change the config add nothing. */
async function snapshotOf(
  run: StageRun,
  step: Step,
  label: StepLabel,
): Promise<{ snapshot: string | null; cached: boolean }> {
  const { build, state } = run;
  const key = stepKey(state.key, step, await inputsOf(build, step));
  state.key = key;
  if (step.op.kind === "config") return { snapshot: null, cached: false };
  const found = run.useCache ? cachedSnapshot(build, key) : undefined;
  if (found !== undefined) {
    if (found !== null) state.frozen.push(found);
    return { snapshot: found, cached: true };
  }
  run.useCache = false;
  await execute(run, step, label);
  const snapshot = freezeStage(build.store, state);
  build.store.db.transaction(() => addCached(build.store.db, key, snapshot)).immediate();
  return { snapshot, cached: false };
}

function cachedSnapshot(build: Build, key: Digest): string | null | undefined {
  const found = findCached(build.store.db, key);
  if (found === undefined || found === null) return found;
  return holdSnapshots(build.store, [found]) ? found : undefined;
}

async function execute(run: StageRun, step: Step, label: StepLabel): Promise<void> {
  const { build, state } = run;
  const { op } = step;
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

/** Digests of what a step reads beside its own text and the state before it. */
async function inputsOf(build: Build, step: Step): Promise<Digest[]> {
  const { op } = step;
  if (op.kind === "copy") return copyInputs(build, op);
  if (op.kind !== "run") return [];
  const inputs: Digest[] = [];
  for (const wanted of op.mounts) {
    if (wanted.type !== "bind") continue;
    inputs.push(
      (await originKey(build, wanted.from)) ?? (await mountDigest(build, wanted.from, wanted.source)),
    );
  }
  return inputs;
}
