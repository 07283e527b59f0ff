// Protects the cache: a key changes with everything that can change a step's files, and with nothing else.
import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { stepKey } from "../../src/plan/cache-key.ts";
import { planBuild } from "../../src/plan/graph.ts";
import { imageState, resolveStage } from "../../src/plan/resolve.ts";

const BASE = digestOf("base");

/** Key of the last step of a stage. */
function keyOf(text: string, buildArgs: Record<string, string> = {}, inputs = [digestOf("input")]): string {
  const plan = planBuild(parseDockerfile(`FROM busybox AS s\nFROM busybox\n${text}\n`, "Dockerfile"), {
    buildArgs,
  });
  const { steps } = resolveStage(plan, plan.stages[1]!, imageState({}), { buildArgs });
  return steps.reduce((key, step) => stepKey(key, step, step.op.kind === "config" ? [] : inputs), BASE);
}

describe("the same", () => {
  test.each([
    ["RUN x", "RUN    x  "],
    ["RUN x", "run x\n# checkpoint"],
    ["RUN x", "LABEL a=b\nRUN x\nCMD y"],
    ["ENV A=1 B=2\nRUN x", "ENV B=2\nENV A=1\nRUN x"],
    ["ARG A=1\nRUN x", "ENV A=1\nRUN x"],
    ["COPY a b", "COPY   a    b"],
    ["COPY --from=s a b", "COPY --from=alpine a b"],
    ["LABEL a=b", ""],
  ])("%j and %j", (a, b) => expect(keyOf(a)).toBe(keyOf(b)));

  test("build args that no ARG declares, and proxies that none declares", () => {
    expect(keyOf("RUN x", { OTHER: "1", HTTP_PROXY: "http://p" })).toBe(keyOf("RUN x"));
  });
});

describe("different", () => {
  test.each([
    ["RUN x", "RUN y"],
    ["RUN x", 'RUN ["x"]'],
    ["RUN x", "ENV A=1\nRUN x"],
    ["RUN x", "ARG A=1\nRUN x"],
    ["RUN x", "USER u\nRUN x"],
    ["RUN x", 'SHELL ["/bin/bash", "-c"]\nRUN x'],
    ["RUN x", "RUN --network=none x"],
    ["RUN x", "RUN --mount=type=cache,target=/c x"],
    ["RUN --mount=type=secret,id=a x", "RUN --mount=type=secret,id=b x"],
    ["RUN --mount=type=cache,target=/c x", "RUN --mount=type=cache,target=/c,id=d x"],
    ["RUN <<E\n#!a\nb\nE", "RUN <<E\n#!a\nc\nE"],
    ["COPY a b", "ADD a b"],
    ["COPY a b", "COPY a b/"],
    ["COPY a b", "COPY --chown=1 a b"],
    ["COPY a b", "COPY --exclude=c a b"],
    ["COPY <<E /e\n1\nE", "COPY <<E /e\n2\nE"],
    ["WORKDIR /a", "WORKDIR /b"],
    ["WORKDIR /a", "USER u\nWORKDIR /a"],
    ["WORKDIR /w\nRUN x", "WORKDIR /w\nWORKDIR /\nRUN x"],
    ["RUN x\nRUN y", "RUN y\nRUN x"],
  ])("%j and %j", (a, b) => expect(keyOf(a)).not.toBe(keyOf(b)));

  test("a build arg that an ARG declares", () =>
    expect(keyOf("ARG A\nRUN x", { A: "1" })).not.toBe(keyOf("ARG A\nRUN x", { A: "2" })));
  test("an ARG behind the step is too late", () =>
    expect(keyOf("RUN x\nARG A", { A: "1" })).toBe(keyOf("RUN x\nARG A", { A: "2" })));
  test("inputs, and their order", () => {
    const [a, b] = [digestOf("a"), digestOf("b")];
    const keys = [[], [a], [b], [a, b], [b, a]].map((inputs) => keyOf("COPY x y /d/", {}, inputs));
    expect(new Set(keys).size).toBe(5);
  });
});

test("keys are stable from one run to the next", () => {
  expect(keyOf("RUN x")).toBe("sha256:3a42860f5f5a151f6243ed218c864547ee755a85e5e8aa4bacd7d5ef4c1c11b9");
});
