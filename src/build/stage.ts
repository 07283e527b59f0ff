/** Runs one stage: each step is found in the cache or executed, then frozen and remembered. */
import { type Digest, digestOf } from "../base/digest.ts";
import type { StepLabel } from "../base/events.ts";
import { locateError } from "../base/errors.ts";
import { hashSources } from "../archive/hash-tree.ts";
import { mkdirInContainer } from "../container/mkdir.ts";
import { placeFiles } from "../container/place-files.ts";
import { stepKey } from "../plan/cache-key.ts";
import type { ContainerConfig, HistoryEntry, ImageConfig } from "../oci/types.ts";
import type { StagePlan, Step } from "../plan/types.ts";
import { addCached, findCached } from "../store/records.ts";
import { deleteUnused, holdSnapshots } from "../store/store.ts";
import type { Build } from "./build-image.ts";
import { copyInputs, executeCopy, mountDigest } from "./copy-step.ts";
import { executeRun } from "./run-step.ts";
import { noteSecret } from "./secrets.ts";
import { continuedStage, scratchStage } from "./stage-base.ts";
import { freezeStage, mountStage, type StageState } from "./stage-state.ts";
import { ignoreOf, type OpenDirectory, openOrigin, originKey } from "./origins.ts";

/** Builds a stage whose needs are met. */
export async function buildStage(build: Build, index: number): Promise<StageState> {
  const plan = build.plan.stages[index]!;
  build.signal.throwIfAborted();
  const state = await openBase(build, plan);
  const resolved = build.resolved.get(index)!;
  const run: StageRun = {
    build,
    plan,
    state,
    total: resolved.steps.length + 1,
    useCache: !build.request.noCache && !isFiltered(build, plan),
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

/** A stage FROM a directory given with --build-context: its files on nothing, as one layer. */
async function directoryStage(build: Build, plan: StagePlan, open: OpenDirectory): Promise<StageState> {
  const { store, request, signal } = build;
  const state = scratchStage(request, plan.platform);
  const label = `build context ${plan.name ?? ""}`.trimEnd();
  const files = { root: open.path, label, patterns: ["."], ignore: ignoreOf(open) };
  const source = {
    sourceRoot: open.path,
    sources: ["."],
    wildcards: false,
    parents: false,
    ignore: files.ignore,
  };
  const content = hashSources(source, { owner: { uid: 0, gid: 0 }, capabilities: false }, build.fileDigests);
  state.key = digestOf(`${state.key} directory ${content}`);
  await placeFiles(files, {
    root: mountStage(store, request, state),
    destination: "/",
    chown: undefined,
    keepOwners: false,
    chmod: undefined,
    link: false,
    parents: false,
    exclude: [],
    wildcards: false,
    unpack: false,
    directoryContents: true,
    signal,
  });
  const snapshot = freezeStage(store, state);
  const history = [{ created_by: `FROM ${plan.name ?? "context"}`, comment: "cooper" }];
  if (snapshot !== null) state.plan.push({ stack: [snapshot], history, checkpoint: false });
  return state;
}

/** Whether --no-cache-filter names the stage; one that has no name goes by its number. */
function isFiltered(build: Build, plan: StagePlan): boolean {
  const { name, index } = plan;
  return build.request.noCacheFilter.some((asked) =>
    name === undefined ? asked === String(index) : asked.toLowerCase() === name,
  );
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
    return directoryStage(build, plan, open);
  } catch (error) {
    throw locateError(error, plan.location);
  }
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
  const result = await resultOf(run, step, label, key);
  // What was made counts, not only how: after a step that was run anew nothing of what stood on it is still true.
  if (result.snapshot !== null) state.key = digestOf(`${key} ${result.snapshot}`);
  return result;
}

async function resultOf(
  run: StageRun,
  step: Step,
  label: StepLabel,
  key: Digest,
): Promise<{ snapshot: string | null; cached: boolean }> {
  const { build, state } = run;
  const found = run.useCache ? cachedSnapshot(build, key) : undefined;
  if (found !== undefined) {
    if (found !== null) state.frozen.push(found);
    return { snapshot: found, cached: true };
  }
  run.useCache = false;
  await execute(run, step, label);
  const snapshot = freezeStage(build.store, state);
  const replaced = build.store.db.transaction(() => addCached(build.store.db, key, snapshot)).immediate();
  deleteUnused(build.store, replaced);
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
    // Whether a secret was there, never what it holds: without it the step may leave something else.
    if (wanted.type === "secret") inputs.push(digestOf(`secret ${noteSecret(build, wanted.id)}`));
    if (wanted.type !== "bind") continue;
    inputs.push(
      (await originKey(build, wanted.from)) ?? (await mountDigest(build, wanted.from, wanted.source)),
    );
  }
  return inputs;
}
