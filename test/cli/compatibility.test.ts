// Protects docs/compatibility.md: it says what the flag tables say, no flag of Buildah is without an answer, "same" has a test.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  PAGE,
  buildahCommands,
  compatibility,
  compatibilityPage,
  strayNotes,
} from "../../scripts/compatibility.ts";
import { testsOf, usesIn } from "../../scripts/compatibility-tests.ts";

// All tests are read.
setDefaultTimeout(60_000);

// All tests are read, which takes its time on a busy machine.
setDefaultTimeout(60_000);

test("the page is up to date: bun scripts/compatibility.ts", async () => {
  expect(readFileSync(PAGE, "utf8")).toBe(await compatibilityPage());
});

test("every flag of Buildah is the same, with a test, differs, or is refused, with a word why", async () => {
  const rows = await compatibility();
  const flags = [...buildahCommands().values()].flat();
  expect(rows.filter(({ flag }) => flag !== undefined)).toHaveLength(flags.length);
  expect(rows.filter(({ flag, note }) => flag !== undefined && note === "")).toEqual([]);
});

test("no note is about a flag that Buildah does not have", () => {
  expect(strayNotes()).toEqual([]);
});

describe("the test behind a flag", () => {
  const uses = (...lines: string[]) => usesIn("test/x.test.ts", lines);
  const all = { name: "all", short: "a" };

  test("has it in a line with its command, or in a test about that command alone", () => {
    const near = uses('test("near", () => {', '  ok("rm", "--all");', "});");
    expect(testsOf(near, "rm", all)).toEqual(["test/x.test.ts: near"]);
    expect(testsOf(near, "rmi", all)).toEqual([]);
    expect(testsOf(near, "rm", { name: "none", short: undefined })).toEqual([]);
    const apart = uses('test("apart", () => {', '  const flags = ["--all"];', '  ok("rm", ...flags);', "});");
    expect(testsOf(apart, "rm", all)).toEqual(["test/x.test.ts: apart"]);
    const other = uses('test("other", () => {', '  ok("rm", "--all");', '  ok("rmi");', "});");
    expect(testsOf(other, "rmi", all)).toEqual([]);
  });

  test("may have the short form, over several lines, in a table, with a name on a line of its own", () => {
    const long = uses(
      "test(",
      "  'long name',",
      "  () => {",
      "    ok(",
      '      "rm",',
      '      "-a",',
      "    );",
      "  },",
      ");",
    );
    expect(testsOf(long, "rm", all)).toEqual(["test/x.test.ts: long name"]);
    expect(testsOf(uses("const LINES = [", '  ["rm", "-a"],', "];"), "rm", all)).toEqual(["test/x.test.ts"]);
    expect(testsOf(uses('["bud", "--all"]'), "build", all)).toEqual(["test/x.test.ts"]);
  });
});

test("the fixture is the whole of Buildah", () => {
  const commands = buildahCommands();
  expect(commands.size).toBe(41);
  expect(commands.get("login")!.map(({ name }) => name)).toContain("password-stdin");
  expect(commands.get("bud") ?? commands.get("build")).not.toHaveLength(0);
});
