// Protects what reads input from outside: whatever comes, only a CooperError goes out, in bounded time and memory (npm run fuzz for longer).
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { renderTemplate } from "../../src/cli/go-template.ts";
import { parseIgnoreFile } from "../../src/dockerfile/ignore.ts";
import { compilePattern } from "../../src/dockerfile/pattern.ts";
import { compileExpression } from "../../src/dockerfile/pattern-expression.ts";
import { mutate, Random } from "./mutate.ts";
import { runFuzz } from "./run-fuzz.ts";
import { TARGETS } from "./targets.ts";

setDefaultTimeout(60_000);

// A change of the number is a new set of inputs.
const SEED = 20_261_121;

test.each(Object.keys(TARGETS))("%s", async (target) => {
  const { executions, crashes } = await runFuzz({
    target,
    seed: SEED,
    milliseconds: 1_500,
    executions: 2_000,
  });
  expect(crashes.map(({ input, problem }) => `${problem}\n${input}`)).toEqual([]);
  expect(executions).toBeGreaterThan(0);
});

test("the same seed gives the same inputs", () => {
  const corpus = [Buffer.from("FROM a"), Buffer.from("RUN b")];
  const inputs = [1, 2].map(() => {
    const random = new Random(SEED);
    return Array.from({ length: 100 }, () => Buffer.from(mutate(random, corpus, ["x"])).toString("hex"));
  });
  expect(inputs[0]).toEqual(inputs[1]!);
});

describe("found by fuzzing", () => {
  test("a range over a number that no memory holds", () => {
    expect(() => renderTemplate("{{range 99999999999}}x{{end}}", {})).toThrow("range cannot iterate");
  });

  const long = "a".repeat(400);

  test.each(["*a*a*a*a*a*a*a*a*b", "**/a*/**/a*/**/*a*b", "a****a****a****a**b**c*", "**/**/**/**/**/**/x"])(
    "the pattern %s is compared in time that does not explode",
    (pattern) => {
      expect(parseIgnoreFile(pattern, "i").ignores(`${long}/${long}/${long}`)).toBe(false);
      expect(compilePattern(pattern)(long)).toBe(false);
    },
  );

  test("many wildcards with parts of an expression are refused", () => {
    expect(() => compileExpression("a{2}*b|*c*d*e*f")).toThrow("more than 4 wildcards");
  });

  test.each([
    ['{{printf "%.101f" 1.5}}', /^1\.50+$/],
    ['{{printf "%.0g" 1.5}}', /^2$/],
    ['{{printf "%c" -1}}', /^\ufffd$/],
    ['{{printf "%99999999999d" 1}}', /^%!\(BADWIDTH\)/],
    ["{{range 0}}x{{end}}", /^$/],
    ["{{range 3}}x{{end}}", /^xxx$/],
  ])("the template %s", (source, expected) => {
    expect(renderTemplate(source, {})).toMatch(expected);
  });
});
