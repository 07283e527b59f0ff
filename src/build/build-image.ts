/** Executes a Dockerfile: plans it, runs the stages that the target needs, commits the target's layers. */
import pLimit, { type LimitFunction } from "p-limit";
import { CooperError, messageOf } from "../base/errors.ts";
import type { Digest } from "../base/digest.ts";
import type { Dockerfile, Warning } from "../dockerfile/instruction.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { parsePlatform } from "../oci/platform.ts";
import { planBuild, withTriggers } from "../plan/graph.ts";
import type { BuildPlan, CopySource, Origin, ResolvedStage, StagePlan } from "../plan/types.ts";
import type { Sandbox } from "../sandbox/types.ts";
import { fileDigestCache } from "../store/file-digests.ts";
import type { StoreFiles } from "../store/store.ts";
import type { StatCache } from "../archive/hash-tree.ts";
import type { Download } from "../container/download.ts";
import type { GitCheckout } from "./fetch-git.ts";
import type { BuildRequest } from "./build-request.ts";
import { commitTarget } from "./commit-target.ts";
import { materialise } from "./materialise.ts";
import type { OpenOrigin } from "./origins.ts";
import type { RemoteCache } from "./remote-cache.ts";
import { reportWarnings, resolveStages } from "./resolve-stages.ts";
import { buildStage, openBase } from "./stage.ts";
import type { StageState } from "./stage-state.ts";
import type { StepResult } from "./step-result.ts";

/** One build under way: what the stages share. */
export interface Build {
  store: StoreFiles;
  request: BuildRequest;
  /** Undefined without --cache-from and --cache-to. */
  remote: RemoteCache | undefined;
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
  /** Results of steps, by cache key, those under way included. */
  steps: Map<Digest, Promise<StepResult>>;
  /** Chosen at the first RUN that really runs. */
  sandbox(): Sandbox;
  usedArgs: Set<string>;
  /** Content digests of the context's files from earlier builds. */
  fileDigests: StatCache;
  /** What ADD fetched already, by its source. */
  downloads: Map<CopySource, Promise<Download>>;
  checkouts: Map<CopySource, Promise<GitCheckout>>;
  /** Values of the secrets that steps asked for, by id. */
  secrets: Map<string, Buffer>;
  /** Copies that bind mounts of contexts show, by what they are copies of. */
  boundCopies: Map<string, string>;
}

export interface BuiltImage {
  id: string;
  digest: Digest;
}

/** Builds and names the image. Throws the first failing stage's error; then nothing is named. */
export async function buildImage(
  store: StoreFiles,
  request: BuildRequest,
  sandbox: () => Sandbox,
): Promise<BuiltImage> {
  const build = await planned(store, request, sandbox);
  reportWarnings(build, build.warnings);
  try {
    const target = await finishedTarget(build);
    warnUnusedArgs(build);
    request.signal.throwIfAborted();
    const image = commitTarget(build, target);
    if (build.remote !== undefined) await exportSteps(build, build.remote);
    return image;
  } catch (error) {
    if (build.remote !== undefined && isFailedStep(error)) await exportOfFailure(build, build.remote);
    throw error;
  }
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
  build.stage = stageRunner(build, pLimit(Math.max(1, build.request.jobs)));
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
  return (await planned(store, request, none)).warnings;
}

/** A build about to run: planned, its bases at hand, all that it will do resolved. */
async function planned(store: StoreFiles, request: BuildRequest, sandbox: () => Sandbox): Promise<Build> {
  const { cacheFrom, cacheTo } = request;
  const build: Build = {
    store,
    request,
    remote: cacheFrom.length + cacheTo.length === 0 ? undefined : await openRemote(request),
    plan: planBuild(withCheckArg(parseDockerfiles(request.dockerfiles), request), {
      buildArgs: request.buildArgs,
      contexts: Object.keys(request.buildContexts),
      target: request.target,
      platform: request.platform === undefined ? undefined : parsePlatform(request.platform),
    }),
    signal: request.signal,
    fail: () => {},
    resolved: new Map(),
    warnings: [],
    stage: () => Promise.reject(new CooperError("internal", "No stage runs yet")),
    origins: new Map(),
    steps: new Map(),
    sandbox: once(sandbox),
    usedArgs: new Set(),
    fileDigests: fileDigestCache(store.db),
    downloads: new Map(),
    checkouts: new Map(),
    secrets: new Map(),
    boundCopies: new Map(),
  };
  prepareRun(build);
  await planTriggers(build);
  const { stages, warnings } = await resolveStages(build);
  build.resolved = stages;
  build.warnings = warnings;
  return build;
}

async function openRemote(request: BuildRequest): Promise<RemoteCache> {
  const { openRemoteCache } = await import("./remote-cache.ts");
  return await openRemoteCache(request);
}

/** BuildKit's build arg for the checks goes before the file's directive. */
function withCheckArg(dockerfile: Dockerfile, { buildArgs }: BuildRequest): Dockerfile {
  const check = buildArgs.BUILDKIT_DOCKERFILE_CHECK;
  return check === undefined
    ? dockerfile
    : { ...dockerfile, directives: { ...dockerfile.directives, check } };
}

/** Several files are one, as in Buildah; each keeps its name for messages. */
function parseDockerfiles(files: BuildRequest["dockerfiles"]): Dockerfile {
  const [first, ...rest] = files.map(({ text, file }) => parseDockerfile(text, file));
  if (first === undefined) throw new CooperError("internal", "A build has no Dockerfile");
  return {
    ...first,
    instructions: [first, ...rest].flatMap((parsed) => parsed.instructions),
    warnings: [first, ...rest].flatMap((parsed) => parsed.warnings),
  };
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

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Runs a stage at most once, after the stages that it is known to need, when a job is free. */
function stageRunner(build: Build, limit: LimitFunction): Build["stage"] {
  const running = new Map<number, Promise<StageState>>();
  const start = async (index: number): Promise<StageState> => {
    const { needs } = build.plan.stages[index]!;
    await Promise.all(needs.map((need) => build.stage(need)));
    try {
      return await limit(() => buildStage(build, index));
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
