// Protects `# check=`: what is skipped, what is asked for, and that error=true refuses a Dockerfile with warnings.
import { expect, test } from "bun:test";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { enforceChecks, parseCheckOptions } from "../../src/plan/check-options.ts";
import { planBuild } from "../../src/plan/graph.ts";
import { imageState, resolveStage } from "../../src/plan/resolve.ts";

function warningsOf(text: string) {
  const plan = planBuild(parseDockerfile(text, "Dockerfile"));
  const { warnings } = resolveStage(plan, plan.stages.at(-1)!, imageState({}));
  return {
    plan,
    warnings: [...plan.warnings, ...warnings],
    rules: warnings.map(({ rule, location }) => `${location.line} ${rule}`),
  };
}

test.each([
  ["", { skip: [], experimental: [], error: false }],
  ["skip=A, B;error=true", { skip: ["A", "B"], experimental: [], error: true }],
  [" experimental=all ; error=0", { skip: [], experimental: ["all"], error: false }],
])("%j", (text, options) => expect(parseCheckOptions(text)).toEqual(options));

test.each(["skip", "error=maybe", "skipp=A"])("%j is refused", (text) => {
  expect(() => planBuild(parseDockerfile(`# check=${text}\nFROM a`, "D"))).toThrow("check option");
});

test("warnings of a stage, with their lines", () => {
  const text =
    "FROM a\nENV k v\nCMD x\nCMD y\nARG API_TOKEN KEY_FILE\nWORKDIR w\nWORKDIR v\nLABEL a=$NOPE b=$MAYBE\nEXPOSE 1:2/TCP\nMAINTAINER m\n";
  expect(warningsOf(text).rules).toEqual([
    "2 LegacyKeyValueFormat",
    "3 JSONArgsRecommended",
    "4 JSONArgsRecommended",
    "3 MultipleInstructionsDisallowed",
    "5 SecretsUsedInArgOrEnv",
    "6 WorkdirRelativePath",
    "8 UndefinedVar",
    "8 UndefinedVar",
    "9 ExposeProtoCasing",
    "9 ExposeInvalidFormat",
    "10 MaintainerDeprecated",
  ]);
});

test("skipped for the file or above one instruction", () => {
  expect(warningsOf("# check=skip=MaintainerDeprecated\nFROM a\nMAINTAINER m\nCMD x").rules).toEqual([
    "4 JSONArgsRecommended",
  ]);
  expect(warningsOf("FROM a\n# check=skip=JSONArgsRecommended\nCMD x\nENTRYPOINT y").rules).toEqual([
    "4 JSONArgsRecommended",
  ]);
});

test("error=true fails where there is a warning", () => {
  const bad = warningsOf("# check=error=true\nFROM a\nMAINTAINER m");
  expect(() => enforceChecks(bad.plan.checks, bad.warnings)).toThrow("MaintainerDeprecated");
  const good = warningsOf("# check=error=true\nFROM a\nUSER u");
  expect(() => enforceChecks(good.plan.checks, good.warnings)).not.toThrow();
  const lax = warningsOf("FROM a\nMAINTAINER m");
  expect(() => enforceChecks(lax.plan.checks, lax.warnings)).not.toThrow();
});
