/** Instructions → stages: what each stands on, which others it needs, and which of them the target needs. */
import { CooperError, type Location, locateError } from "../base/errors.ts";
import { expandWord } from "../dockerfile/expand.ts";
import type {
  ArgInstruction,
  Dockerfile,
  EscapeToken,
  FromInstruction,
  Instruction,
  Warning,
} from "../dockerfile/instruction.ts";
import { parseTrigger } from "../dockerfile/parse.ts";
import { nearHint } from "../dockerfile/suggest.ts";
import { formatPlatform, hostPlatform, parsePlatform } from "../oci/platform.ts";
import type { Platform } from "../oci/types.ts";
import { parseCheckOptions, ruleCounts } from "./check-options.ts";
import type { EnvList } from "./env-list.ts";
import { type ArgSources, globalArgs } from "./global-args.ts";
import { declaredNames, graphChecks } from "./graph-checks.ts";
import { contextFor, type NameTable, nameTable, outsideOrigin, stagesUsedBy } from "./origins.ts";
import type { BuildPlan, CheckOptions, Origin, StagePlan } from "./types.ts";

export interface PlanOptions {
  /** Name of the stage to build; the last one without it. */
  target?: string | undefined;
  /** In place of what the first FROM names. */
  from?: string | undefined;
  buildArgs?: Readonly<Record<string, string>>;
  /** What is built for; this host without it. */
  platform?: Platform | undefined;
  /** What RUN runs on; this host without it. */
  buildPlatform?: Platform | undefined;
  /** Names given with --build-context. */
  contexts?: readonly string[];
  /** Stages above the target run whether or not it needs them. */
  everyStage?: boolean;
}

/**
 * Plans a build. Throws `invalid` with a place for a file without stages, unknown and empty names, cycles, and for
 * references to later stages; `not-found` for an unknown target.
 */
export function planBuild(dockerfile: Dockerfile, options: PlanOptions = {}): BuildPlan {
  const { contexts = [] } = options;
  const { before, groups } = splitStages(dockerfile);
  const lastName = groups.at(-1)!.from.name;
  const target = options.target === undefined || options.target === "" ? undefined : options.target;
  const { escapeToken } = dockerfile.directives;
  const checks = checkOptionsOf(dockerfile);
  const sources: ArgSources = {
    buildArgs: options.buildArgs ?? {},
    platform: options.platform ?? hostPlatform(),
    buildPlatform: options.buildPlatform ?? hostPlatform(),
    targetStage: target ?? lastName ?? "default",
  };
  const args = globalArgs(before, sources, escapeToken);
  const stages = makeStages(groups, dockerfile, args, contexts, options.from);
  const table = nameTable(stages, contexts);
  for (const stage of stages) stage.needs = needsOf(stage, stage.instructions, table);
  checkCycles(stages);
  return ordered({
    stages,
    target: findTarget(stages, target, table),
    order: [],
    contexts: [...contexts],
    ...(options.everyStage === true ? { everyStage: true } : {}),
    warnings: fileWarnings(dockerfile, before, args, sources, checks),
    checks,
  });
}

function checkOptionsOf(dockerfile: Dockerfile): CheckOptions {
  try {
    return parseCheckOptions(dockerfile.directives.check);
  } catch (error) {
    throw locateError(error, { file: dockerfile.file, line: 1 });
  }
}

function fileWarnings(
  dockerfile: Dockerfile,
  before: ArgInstruction[],
  args: EnvList,
  sources: ArgSources,
  checks: CheckOptions,
): Warning[] {
  const defaults = defaultArgs(before, sources, dockerfile.directives.escapeToken);
  const found = graphChecks({ dockerfile, args, defaults, declared: declaredNames(before) });
  const graph = found.filter(({ rule, comments }) => ruleCounts(rule, checks, comments));
  return [
    ...dockerfile.warnings.filter(({ rule }) => ruleCounts(rule, checks)),
    ...graph.map(({ rule, message, location }) => ({ rule, message, location })),
  ];
}

/**
 * The plan with what the ONBUILD triggers of a stage's base image need. To be called for each needed stage on an image
 * with triggers, before anything is built; `order` may grow, by stages whose bases are then to be looked at likewise.
 * Triggers of a base that is a stage of the file are in the plan from the beginning.
 */
