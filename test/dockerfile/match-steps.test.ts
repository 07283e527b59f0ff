// Protects patterns with many wildcards: matched part by part they mean what the regular expression means.
import { expect, test } from "bun:test";
import { addStep, type MatchStep, matchSteps } from "../../src/dockerfile/match-steps.ts";

const PARTS: [source: string, step: MatchStep][] = [
  ["[^/]*", { kind: "star" }],
  [".*", { kind: "rest" }],
  ["(?:.*/)?", { kind: "directories" }],
  ["a", { kind: "one", test: (char) => char === "a" }],
  ["/", { kind: "one", test: (char) => char === "/" }],
  ["[^b]", { kind: "one", test: (char) => char !== "b" }],
];

test("all texts of up to five characters, by patterns of up to four parts", () => {
  const texts = [""];
  for (let at = 0; at < 1 + 4 + 16 + 64 + 256; at++)
    for (const char of "ab/\n") texts.push(texts[at]! + char);
  let compared = 0;
  for (let number = 0; number < PARTS.length ** 4; number++) {
    const parts = Array.from(
      { length: 4 },
      (_, i) => PARTS[Math.floor(number / PARTS.length ** i) % PARTS.length]!,
    );
    const steps: MatchStep[] = [];
    for (const [, step] of parts) addStep(steps, step);
    const expression = new RegExp(`^${parts.map(([source]) => source).join("")}$`, "u");
    for (let i = number % 7; i < texts.length; i += 7) {
      compared++;
      if (matchSteps(steps, texts[i]!) !== expression.test(texts[i]!))
        throw new Error(`${expression} and ${JSON.stringify(texts[i])}`);
    }
  }
  expect(compared).toBeGreaterThan(100_000);
});
