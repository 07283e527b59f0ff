// Protects the way from Dockerfile text to steps: every fixture gives the plan, or the error, that is written down beside it.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../../src/base/errors.ts";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { parsePlatform } from "../../src/oci/platform.ts";
import { planBuild } from "../../src/plan/graph.ts";
import { imageState, resolveStage, scratchState } from "../../src/plan/resolve.ts";
import type { ResolvedStage, StagePlan, StageState, Step } from "../../src/plan/types.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures");
/** UPDATE_FIXTURES=1 writes what is given now; read the difference before committing it. */
const UPDATE = process.env.UPDATE_FIXTURES === "1";

interface Options {
  target?: string;
  buildArgs?: Record<string, string>;
  platform?: string;
  buildPlatform?: string;
  contexts?: string[];
}

const IMAGE = imageState({ Env: ["PATH=/usr/bin:/bin"], Cmd: ["sh"] });

/** Plans and resolves everything that the target needs. */
function planFile(path: string, options: Options) {
  const dockerfile = parseDockerfile(readFileSync(path), "Dockerfile");
  const plan = planBuild(dockerfile, {
    target: options.target,
    buildArgs: options.buildArgs ?? {},
    platform: parsePlatform(options.platform ?? "linux/amd64"),
    buildPlatform: parsePlatform(options.buildPlatform ?? "linux/amd64"),
    contexts: options.contexts ?? [],
  });
  const resolved = new Map<number, ResolvedStage>();
  const baseOf = (stage: StagePlan): StageState => {
    if (stage.base.kind === "stage") return resolved.get(stage.base.stage)!.state;
    return stage.base.kind === "scratch" ? scratchState() : IMAGE;
  };
  for (const index of plan.order) {
    const stage = plan.stages[index]!;
    resolved.set(index, resolveStage(plan, stage, baseOf(stage), { buildArgs: options.buildArgs ?? {} }));
  }
  return { plan, resolved };
}

/** What of a plan is worth reading in a file. */
function summary(path: string, options: Options) {
  const { plan, resolved } = planFile(path, options);
  const warningText = ({
    rule,
    message,
    location,
  }: {
    rule: string;
    message: string;
    location: { line: number };
  }) => `${location.line}: ${rule}: ${message}`;
  return {
    options,
    target: plan.target,
    order: plan.order,
    stages: plan.stages.map((stage) => {
      const { name, base, platform, needs } = stage;
      const result = resolved.get(stage.index);
      if (result === undefined) return { name, base, platform, needs };
      const { state, steps, warnings } = result;
      return {
        name,
        base,
        platform,
        needs,
        steps: steps.map(stepSummary),
        warnings: warnings.map(warningText),
        state,
      };
    }),
    warnings: plan.warnings.map(warningText),
  };
}

function stepSummary({ op, createdBy, text, location, checkpoint }: Step) {
  const lines =
    location.endLine === location.line ? `${location.line}` : `${location.line}-${location.endLine}`;
  return {
    lines,
    text,
    ...(checkpoint ? { checkpoint } : {}),
    createdBy,
    ...(op.kind === "config" ? {} : { op }),
  };
}

function errorText(path: string): string {
  try {
    planFile(path, {});
  } catch (error) {
    if (!(error instanceof CooperError)) throw error;
    const { code, message, hint, location } = error;
    const place =
      location === undefined ? "nowhere" : `${location.line}-${location.endLine ?? location.line}`;
    return `${code} at ${place}\n${message}\n${hint ?? "(no hint)"}\n`;
  }
  return "no error\n";
}

function compare(path: string, actual: string): void {
  if (UPDATE || !existsSync(path)) writeFileSync(path, actual);
  expect(actual).toBe(readFileSync(path, "utf8"));
}

describe("plans", () => {
  for (const name of readdirSync(join(FIXTURES, "dockerfiles"))) {
    test(name, () => {
      const directory = join(FIXTURES, "dockerfiles", name);
      const path = join(directory, "plan.json");
      const { options } = JSON.parse(readFileSync(path, "utf8")) as { options: Options };
      compare(path, `${JSON.stringify(summary(join(directory, "Dockerfile"), options), null, 2)}\n`);
    });
  }
});

describe("errors", () => {
  for (const name of readdirSync(join(FIXTURES, "invalid"))) {
    test(name, () => {
      const directory = join(FIXTURES, "invalid", name);
      const actual = errorText(join(directory, "Dockerfile"));
      expect(actual).not.toBe("no error\n");
      compare(join(directory, "error.txt"), actual);
    });
  }
});
