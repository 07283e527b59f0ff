// Protects docs/tutorials: every command shown there runs, as root and as an ordinary user, who needs no `unshare`.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);

const directory = resolve(import.meta.dir, "../../docs/tutorials");
const pages = readdirSync(directory).filter((name) => name.endsWith(".md") && name !== "README.md");

/** All of a page's commands, in order, as one script. */
function commandsOf(page: string): string {
  const text = readFileSync(join(directory, page), "utf8");
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]).join("");
}

/** Lines of its output that a page promises. */
const shows: Record<string, string[]> = {
  "minimal-image.md": ["Hello from a minimal image", "/usr/share/hello/hello.txt", "[/bin/cat]"],
  "dockerfile-in-ci.md": ["built ", "sha256:"],
  "secrets.md": ["Error: "],
  "reproducible-builds.md": ["/notes.txt"],
  "moving.md": ["manifest.json", "sha256:"],
};

test("the script of the minimal image is the one on its page", () => {
  const script = readFileSync(join(directory, "minimal-image.sh"), "utf8");
  expect(readFileSync(join(directory, "minimal-image.md"), "utf8")).toContain(script);
  expect(script).not.toMatch(/cooper unshare/);
});

test("the list of tutorials leads to all of them", () => {
  const list = readFileSync(join(directory, "README.md"), "utf8");
  expect([...list.matchAll(/\]\(([\w-]+\.md)\)/g)].map((match) => match[1]!).sort()).toEqual(pages.sort());
  expect(Object.keys(shows).sort()).toEqual(pages.sort());
});

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry();
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(async () => {
    registry[Symbol.dispose]();
    await site[Symbol.asyncDispose]();
  });

  test.each(pages)("%s", async (page) => {
    const script = commandsOf(page);
    expect(script).toContain("cooper ");
    const output = await site.script(script, { cwd: site.files({}), env: { REGISTRY: registry.host } });
    for (const text of shows[page]!) expect(output).toContain(text);
    expect(await site.ok("containers", "-q", "--filter", "name=working")).toBe("");
  });
});
