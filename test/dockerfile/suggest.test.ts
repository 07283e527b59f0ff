// Protects the hints for misspelt names: near ones are offered, far ones are not.
import { expect, test } from "bun:test";
import { nearHint, nearName } from "../../src/dockerfile/suggest.ts";

const KNOWN = ["FROM", "RUN", "COPY", "ADD", "ENTRYPOINT", "HEALTHCHECK"];

test.each([
  ["RUNN", "RUN"],
  ["rn", "RUN"],
  ["FORM", "FROM"],
  ["COYP", "COPY"],
  ["ENTRYPONT", "ENTRYPOINT"],
  ["HEATLHCHEK", "HEALTHCHECK"],
  ["xy", undefined],
  ["INSTALL", undefined],
  ["", undefined],
])("%s is near to %p", (word, expected) => {
  expect(nearName(word, KNOWN)).toBe(expected!);
});

test("of several the nearest is offered", () =>
  expect(nearName("chow", ["chmod", "chown", "show"])).toBe("chown"));
test("a hint is a question with the prefix", () =>
  expect(nearHint("chwon", ["chown"], "--")).toBe("Did you mean --chown?"));
test("what is right already is no hint", () => expect(nearHint("RUN", KNOWN)).toBeUndefined());
