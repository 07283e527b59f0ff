/** A user's seccomp profile in Docker's JSON format (moby/profiles, seccomp). */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import * as v from "valibot";
import { CooperError, messageOf } from "../base/errors.ts";
import {
  ARCHITECTURES,
  GO_ARCH,
  type SeccompArgument,
  type SeccompFilter,
  type SeccompRule,
} from "./seccomp.ts";

const Action = v.pipe(
  v.string(),
  v.regex(
    /^SCMP_ACT_(ALLOW|ERRNO|KILL|KILL_THREAD|KILL_PROCESS|TRAP|TRACE|LOG)$/,
    "is not an action that Cooper knows",
  ),
);
const Operator = v.pipe(
  v.string(),
  v.regex(/^SCMP_CMP_(EQ|NE|LT|LE|GT|GE|MASKED_EQ)$/, "is not a comparison that Cooper knows"),
);
const Condition = v.object({
  caps: v.optional(v.nullable(v.array(v.string()))),
  arches: v.optional(v.nullable(v.array(v.string()))),
  minKernel: v.optional(v.string()),
});
const Unsigned = v.pipe(v.number(), v.integer(), v.minValue(0));
const Profile = v.object({
  defaultAction: Action,
  defaultErrnoRet: v.optional(v.nullable(Unsigned)),
  architectures: v.optional(v.nullable(v.array(v.string()))),
  archMap: v.optional(
    v.nullable(
      v.array(
        v.object({ architecture: v.string(), subArchitectures: v.optional(v.nullable(v.array(v.string()))) }),
      ),
    ),
  ),
  syscalls: v.optional(
    v.nullable(
      v.array(
        v.object({
          name: v.optional(v.string()),
          names: v.optional(v.nullable(v.array(v.string()))),
          action: Action,
          errnoRet: v.optional(v.nullable(Unsigned)),
          args: v.optional(
            v.nullable(
              v.array(
                v.object({
                  index: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(5)),
                  value: Unsigned,
                  valueTwo: v.optional(Unsigned),
                  op: Operator,
                }),
              ),
            ),
          ),
          includes: v.optional(v.nullable(Condition)),
          excludes: v.optional(v.nullable(Condition)),
        }),
      ),
    ),
  ),
});

type ProfileData = v.InferOutput<typeof Profile>;

/**
 * Reads a profile in Docker's JSON format and keeps what applies to this machine and these capabilities. Errors:
 * `not-found`, `invalid`.
 */
export function readSeccompProfile(path: string, capabilities: readonly string[]): SeccompFilter {
  return resolveSeccompProfile(parseProfile(path), { capabilities, arch: GO_ARCH, kernel: release() });
}

function parseProfile(path: string): ProfileData {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new CooperError("not-found", `Cannot read the seccomp profile ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CooperError("invalid", `The seccomp profile ${path} is not JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const parsed = v.safeParse(Profile, json);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new CooperError(
    "invalid",
    `The seccomp profile ${path} is malformed at ${v.getDotPath(issue) ?? "the top"}: ${issue.message}`,
  );
}

/** Facts that a profile's conditions are about. */
export interface SeccompContext {
  capabilities: readonly string[];
  /** Go's name: amd64, arm64. */
  arch: string;
  /** As from uname -r. */
  kernel: string;
}

/** What of a Docker profile applies in a context: `includes` must all hold, `excludes` must none. */
export function resolveSeccompProfile(profile: ProfileData, context: SeccompContext): SeccompFilter {
  const syscalls: SeccompRule[] = [];
  for (const rule of profile.syscalls ?? []) {
    if (!applies(rule.includes, rule.excludes, context)) continue;
    const ruleNames = [...(rule.names ?? []), ...(rule.name === undefined ? [] : [rule.name])];
    if (ruleNames.length === 0) continue;
    syscalls.push({
      names: ruleNames,
      action: rule.action,
      ...(rule.errnoRet == null ? {} : { errnoRet: rule.errnoRet }),
      ...(rule.args == null || rule.args.length === 0 ? {} : { args: rule.args.map(argument) }),
    });
  }
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet == null ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: architecturesOf(profile, context.arch),
    syscalls,
  };
}

function argument(given: {
  index: number;
  value: number;
  valueTwo?: number | undefined;
  op: string;
}): SeccompArgument {
  const { index, value, op } = given;
  return given.valueTwo === undefined ? { index, value, op } : { index, value, valueTwo: given.valueTwo, op };
}

function architecturesOf(profile: ProfileData, arch: string): string[] {
  const native = (ARCHITECTURES[arch] ?? [])[0];
  const mapped = profile.archMap?.find((entry) => entry.architecture === native);
  if (mapped !== undefined) return [mapped.architecture, ...(mapped.subArchitectures ?? [])];
  if (profile.architectures != null && profile.architectures.length > 0) return profile.architectures;
  return native === undefined ? [] : [native];
}

type ConditionData = v.InferOutput<typeof Condition> | null | undefined;

function applies(includes: ConditionData, excludes: ConditionData, context: SeccompContext): boolean {
  const { capabilities, arch, kernel } = context;
  const hasCapability = (name: string) => capabilities.includes(name);
  if (includes != null) {
    if (includes.caps != null && !includes.caps.every(hasCapability)) return false;
    if (includes.arches != null && includes.arches.length > 0 && !includes.arches.includes(arch))
      return false;
    if (includes.minKernel !== undefined && !atLeast(kernel, includes.minKernel)) return false;
  }
  if (excludes == null) return true;
  if (excludes.caps?.some(hasCapability)) return false;
  if (excludes.arches?.includes(arch)) return false;
  return excludes.minKernel === undefined || !atLeast(kernel, excludes.minKernel);
}

function atLeast(kernel: string, wanted: string): boolean {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
