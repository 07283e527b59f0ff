// Protects docs/compatibility.md: it says what the flag tables say, and no flag of Buildah is without an answer.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  PAGE,
  buildahCommands,
  compatibility,
  compatibilityPage,
  strayNotes,
} from "../../scripts/compatibility.ts";

test("the page is up to date: bun scripts/compatibility.ts", async () => {
  expect(readFileSync(PAGE, "utf8")).toBe(await compatibilityPage());
});

test("every flag of Buildah is the same, differs, or is refused, with a word why", async () => {
  const rows = await compatibility();
  const flags = [...buildahCommands().values()].flat();
  expect(rows.filter(({ flag }) => flag !== undefined)).toHaveLength(flags.length);
  expect(rows.filter(({ status, note }) => (status === "same") !== (note === ""))).toEqual([]);
});

test("no note is about a flag that Buildah does not have", () => {
  expect(strayNotes()).toEqual([]);
});

test("the fixture is the whole of Buildah", () => {
  const commands = buildahCommands();
  expect(commands.size).toBe(41);
  expect(commands.get("login")!.map(({ name }) => name)).toContain("password-stdin");
  expect(commands.get("bud") ?? commands.get("build")).not.toHaveLength(0);
});
