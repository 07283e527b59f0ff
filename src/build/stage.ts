/** Runs one stage: what it stands on, its steps one after another, and the layers and history that follow from them. */
import { digestOf } from "../base/digest.ts";
import type { StepLabel } from "../base/events.ts";
import { CooperError, locateError } from "../base/errors.ts";
import { hashInTurns } from "../archive/hash-tree.ts";
import { PLAIN_PLACEMENT, placeFiles } from "../container/place-files.ts";
import type { ContainerConfig, HistoryEntry, ImageConfig } from "../oci/types.ts";
import type { Origin, StagePlan, Step } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { continuedStage, scratchStage } from "./stage-base.ts";
import { freezeStage, mountStage, releaseStage, type StageState } from "./stage-state.ts";
import { ignoreOf, type OpenDirectory, openOrigin } from "./origins.ts";
import { resultOf, type SteppedStage } from "./step-result.ts";

/** Builds a stage whose needs are met. */
export async function buildStage(build: Build, index: number): Promise<StageState> {
  const plan = build.plan.stages[index]!;
  build.signal.throwIfAborted();
  const state = await openBase(build, plan);
  const resolved = build.resolved.get(index)!;
  const cacheAsked = !build.request.noCache && !isFiltered(build, plan);
  const run: StageRun = {
    build,
    plan,
    state,
    total: resolved.steps.length + 1,
    baseKey: state.key,
    cacheAsked,
    useCache: cacheAsked,
    lastRun: undefined,
    records: undefined,
  };
  announceBase(run);
  for (const [number, step] of resolved.steps.entries()) {
    await runStep(run, step, number + 2).catch((error) => {
      throw locateError(error, step.location);
    });
  }
  if (!isReadFrom(build, index)) releaseStage(build.store, state);
  state.planned = resolved.state;
  state.image = imageOf(state.image, resolved.state);
  return state;
}

/** Whether COPY --from or a mount of any stage looks into a stage; one FROM it has a tree of its own. */
function isReadFrom(build: Build, index: number): boolean {
  const names = (origin: Origin | undefined) => origin?.kind === "stage" && origin.stage === index;
  return [...build.resolved.values()].some(({ steps }) =>
    steps.some(({ op }) => {
      if (op.kind === "copy") return names(op.from);
      return op.kind === "run" && op.mounts.some((mount) => "from" in mount && names(mount.from));
    }),
  );
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
  const owned = { owner: { uid: 0, gid: 0 }, capabilities: false };
  const content = await hashInTurns(source, owned, { cache: build.fileDigests, signal });
  const key = digestOf(`${state.key} directory ${content}`);
  state.key = key;
  state.portable = async () => key;
  await placeFiles(files, {
    ...PLAIN_PLACEMENT,
    root: mountStage(store, request, state),
    destination: "/",
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
interface StageRun extends SteppedStage {
  total: number;
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
  const milliseconds = () => performance.now() - started;
  const rejected = build.remote?.rejected.size;
  const { snapshot, cached, hit, ranAs } = await resultOf(run, step, label).catch((error) => {
    const isCancelled = error instanceof CooperError && error.code === "cancelled";
    // After a broken entry of a remote cache all is done again without it.
    const cancelled = isCancelled || build.remote?.rejected.size !== rejected;
    build.request.onEvent({ type: "step-failed", step: label, cancelled, milliseconds: milliseconds() });
    throw error;
  });
  state.image = imageOf(state.image, step);
  const stack = snapshot === null ? [] : [snapshot];
  state.plan.push({ stack, history: historyOf(step, stack.length === 0), checkpoint: step.checkpoint });
  build.request.onEvent({
    type: "step-done",
    step: label,
    cached,
    ...(hit === undefined ? {} : { from: hit.place.name }),
    ...(cached && ranAs !== undefined ? { sharedWith: ranAs } : {}),
    milliseconds: milliseconds(),
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
