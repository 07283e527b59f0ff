// Protects docs/reference and docs/api.md: they say what the flag tables and the sources' comments say.
import { expect, test } from "bun:test";
import { referencePages } from "../../scripts/reference.ts";
import { apiPage } from "../../scripts/api-reference.ts";
import { stalePages } from "../../scripts/docs.ts";
import * as library from "../../src/index.ts";
import { loadEveryCommand } from "../support/members.ts";

const COMMAND = "npm run docs (node_modules/.bin/bun scripts/docs.ts)";

test(`the pages are up to date; if not, run ${COMMAND} and commit what it writes`, async () => {
  const stale = await stalePages();
  if (stale.length > 0) throw new Error(`Stale below docs/: ${stale.join(", ")}. Run ${COMMAND}`);
});

test("every command has a page with its flags, which the list leads to", async () => {
  const pages = await referencePages();
  for (const { name, flags } of await loadEveryCommand()) {
    const page = pages.get(`reference/${name.replaceAll(" ", "-")}.md`)!;
    for (const [flag, { hidden }] of Object.entries(flags))
      if (!hidden) expect(page).toContain(`\`--${flag}`);
  }
  for (const [path, page] of pages)
    for (const [, target] of page.matchAll(/\]\(([\w-]+\.md)(?:#[\w-]+)?\)/g))
      expect([path, pages.has(`reference/${target}`)]).toEqual([path, true]);
});

test("every function of the library is in the reference, with a comment", () => {
  const page = apiPage();
  const internal = ["leaveStore", "runSandboxInit", "openBuildLog"];
  for (const name of Object.keys(library).filter((name) => !internal.includes(name)))
    expect(page).toMatch(new RegExp(`^### ${name}\n\n[^\n\`]`, "m"));
  const types = [
    "Container",
    "BuildEvent",
    "BuildOptions",
    "BuildReport",
    "CheckReport",
    "ConfigEdits",
    "ErrorCode",
  ].concat(["Diagnosis", "FileChange", "ImageReport", "InputChange", "RunSettings", "Store", "SyncedImage"]);
  for (const type of types) expect(page).toContain(`### ${type}\n`);
  expect(namesWithoutEntry(page)).toEqual([]);
});

/** Types of the language and of the web, which others describe. */
const KNOWN = "AbortSignal AsyncDisposable AsyncGenerator Error Omit Pick Promise Record Uint8Array".split(
  " ",
);

/** Types that the page's code mentions and does not show. */
function namesWithoutEntry(page: string): string[] {
  const entries = new Set([...page.matchAll(/^### (\w+)$/gm)].map(([, name]) => name!));
  const code = [...page.matchAll(/```ts\n([\s\S]*?)```/g)]
    .map(([, text]) => text!.replace(/\/\*[\s\S]*?\*\/|\/\/.*|"[^"\n]*"|`[^`\n]*`/g, ""))
    .join("\n");
  const names = new Set([...code.matchAll(/(?<![.\w])[A-Z]\w*(?!\w*\??:)/g)].map(([name]) => name));
  return [...names].filter((name) => !entries.has(name) && !KNOWN.includes(name)).sort();
}