export function withTriggers(plan: BuildPlan, index: number, triggers: readonly string[]): BuildPlan {
  const stages = plan.stages.map((stage) => ({ ...stage, needs: [...stage.needs] }));
  addTriggerNeeds(stages[index]!, triggers, nameTable(stages, plan.contexts));
  checkCycles(stages);
  return ordered({ ...plan, stages });
}

/** The ARGs as they are without build args; undefined when that is an error, as with `${A:?}`. */
function defaultArgs(
  before: ArgInstruction[],
  sources: ArgSources,
  escapeToken: EscapeToken,
): EnvList | undefined {
  try {
    return globalArgs(before, { ...sources, buildArgs: {} }, escapeToken);
  } catch {
    return undefined;
  }
}

interface StageGroup {
  from: FromInstruction;
  instructions: Instruction[];
}

function splitStages(dockerfile: Dockerfile): { before: ArgInstruction[]; groups: StageGroup[] } {
  const before: ArgInstruction[] = [];
  const groups: StageGroup[] = [];
  for (const instruction of dockerfile.instructions) {
    const group = groups.at(-1);
    if (instruction.kind === "from") groups.push({ from: instruction, instructions: [] });
    else if (group !== undefined) group.instructions.push(instruction);
    else if (instruction.kind === "arg") before.push(instruction);
    else {
      throw new CooperError("invalid", `${instruction.keyword} stands before the first FROM`, {
        location: instruction.location,
        hint: "Only ARG may come before FROM",
      });
    }
  }
  if (groups.length > 0) return { before, groups };
  const location = dockerfile.instructions.at(-1)?.location ?? { file: dockerfile.file, line: 1 };
  throw new CooperError("invalid", "The Dockerfile has no stage: there is no FROM", { location });
}

function makeStages(
  groups: StageGroup[],
  dockerfile: Dockerfile,
  args: EnvList,
  contexts: readonly string[],
  firstBase: string | undefined,
): StagePlan[] {
  const { escapeToken } = dockerfile.directives;
  const stages: StagePlan[] = [];
  // FROM sees the stages above it only; of two with one name, the nearer.
  const above = new Map<string, number>();
  const offered = Object.fromEntries(args.names().map((name) => [name, args.get(name)!]));
  for (const [index, { from, instructions }] of groups.entries()) {
    const expandArg = (text: string) => expandWord(text, (name) => args.get(name), { escapeToken });
    const { name, location } = from;
    const replaced = name === undefined ? undefined : contextFor(name, contexts);
    try {
      // A name that was given has no variables.
      const given = index === 0 ? firstBase : undefined;
      const reference = given ?? expandBase(from, expandArg);
      const platform = expandPlatform(from, expandArg);
      const base: Origin =
        replaced === undefined
          ? baseOrigin(reference, above, contexts, platform)
          : { kind: "context", name: replaced };
      const kept = replaced === undefined ? instructions : [];
      stages.push({
        index,
        name,
        base,
        platform,
        text: given === undefined ? from.text : from.text.replace(from.base, () => given),
        instructions: kept,
        escapeToken,
        globalArgs: offered,
        needs: [],
        location,
      });
    } catch (error) {
      throw locateError(error, location);
    }
    if (name !== undefined) above.set(name, index);
  }
  for (const stage of stages)
    if (stage.base.kind === "stage") stage.platform = stages[stage.base.stage]!.platform;
  return stages;
}

function expandBase(from: FromInstruction, expandArg: (text: string) => string): string {
  const reference = expandArg(from.base);
  if (reference !== "") return reference;
  throw new CooperError("invalid", `The base name of FROM ${from.base} is empty`, {
    hint: "Give the ARG a default before the first FROM, or a value with --build-arg",
  });
}

function expandPlatform(from: FromInstruction, expandArg: (text: string) => string): string | undefined {
  if (from.platform === undefined) return undefined;
  const text = expandArg(from.platform);
  if (text === "")
    throw new CooperError("invalid", `The platform of FROM --platform=${from.platform} is empty`);
  try {
    return formatPlatform(parsePlatform(text));
  } catch (error) {
    if (!(error instanceof CooperError)) throw error;
    throw new CooperError("invalid", error.message, error.hint === undefined ? {} : { hint: error.hint });
  }
}

function baseOrigin(
  reference: string,
  above: ReadonlyMap<string, number>,
  contexts: readonly string[],
  platform: string | undefined,
): Origin {
  const stage = above.get(reference);
  return stage === undefined ? outsideOrigin(reference, contexts, platform) : { kind: "stage", stage };
}

