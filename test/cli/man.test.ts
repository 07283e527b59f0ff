// Protects the manual pages: every command has one, with all of its flags, and troff renders each without a warning.
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { allManPages } from "../../src/cli/all-man-pages.ts";
import { ALIASES } from "../../src/cli/catalog.ts";
import { manPageName } from "../../src/cli/man-page.ts";
import { loadEveryCommand } from "../support/members.ts";

const { pages, links } = await allManPages({ program: "cooper", version: "1.2.3", date: "2026-11-21" });
const commands = await loadEveryCommand();

const groff = (page: string) =>
  spawnSync("groff", ["-ww", "-man", "-Tutf8", "-P-c"], { input: page, encoding: "utf8" });

/** The text without what a terminal makes of bold and underlined. */
const rendered = (page: string) => groff(page).stdout.replace(/.\x08/g, "");

test("each command, member of a group and alias has a page", () => {
  expect([...pages.keys()].sort()).toEqual(
    ["cooper.1", ...commands.map(({ name }) => `${manPageName("cooper", name)}.1`)].sort(),
  );
  const aliases = Object.entries(ALIASES).map(([alias, name]) => [`cooper-${alias}.1`, `cooper-${name}.1`]);
  expect([...links].sort()).toEqual(aliases.sort() as [string, string][]);
});

test.each([...pages.keys()])("%s renders without a warning", (name) => {
  const { stdout, stderr } = groff(pages.get(name)!);
  expect(stderr).toBe("");
  expect(stdout).not.toContain("undefined");
});

test.each(commands.map((command) => [command.name, command] as const))(
  "%s: what it says",
  (name, command) => {
    const text = rendered(pages.get(`${manPageName("cooper", name)}.1`)!);
    const words = text.replace(/\s+/g, " ");
    expect(words).toContain(` - ${command.summary[0]!.toLowerCase()}`);
    for (const [flag, { hidden, short }] of Object.entries(command.flags)) {
      if (hidden) expect(text).not.toMatch(new RegExp(`^\\s+--${flag}\\b`, "m"));
      else expect(words).toContain(`${short === undefined ? "" : `-${short}, `}--${flag}`);
    }
    for (const example of command.examples) expect(words).toContain(example.replace(/\s+/g, " "));
  },
);

test("a text that looks like troff stays text", () => {
  const page = pages.get("cooper-config.1")!;
  expect(page).not.toMatch(/^'/m);
  for (const line of page.split("\n").filter((line) => line.startsWith(".")))
    expect(line).toMatch(/^\.(TH|SH|PP|TP|nf|fi|RS 4|RE|br|nh|ad l)\b/);
});

test("cooper man prints a page by a command's name or alias, and refuses others", () => {
  const man = (...args: string[]) =>
    spawnSync(process.execPath, [resolve(import.meta.dir, "../../src/cli/main.ts"), "man", ...args], {
      encoding: "utf8",
    });
  // Without a date mandoc warns.
  expect(man().stdout).toMatch(/^\.TH COOPER 1 "\d{4}-\d\d-\d\d" /);
  expect(man("bud").stdout).toBe(man("build").stdout);
  expect(man("manifest", "add").stdout).toStartWith(".TH COOPER\\-MANIFEST\\-ADD 1 ");
  const { status, stderr } = man("nonsense");
  expect([status, stderr.includes('"nonsense"')]).toEqual([125, true]);
});
