/** BuildKit's build checks that concern stages and the file as a whole. Names and texts of rules are BuildKit's. */
import { expandWord } from "../dockerfile/expand.ts";
import type {
  ArgInstruction,
  Dockerfile,
  EscapeToken,
  FromInstruction,
  Instruction,
  Warning,
} from "../dockerfile/instruction.ts";
import { nearName } from "../dockerfile/suggest.ts";
import { plainWords, splitLine } from "../dockerfile/words.ts";
import { normaliseDockerName } from "../oci/reference.ts";
import { parsePlatform } from "../oci/platform.ts";
import type { EnvList } from "./env-list.ts";

export interface GraphCheckInput {
  dockerfile: Dockerfile;
  /** ARGs before FROM as this build has them, and as they would be without build args. */
  args: EnvList;
  defaults: EnvList | undefined;
  /** Names of all ARGs before FROM, with a value or not. */
  declared: readonly string[];
}

type Found = Warning & { comments: readonly string[] };

/** All of them, in the order of the file; the caller leaves out what is not to count. */
export function graphChecks(input: GraphCheckInput): Found[] {
  const found: Found[] = [];
  const report = (rule: string, message: string, instruction: Instruction) =>
    found.push({ rule, message, location: instruction.location, comments: instruction.comments });
  const froms = input.dockerfile.instructions.filter((instruction) => instruction.kind === "from");
  for (const instruction of input.dockerfile.instructions) {
    if (instruction.kind === "from") checkFromWords(instruction, input.dockerfile, report);
    if (instruction.kind === "arg")
      checkDescription(
        "ARG",
        instruction,
        instruction.args.map((arg) => arg.name),
        report,
      );
  }
  checkStageNames(froms, report);
  checkCasing(input.dockerfile.instructions, report);
  for (const from of froms) checkFromArgs(from, input, report);
  return found;
}

type Report = (rule: string, message: string, instruction: Instruction) => void;

function checkFromWords(from: FromInstruction, dockerfile: Dockerfile, report: Report): void {
  const [, as, name] = plainWords(splitLine(from.text, dockerfile.directives.escapeToken).rest);
  if (as === undefined || name === undefined) return;
  if (name !== name.toLowerCase())
    report("StageNameCasing", `Stage name '${name}' should be lowercase`, from);
  const { keyword } = from;
  const lower = keyword === keyword.toLowerCase();
  const upper = keyword === keyword.toUpperCase();
  if ((lower && as !== as.toLowerCase()) || (upper && as !== as.toUpperCase())) {
    report("FromAsCasing", `'${as}' and '${keyword}' keywords' casing do not match`, from);
  }
  checkDescription("FROM", from, [from.name!], report);
}

function checkDescription(what: string, instruction: Instruction, names: string[], report: Report): void {
  const comment = instruction.comments.at(-1);
  if (comment === undefined || names.length === 0 || names.includes(comment.split(" ")[0]!)) return;
  const example = names.length > 1 ? "<arg_key>" : names[0];
  const message = `Comment for ${what} should follow the format: \`# ${example} <description>\``;
  report("InvalidDefinitionDescription", message, instruction);
}

const RESERVED = new Set(["context", "scratch"]);

function checkStageNames(froms: FromInstruction[], report: Report): void {
  const seen = new Set<string>();
  for (const from of froms) {
    const { name } = from;
    if (name === undefined) continue;
    if (RESERVED.has(name)) {
      report(
        "ReservedStageName",
        `Stage name should not use the same name as reserved stage "${name}"`,
        from,
      );
    }
    if (seen.has(name))
      report("DuplicateStageName", `Duplicate stage name "${name}", stage names should be unique`, from);
    seen.add(name);
  }
}

/** All keywords in one casing: that of the majority, capitals when there is none. ARGs before FROM do not count. */
function checkCasing(instructions: Instruction[], report: Report): void {
  const counted = instructions.slice(instructions.findIndex((instruction) => instruction.kind === "from"));
  const lower = counted.filter(({ keyword }) => keyword === keyword.toLowerCase()).length;
  const upper = counted.filter(({ keyword }) => keyword === keyword.toUpperCase()).length;
  const majority = lower > upper ? "lowercase" : "uppercase";
  for (const instruction of counted) {
    const { keyword } = instruction;
    if (keyword === (lower > upper ? keyword.toLowerCase() : keyword.toUpperCase())) continue;
    const message = `Command '${keyword}' should match the case of the command majority (${majority})`;
    report("ConsistentInstructionCasing", message, instruction);
  }
}

function checkFromArgs(from: FromInstruction, input: GraphCheckInput, report: Report): void {
  const { escapeToken } = input.dockerfile.directives;
  const expandIn = (text: string, args: EnvList) => {
    const set = new Set<string>();
    const unset = new Set<string>();
    const lookup = (name: string) => {
      const value = args.get(name);
      (value === undefined ? unset : set).add(name);
      return value;
    };
    return { text: expandWord(text, lookup, { escapeToken }), set, unset };
  };
  const base = expandIn(from.base, input.args);
  reportUndeclared(base.unset, from, input, report);
  if (input.defaults !== undefined && !isDefaultName(from, input.defaults, escapeToken)) {
    const message = `Default value for ARG ${from.base} results in empty or invalid base image name`;
    report("InvalidDefaultArgInFrom", message, from);
  }
  if (from.platform === undefined) return;
  const platform = expandIn(from.platform, input.args);
  reportUndeclared(platform.unset, from, input, report);
  const isTarget = platform.set.size === 1 && platform.unset.size === 0 && platform.set.has("TARGETPLATFORM");
  if (isTarget && platform.text === input.args.get("TARGETPLATFORM")) {
    const message = `Setting platform to predefined ${from.platform} in FROM is redundant as this is the default behavior`;
    report("RedundantTargetPlatform", message, from);
  }
  if (platform.set.size + platform.unset.size === 0) checkConstantPlatform(platform.text, from, report);
}

function reportUndeclared(
  names: Set<string>,
  from: FromInstruction,
  input: GraphCheckInput,
  report: Report,
): void {
  const known = [...input.declared, ...input.args.names()];
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = nearName(name, known, false);
    const suggestion = near === undefined ? "" : ` (did you mean ${near}?)`;
    report("UndefinedArgInFrom", `FROM argument '${name}' is not declared${suggestion}`, from);
  }
}

function checkConstantPlatform(text: string, from: FromInstruction, report: Report): void {
  const { os, architecture } = parsePlatform(text);
  if (from.name?.includes(os) === true || from.name?.includes(architecture) === true) return;
  report(
    "FromPlatformFlagConstDisallowed",
    `FROM --platform flag should not use constant value "${text}"`,
    from,
  );
}

/** What FROM names without build args is a name; an error in finding out is not this check's business. */
function isDefaultName(from: FromInstruction, defaults: EnvList, escapeToken: EscapeToken): boolean {
  let name: string;
  try {
    name = expandWord(from.base, (arg) => defaults.get(arg), { escapeToken });
  } catch {
    return true;
  }
  try {
    normaliseDockerName(name);
    return true;
  } catch {
    return false;
  }
}

/** Names that ARGs before FROM declare. */
export function declaredNames(instructions: ArgInstruction[]): string[] {
  return instructions.flatMap((instruction) => instruction.args.map((arg) => arg.name));
}