/** Stages that instructions of a stage use, and the one that it stands on. */
function needsOf(stage: StagePlan, instructions: Instruction[], table: NameTable): number[] {
  const needs = new Set(stage.needs);
  if (stage.base.kind === "stage") needs.add(stage.base.stage);
  for (const instruction of instructions) {
    try {
      for (const used of stagesUsedBy(instruction, table, stage.escapeToken)) needs.add(used);
    } catch (error) {
      throw locateError(error, instruction.location);
    }
  }
  return [...needs].sort((a, b) => a - b);
}

function addTriggerNeeds(stage: StagePlan, triggers: readonly string[], table: NameTable): void {
  const instructions = triggers.map((trigger) => parseTrigger(trigger, stage.location));
  stage.needs = needsOf(stage, instructions, table);
}

/** Where a stage uses another one, for messages. */
function usePlace(stage: StagePlan, used: number, table: NameTable): Location {
  const user = stage.instructions.find((i) => stagesUsedBy(i, table, stage.escapeToken).includes(used));
  return user?.location ?? stage.location;
}

/** All stages, needed or not, as BuildKit does; what a stage stands on is above it and closes no circle by itself. */
function checkCycles(stages: StagePlan[]): void {
  const done = new Set<number>();
  const path: number[] = [];
  const visit = (index: number) => {
    if (done.has(index)) return;
    path.push(index);
    const { needs, base } = stages[index]!;
    for (const need of needs) {
      if (base.kind === "stage" && base.stage === need) continue;
      if (path.includes(need)) throw cycle(stages, path.slice(path.indexOf(need)));
      visit(need);
    }
    path.pop();
    done.add(index);
  };
  for (const stage of stages) visit(stage.index);
}

function cycle(stages: StagePlan[], members: number[]): CooperError {
  const last = stages[members.at(-1)!]!;
  const location = usePlace(last, members[0]!, nameTable(stages, []));
  const names = members.map((index) => stageLabel(stages[index]!));
  const message =
    names.length === 1
      ? `Stage ${names[0]} takes files from itself`
      : `The stages ${names.join(", ")} need each other: circular dependency`;
  return new CooperError("invalid", message, { location, hint: "A stage can only use stages above it" });
}

function stageLabel(stage: StagePlan): string {
  return stage.name === undefined ? `${stage.index}` : `"${stage.name}"`;
}

/** By name only, as in BuildKit: the last of several. */
function findTarget(stages: StagePlan[], target: string | undefined, table: NameTable): number {
  if (target === undefined) return stages.length - 1;
  const index = table.byName.get(target.toLowerCase());
  if (index !== undefined) return index;
  const names = [...table.byName.keys()];
  const listed =
    names.length === 0 ? "No stage of the Dockerfile has a name" : `Stages are ${names.join(", ")}`;
  const near = nearHint(target, names);
  throw new CooperError("not-found", `There is no stage "${target}" to build`, {
    hint: near === undefined ? listed : `${near} ${listed}`,
  });
}

/** Fills in `order`, following the triggers of stages that other stages stand on. */
function ordered(plan: BuildPlan): BuildPlan {
  const table = nameTable(plan.stages, plan.contexts);
  const needed = new Set(plan.everyStage === true ? upTo(plan.target) : [plan.target]);
  // A stage needs only stages above it: one way up meets every needed one after all that need it.
  for (let index = plan.target; index >= 0; index--) {
    if (!needed.has(index)) continue;
    const stage = plan.stages[index]!;
    if (stage.base.kind === "stage")
      addTriggerNeeds(stage, ownTriggers(plan.stages[stage.base.stage]!), table);
    for (const need of stage.needs) {
      if (need >= index) throw laterStage(stage, plan.stages[need]!, table);
      needed.add(need);
    }
  }
  return { ...plan, order: [...needed].sort((a, b) => a - b) };
}

const upTo = (target: number) => Array.from({ length: target + 1 }, (_, index) => index);

function ownTriggers(stage: StagePlan): string[] {
  return stage.instructions.flatMap((instruction) =>
    instruction.kind === "onbuild" ? [instruction.trigger] : [],
  );
}

function laterStage(stage: StagePlan, used: StagePlan, table: NameTable): CooperError {
  const message = `Stage ${stageLabel(stage)} uses stage ${stageLabel(used)}, which is defined below it`;
  return new CooperError("invalid", message, {
    location: usePlace(stage, used.index, table),
    hint: "Move it above",
  });
}
