// Protects the graph of stages: what is needed, in which order, what names mean, and what triggers of base images add.
import { describe, expect, test } from "bun:test";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { planBuild, type PlanOptions, withTriggers } from "../../src/plan/graph.ts";

const plan = (text: string, options: PlanOptions = {}) =>
  planBuild(parseDockerfile(text, "Dockerfile"), options);

describe("target", () => {
  const text = "FROM a AS one\nFROM b AS two\nFROM c AS one\nFROM one\nFROM two AS last\n";
  test.each([
    [undefined, 4, [1, 4]],
    ["", 4, [1, 4]],
    ["one", 2, [2]],
    ["TWO", 1, [1]],
  ])("%p", (target, index, order) => {
    expect(plan(text, { target })).toMatchObject({ target: index, order });
  });
  test("a number is no name", () => expect(() => plan(text, { target: "0" })).toThrow('no stage "0"'));
  test("a near name is offered, and all are listed", () => {
    expect(() => plan(text, { target: "tow" })).toThrow(
      expect.objectContaining({ code: "not-found", hint: "Did you mean two? Stages are one, two, last" }),
    );
  });
});

test("unneeded stages may use what they like", () => {
  expect(plan("FROM a AS x\nRUN --mount=type=nonsense true\nFROM b\n").order).toEqual([1]);
  expect(plan("FROM a AS x\nCOPY --from=y /a /a\nFROM b AS y\nFROM c\n").order).toEqual([2]);
});

describe("triggers of a base image", () => {
  const text = "FROM tools AS tools\nFROM other AS more\nFROM base\n";
  test("add the stages that they use", () => {
    const first = plan(text);
    expect(first.order).toEqual([2]);
    const next = withTriggers(first, 2, ["COPY --from=tools /a /a", "RUN --mount=from=more,target=/m true"]);
    expect(next.order).toEqual([0, 1, 2]);
    expect(first.stages[2]!.needs).toEqual([]);
  });
  test("cannot use later stages or be more than one instruction", () => {
    const late = plan("FROM base AS b\nFROM x AS late\nFROM b\n");
    expect(() => withTriggers(late, 0, ["COPY --from=late /a /a"])).toThrow("below it");
    expect(() => withTriggers(late, 0, ["RUN a\nRUN b"])).toThrow("more than one");
  });
});

describe("checks", () => {
  const rules = (text: string, options: PlanOptions = {}) =>
    plan(text, options).warnings.map(({ rule }) => rule);
  test.each([
    ["FROM a as b\nFROM $NOPE-x\n", ["FromAsCasing", "UndefinedArgInFrom", "InvalidDefaultArgInFrom"]],
    [
      "FROM a AS Scratch\nFROM b AS scratch\n",
      ["StageNameCasing", "ReservedStageName", "ReservedStageName", "DuplicateStageName"],
    ],
    ["FROM --platform=linux/amd64 a\n", ["FromPlatformFlagConstDisallowed"]],
    ["FROM --platform=linux/amd64 a AS on-amd64\n", []],
    ["FROM --platform=$TARGETPLATFORM a\n", ["RedundantTargetPlatform"]],
    ["ARG T\nFROM a:$T\n", ["InvalidDefaultArgInFrom"]],
    ["FROM a\nrun x\nRUN y\n", ["ConsistentInstructionCasing"]],
    ["# check=skip=ConsistentInstructionCasing\nFROM a\nrun x\nRUN y\n", []],
    ["FROM a\n# check=skip=all\nrun x\nRUN y\n", []],
    ["# check=experimental=all\nFROM a\n# words\nFROM b AS c\n", ["InvalidDefinitionDescription"]],
  ])("%j", (text, expected) => expect(rules(text, { buildArgs: { T: "1" } })).toEqual(expected));
});
