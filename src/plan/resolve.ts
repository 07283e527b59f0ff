/** One stage, its base known: every instruction expanded into a Step with the config that follows from it. */
import { locateError } from "../base/errors.ts";
import type { Instruction, WorkdirInstruction } from "../dockerfile/instruction.ts";
import { parseTrigger } from "../dockerfile/parse.ts";
import type { ContainerConfig } from "../oci/types.ts";
import { absolutePath, nextWorkingDir } from "./container-path.ts";
import { DEFAULT_PATH, EnvList } from "./env-list.ts";
import { nameTable } from "./origins.ts";
import { proxyEnvironment } from "./proxy-env.ts";
import {
  changeConfig,
  resolveArg,
  resolveCmd,
  resolveEntrypoint,
  resolveEnv,
  resolveExpose,
  resolveHealthcheck,
  resolveLabel,
  resolveOnbuild,
  resolveShell,
  resolveStopsignal,
  resolveUser,
  resolveVolume,
} from "./resolve-config.ts";
import { resolveCopy } from "./resolve-copy.ts";
import { resolveRun } from "./resolve-run.ts";
import { checkInstruction, checkUnset, checkWorkdir } from "./stage-checks.ts";
import { expandIn, type StageWalk } from "./stage-walk.ts";
import type { BuildPlan, Op, ResolvedStage, StagePlan, StageState, Step } from "./types.ts";

export interface ResolveOptions {
  buildArgs?: Readonly<Record<string, string>>;
  /** Of the stage's platform; Windows images get no default PATH. */
  os?: string;
  /** RUN leaves what is below volumes as it is (--compat-volumes). */
  compatVolumes?: boolean;
}

/** What an image hands to the stage that is built on it. */
export function imageState(config: ContainerConfig = {}, author?: string): StageState {
  return { config, author, env: [], args: [] };
}

/** What FROM scratch begins with. */
export function scratchState(): StageState {
  return imageState({ WorkingDir: "/", Env: [DEFAULT_PATH] });
}

/**
 * Resolves a stage of a plan. `base` is imageState() of its base image, scratchState(), or the `state` of the stage
 * that it stands on; the base's ONBUILD triggers come first. Throws `invalid` with a place for whatever cannot be
 * expanded or means nothing.
 */
export function resolveStage(
  plan: BuildPlan,
  stage: StagePlan,
  base: StageState,
  options: ResolveOptions = {},
): ResolvedStage {
  const walk = startWalk(plan, stage, base, options);
  const triggers = (base.config.OnBuild ?? []).map((text) => parseTrigger(text, stage.location));
  const steps = [
    ...triggers.map((instruction) => resolveStep(walk, instruction, true)),
    ...stage.instructions.map((instruction) => resolveStep(walk, instruction, false)),
  ];
  const { config, author, env, args, warnings } = walk;
  const usedArgs = new Set([...Object.keys(stage.globalArgs), ...args.map((arg) => arg.name)]);
  return {
    steps,
    state: { config, author, env: env.entries(), args, workdirSet: walk.seen.has("workdir") },
    usedArgs: [...usedArgs],
    warnings,
  };
}

function startWalk(plan: BuildPlan, stage: StagePlan, base: StageState, options: ResolveOptions): StageWalk {
  const { OnBuild: _, ...config } = base.config;
  const buildArgs = options.buildArgs ?? {};
  const walk: StageWalk = {
    config,
    author: base.author,
    env: new EnvList(base.env),
    args: [...base.args],
    escapeToken: stage.escapeToken,
    table: nameTable(plan.stages, plan.contexts),
    globalArgs: stage.globalArgs,
    buildArgs,
    proxyEnv: proxyEnvironment(buildArgs),
    cmdSet: false,
    seen: new Map(base.workdirSet === true ? [["workdir", stage.location]] : []),
    warnings: [],
    checks: plan.checks,
    comments: [],
    unset: new Set(),
    compatVolumes: options.compatVolumes ?? false,
  };
  const env = config.Env ?? [];
  const hasPath = env.some((entry) => entry.startsWith("PATH="));
  if (!hasPath && options.os !== "windows") changeConfig(walk, { Env: [...env, DEFAULT_PATH] });
  // ENV of the base comes after ARGs of the stage it was built in, and wins over them.
  for (const entry of walk.config.Env ?? []) walk.env.setEntry(entry);
  const { WorkingDir } = config;
  if (WorkingDir !== undefined && WorkingDir !== "")
    changeConfig(walk, { WorkingDir: nextWorkingDir("/", WorkingDir) });
  return walk;
}

function resolveStep(walk: StageWalk, instruction: Instruction, trigger: boolean): Step {
  const { location, text } = instruction;
  walk.unset.clear();
  walk.comments = instruction.comments;
  try {
    checkInstruction(walk, instruction);
    const { op, createdBy } = resolve(walk, instruction);
    checkUnset(walk, instruction);
    return {
      op,
      config: walk.config,
      author: walk.author,
      checkpoint: instruction.checkpoint,
      createdBy,
      text: trigger ? `ONBUILD ${text}` : text,
      location,
    };
  } catch (error) {
    throw locateError(error, location);
  }
}

interface Resolved {
  op: Op;
  createdBy: string | undefined;
}

const onlyConfig = (createdBy: string | undefined): Resolved => ({ op: { kind: "config" }, createdBy });

function resolve(walk: StageWalk, instruction: Instruction): Resolved {
  switch (instruction.kind) {
    case "run":
      return resolveRun(walk, instruction);
    case "copy":
    case "add":
      return resolveCopy(walk, instruction);
    case "workdir":
      return resolveWorkdir(walk, instruction);
    case "env":
      return onlyConfig(resolveEnv(walk, instruction));
    case "label":
      return onlyConfig(resolveLabel(walk, instruction));
    case "arg":
      return onlyConfig(resolveArg(walk, instruction));
    case "user":
      return onlyConfig(resolveUser(walk, instruction));
    case "expose":
      return onlyConfig(resolveExpose(walk, instruction));
    case "volume":
      return onlyConfig(resolveVolume(walk, instruction));
    case "cmd":
      return onlyConfig(resolveCmd(walk, instruction));
    case "entrypoint":
      return onlyConfig(resolveEntrypoint(walk, instruction));
    case "shell":
      return onlyConfig(resolveShell(walk, instruction));
    case "stopsignal":
      return onlyConfig(resolveStopsignal(walk, instruction));
    case "healthcheck":
      return onlyConfig(resolveHealthcheck(walk, instruction));
    case "maintainer":
      walk.author = instruction.author;
      return onlyConfig(`MAINTAINER ${instruction.author}`);
    case "onbuild":
      resolveOnbuild(walk, instruction);
      return onlyConfig(undefined);
    case "from":
      throw new Error("FROM begins a stage, it is not in one");
  }
}

/** Makes the directory with the owner that USER names; the root is there already. */
function resolveWorkdir(walk: StageWalk, instruction: WorkdirInstruction): Resolved {
  const path = expandIn(walk, instruction.path);
  checkWorkdir(walk, path, instruction);
  const written = nextWorkingDir(walk.config.WorkingDir ?? "/", path);
  changeConfig(walk, { WorkingDir: written });
  const createdBy = `WORKDIR ${written}`;
  const directory = absolutePath(written);
  if (directory === "/") return onlyConfig(createdBy);
  return { op: { kind: "mkdir", path: directory, user: walk.config.User ?? "" }, createdBy };
}
