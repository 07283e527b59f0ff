/** `# check=skip=RULE,…;error=true`: which build checks count, and whether one that is not met fails the build. */
import { CooperError } from "../base/errors.ts";
import type { Warning } from "../dockerfile/instruction.ts";
import { parseGoBool } from "./go-bool.ts";
import type { CheckOptions } from "./types.ts";

/** Checks that count only when they are asked for. */
const EXPERIMENTAL = new Set(["InvalidDefinitionDescription"]);

export const NO_CHECK_OPTIONS: CheckOptions = { skip: [], experimental: [], error: false };

/** Reads the value of a check directive; `all` stands for every rule. Throws `invalid`. */
export function parseCheckOptions(text: string | undefined): CheckOptions {
  const options: CheckOptions = { ...NO_CHECK_OPTIONS };
  const trimmed = text?.trim() ?? "";
  if (trimmed === "") return options;
  for (const part of trimmed.split(";")) {
    const sign = part.indexOf("=");
    const key = sign === -1 ? undefined : part.slice(0, sign).trim();
    const value = part.slice(sign + 1).trim();
    if (key === "skip" || key === "experimental") options[key] = value.split(",").map((rule) => rule.trim());
    else if (key === "error") options.error = errorSwitch(value, part);
    else throw malformed(part);
  }
  return options;
}

function errorSwitch(value: string, part: string): boolean {
  const parsed = parseGoBool(value);
  if (parsed === undefined) throw malformed(part);
  return parsed;
}

function malformed(part: string): CooperError {
  return new CooperError("invalid", `Invalid check option "${part}"`, {
    hint: "Write skip=RULE,RULE or skip=all, experimental=RULE, error=true, separated by ;",
  });
}

/** Whether a rule counts, given the options of the file and the comments above an instruction. */
export function ruleCounts(rule: string, options: CheckOptions, comments: readonly string[] = []): boolean {
  const { skip, experimental } = optionsAbove(comments);
  const names = EXPERIMENTAL.has(rule)
    ? [...options.experimental, ...experimental]
    : [...options.skip, ...skip];
  const named = names.includes("all") || names.includes(rule);
  return EXPERIMENTAL.has(rule) ? named : !named;
}

/** `# check=skip=RULE` among the comments directly above an instruction is for that instruction. */
function optionsAbove(comments: readonly string[]): CheckOptions {
  for (const comment of comments) {
    const value = /^check\s*=\s*(\S+)/i.exec(comment)?.[1];
    if (value === undefined) continue;
    try {
      return parseCheckOptions(value);
    } catch {
      return NO_CHECK_OPTIONS;
    }
  }
  return NO_CHECK_OPTIONS;
}

/**
 * With `error=true`, throws `invalid` when there is any warning, as BuildKit does at the end of a build. To be given
 * the warnings of the plan and of every stage that was resolved.
 */
export function enforceChecks(options: CheckOptions, warnings: readonly Warning[]): void {
  const [first] = warnings;
  if (!options.error || first === undefined) return;
  const rules = [...new Set(warnings.map((warning) => warning.rule))].sort();
  throw new CooperError(
    "invalid",
    `The Dockerfile does not pass the build checks ${rules.join(", ")}: ${first.message}`,
    {
      location: first.location,
      hint: "The file asks for this with # check=error=true",
    },
  );
}
