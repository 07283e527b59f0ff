/** All stages of a build expanded and checked before the first of them runs. */
import { existsSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import type { Warning } from "../dockerfile/instruction.ts";
import { formatPlatform, hostPlatform, parsePlatform } from "../oci/platform.ts";
import { enforceChecks, ruleCounts } from "../plan/check-options.ts";
import { resolveStage } from "../plan/resolve.ts";
import type { ResolvedStage, RunOp, StagePlan, Step } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { ignoreOf, openOrigin } from "./origins.ts";
import { openBase } from "./stage.ts";

export interface ResolvedBuild {
  /** By the stage's index; those that the target needs. */
  stages: Map<number, ResolvedStage>;
  /** Of the file and of these stages. */
  warnings: Warning[];
}

/**
 * Resolves every stage that the target needs. Throws `invalid` for what BuildKit refuses before it runs anything:
 * instructions that mean nothing, and, with `# check=error=true`, checks that are not met.
 */
export async function resolveStages(build: Build): Promise<ResolvedBuild> {
  const stages = new Map<number, ResolvedStage>();
  const systems = new Map<number, string | undefined>();
  const warnings = [...build.plan.warnings];
  for (const index of build.plan.order) {
    const plan = build.plan.stages[index]!;
    const base = await baseOf(build, plan, stages, systems);
    systems.set(index, base.os);
    const inherited = build.request.inheritLabels ? base.state : withoutLabels(base.state);
    const resolved = resolveStage(build.plan, plan, inherited, {
      buildArgs: build.request.buildArgs,
      compatVolumes: build.request.compatVolumes,
      ...(base.os === undefined ? {} : { os: base.os }),
    });
    stages.set(index, resolved);
    for (const name of resolved.usedArgs) build.usedArgs.add(name);
    for (const step of resolved.steps) if (step.op.kind === "run") checkEntitlements(build, step, step.op);
    warnings.push(
      ...base.warnings,
      ...resolved.warnings,
      ...(await ignoredSources(build, plan, resolved.steps)),
    );
  }
  return { stages, warnings };
}

function withoutLabels(state: Base["state"]): Base["state"] {
  const { Labels: _, ...config } = state.config;
  return { ...state, config };
}

/** Shows the warnings; with `error=true` the first ends the build. */
export function reportWarnings(build: Build, warnings: Warning[]): void {
  for (const { rule, message, location } of warnings)
    build.request.onEvent({ type: "warning", rule, message, location });
  enforceChecks(build.plan.checks, warnings);
}

interface Base {
  state: Parameters<typeof resolveStage>[2];
  os: string | undefined;
  warnings: Warning[];
}

async function baseOf(
  build: Build,
  plan: StagePlan,
  stages: Map<number, ResolvedStage>,
  systems: Map<number, string | undefined>,
): Promise<Base> {
  if (plan.base.kind === "stage") {
    const { stage } = plan.base;
    return { state: stages.get(stage)!.state, os: systems.get(stage), warnings: [] };
  }
  const { image, planned } = await openBase(build, plan);
  return { state: planned, os: image.os, warnings: platformWarnings(build, plan, image) };
}

/** BuildKit's rule InvalidBaseImagePlatform. */
function platformWarnings(
  build: Build,
  plan: StagePlan,
  image: { os?: string; architecture?: string },
): Warning[] {
  const { base, location } = plan;
  const rule = "InvalidBaseImagePlatform";
  if (base.kind !== "image" || image.os === undefined || image.architecture === undefined) return [];
  if (!ruleCounts(rule, build.plan.checks)) return [];
  const asked = plan.platform ?? build.request.platform;
  const expected = asked === undefined ? hostPlatform() : parsePlatform(asked);
  if (expected.os === image.os && expected.architecture === image.architecture) return [];
  const actual = `${image.os}/${image.architecture}`;
  const message = `Base image ${base.reference} was pulled with platform "${actual}", expected "${formatPlatform(expected)}" for current build`;
  return [{ rule, message, location }];
}

/** BuildKit's rule CopyIgnoredFile, which it leaves alone where the ignore file has exceptions. */
async function ignoredSources(build: Build, plan: StagePlan, steps: Step[]): Promise<Warning[]> {
  const rule = "CopyIgnoredFile";
  const { ignoreFile } = build.request;
  if (ignoreFile === undefined || !existsSync(ignoreFile)) return [];
  const context = await openOrigin(build, { kind: "context", name: undefined });
  const ignore = context.kind === "directory" ? ignoreOf(context) : undefined;
  if (ignore === undefined || ignore.hasExceptions) return [];
  const warnings: Warning[] = [];
  for (const { op, location } of steps) {
    if (op.kind !== "copy" || op.from.kind !== "context" || op.from.name !== undefined) continue;
    const above = plan.instructions.find((instruction) => instruction.location === location);
    if (!ruleCounts(rule, build.plan.checks, above?.comments)) continue;
    for (const source of op.sources) {
      if (source.kind !== "path") continue;
      const path = source.pattern.replace(/^\/+|\/+$/g, "");
      if (path === "" || path === "." || !ignore.ignores(path)) continue;
      const message = `Attempting to ${op.add ? "Add" : "Copy"} file "${path}" that is excluded by .dockerignore`;
      warnings.push({ rule, message, location });
    }
  }
  return warnings;
}

/** What lets a Dockerfile out of its box must be granted by who builds it, as with BuildKit's --allow. */
function checkEntitlements(build: Build, step: Step, op: RunOp): void {
  const { allow, run } = build.request;
  const refuse = (flag: string, entitlement: string) => {
    throw new CooperError("denied", `RUN ${flag} is not allowed`, {
      location: step.location,
      hint: `Allow it with --allow ${entitlement}`,
    });
  };
  if (op.security === "insecure" && !allow.includes("security.insecure"))
    refuse("--security=insecure", "security.insecure");
  if (op.network === "host" && run.network !== "host" && !allow.includes("network.host"))
    refuse("--network=host", "network.host");
}
