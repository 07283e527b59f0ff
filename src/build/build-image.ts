/** Executes a Dockerfile: plans it, runs the stages that the target needs, commits the target's layers. */
import { CooperError, messageOf } from "../base/errors.ts";
import type { Digest } from "../base/digest.ts";
import type { Warning } from "../dockerfile/instruction.ts";
import type { ImageConfig } from "../oci/types.ts";
import { withTriggers } from "../plan/graph.ts";
import type { BuildPlan, Origin, ResolvedStage, StagePlan } from "../plan/types.ts";
import type { Sandbox } from "../sandbox/types.ts";
import { fileDigestCache } from "../store/file-digests.ts";
import type { StoreFiles } from "../store/store.ts";
import type { StatCache } from "../archive/stat-cache.ts";
import type { BuildRequest } from "./build-request.ts";
import { commitTarget } from "./commit-target.ts";
import { materialise } from "./materialise.ts";
import type { OpenOrigin } from "./origins.ts";
import type { RemoteCache } from "./remote-cache.ts";
import { reportWarnings, resolveStages } from "./resolve-stages.ts";
import { buildStage, openBase } from "./stage.ts";
import { planRequest } from "./plan-request.ts";
import { openSharedWork, type SharedWork } from "./shared-work.ts";
import type { StageState } from "./stage-state.ts";

/** One build under way: what the stages share. */
export interface Build extends SharedWork {
  store: StoreFiles;
  request: BuildRequest;
  plan: BuildPlan;
  /** Aborts when the caller does, or when a stage failed. */
  signal: AbortSignal;
  /** Ends the other stages. */
  fail(error: unknown): void;
  /** Its stages expanded, by index. */
  resolved: Map<number, ResolvedStage>;
  /** Build checks that are not met. */
  warnings: Warning[];
  /** Result of a stage, begun at the first call. */
  stage(index: number): Promise<StageState>;
  origins: Map<string, Promise<OpenOrigin>>;
  usedArgs: Set<string>;
  /** Content digests of the context's files from earlier builds. */
  fileDigests: StatCache;
  /** Values of the secrets that steps asked for, by id. */
  secrets: Map<string, Buffer>;
  /** Snapshots that hold none of the secrets, and how many of these there were when they were searched. */
  searched: Map<string, number>;
  /** Copies that bind mounts of contexts show, by what they are copies of. */
  boundCopies: Map<string, string>;
}

export interface BuiltImage {
  id: string;
  digest: Digest;
}

/** A build that has run all that it had to. */
export interface FinishedBuild {
  /** Of what it is to be: the config without what the command line adds. */
  image: ImageConfig;
  /** Commits and names the image, and exports the cache. */
  commit(): Promise<BuiltImage>;
}

/** Builds and names the image. Throws the first failing stage's error; then nothing is named. */
export async function buildImage(
  store: StoreFiles,
  request: BuildRequest,
  sandbox: () => Sandbox,
): Promise<BuiltImage> {
  await using shared = await openSharedWork(request, sandbox);
  const finished = await runBuild(store, request, shared);
  return await finished.commit();
}

/** Runs the stages that the target needs. Throws the first failing stage's error. */
export async function runBuild(
  store: StoreFiles,
  request: BuildRequest,
  shared: SharedWork,
): Promise<FinishedBuild> {
  const build = await planned(store, request, shared);
  reportWarnings(build, build.warnings);
  try {
    const target = await finishedTarget(build);
    warnUnusedArgs(build);
    return { image: target.image, commit: () => commitBuild(build, target) };
  } catch (error) {
    if (build.remote !== undefined && isFailedStep(error)) await exportOfFailure(build, build.remote);
    throw error;
  }
}

async function commitBuild(build: Build, target: StageState): Promise<BuiltImage> {
  build.request.signal.throwIfAborted();
  const image = await commitTarget(build, target);
  if (build.remote !== undefined) await exportSteps(build, build.remote);
  return image;
}

/**
 * The target's result, its files at hand. When an entry of a remote cache turns out to be broken, all is done once more
 * without that entry: what was run is in the store's own cache.
 */
async function finishedTarget(build: Build): Promise<StageState> {
  for (;;) {
    const rejected = build.remote?.rejected.size;
    try {
      const target = await runStages(build);
      await materialise(build, target);
      return target;
    } catch (error) {
      if (build.remote?.rejected.size === rejected || build.request.signal.aborted) throw error;
      startAgain(build);
    }
  }
}

/** Forgets what the stages gave; images, contexts and what the store's cache has stay. */
function startAgain(build: Build): void {
  for (const key of [...build.origins.keys()])
    if ((JSON.parse(key) as Origin).kind === "stage") build.origins.delete(key);
  build.steps.clear();
  build.downloads.clear();
  build.checkouts.clear();
  if (build.remote !== undefined) build.remote.steps = [];
  prepareRun(build);
}

/** What a run of the stages has of its own. */
function prepareRun(build: Build): void {
  const failed = new AbortController();
  build.signal = AbortSignal.any([build.request.signal, failed.signal]);
  build.fail = (error) => failed.abort(error);
  build.stage = stageRunner(build);
}

async function exportSteps(build: Build, remote: RemoteCache): Promise<void> {
  if (build.request.cacheTo.length === 0) return;
  const { exportCache } = await import("./export-cache.ts");
  await exportCache(build, remote);
}

const isFailedStep = (error: unknown) => error instanceof CooperError && error.code === "run-failed";

/** What went well before a step failed is worth keeping, too; the failure is what is told. */
async function exportOfFailure(build: Build, remote: RemoteCache): Promise<void> {
  try {
    await exportSteps(build, remote);
  } catch (error) {
    build.request.onEvent({ type: "warning", message: messageOf(error) });
  }
}

/** Everything that is said of the Dockerfile without running it. Throws what building it would before its first step. */
export async function checkImage(store: StoreFiles, request: BuildRequest): Promise<Warning[]> {
  const none = () => {
    throw new CooperError("internal", "A check runs nothing");
  };
  return (await planned(store, request, await openSharedWork(request, none))).warnings;
}

/** A build about to run: planned, its bases at hand, all that it will do resolved. */
async function planned(store: StoreFiles, request: BuildRequest, shared: SharedWork): Promise<Build> {
  const build: Build = {
    ...shared,
    store,
    request,
    // What it is to export is each build's own.
    remote: shared.remote === undefined ? undefined : { ...shared.remote, steps: [], mounts: new Map() },
    plan: planRequest(request),
    signal: request.signal,
    fail: () => {},
    resolved: new Map(),
    warnings: [],
    stage: () => Promise.reject(new CooperError("internal", "No stage runs yet")),
    origins: new Map(),
    usedArgs: new Set(),
    fileDigests: fileDigestCache(store.db),
    secrets: request.secretValues,
    searched: new Map(),
    boundCopies: new Map(),
  };
  prepareRun(build);
  await planTriggers(build);
  const { stages, warnings } = await resolveStages(build);
  build.resolved = stages;
  build.warnings = warnings;
  return build;
}

/** ONBUILD triggers of base images may need stages that nothing else needs: known only when the bases are at hand. */
async function planTriggers(build: Build): Promise<void> {
  const seen = new Set<number>();
  for (let index = next(); index !== undefined; index = next()) {
    seen.add(index);
    const triggers = await triggersOf(build, build.plan.stages[index]!);
    if (triggers.length > 0) build.plan = withTriggers(build.plan, index, triggers);
  }
  function next(): number | undefined {
    return build.plan.order.find((index) => !seen.has(index));
  }
}

async function triggersOf(build: Build, stage: StagePlan): Promise<string[]> {
  if (stage.base.kind !== "image" && stage.base.kind !== "context") return [];
  const base = await openBase(build, stage);
  return base.planned.config.OnBuild ?? [];
}

/** Runs a stage at most once, after the stages that it is known to need, when a job is free. */
function stageRunner(build: Build): Build["stage"] {
  const running = new Map<number, Promise<StageState>>();
  const start = async (index: number): Promise<StageState> => {
    const { needs } = build.plan.stages[index]!;
    await Promise.all(needs.map((need) => build.stage(need)));
    try {
      return await build.limit(() => buildStage(build, index));
    } catch (error) {
      build.fail(error);
      throw error;
    }
  };
  return (index) => {
    let stage = running.get(index);
    if (stage === undefined) {
      stage = start(index);
      // Whoever waits for it sees the failure; nobody may be waiting yet.
      stage.catch(() => {});
      running.set(index, stage);
    }
    return stage;
  };
}

/** The target's result. When a stage fails, the others are ended before the failure is reported. */
async function runStages(build: Build): Promise<StageState> {
  const stages = build.plan.order.map((index) => build.stage(index));
  const results = await Promise.allSettled(stages);
  const failures = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  const first =
    failures.find((error) => !(error instanceof CooperError && error.code === "cancelled")) ?? failures[0];
  if (first !== undefined) throw first;
  return build.stage(build.plan.target);
}

function warnUnusedArgs(build: Build): void {
  const unused = Object.keys(build.request.buildArgs).filter(
    // These have their effects without an ARG.
    (name) => !build.usedArgs.has(name) && !/^(?:SOURCE_DATE_EPOCH$|BUILDKIT_)/.test(name),
  );
  if (unused.length === 0) return;
  build.request.onEvent({
    type: "warning",
    message: `No instruction uses the build args ${unused.sort().join(", ")}`,
  });
}
