// Protects docs/library.md: each example runs as printed and is well typed, and what it says of cancelling is so.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { symlinkSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { must } from "../../scripts/targets.ts";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site, successful } from "../support/cooper.ts";
import { mountsMentioning, processesMentioning } from "../support/leftovers.ts";

setDefaultTimeout(60_000);

const repository = resolve(import.meta.dir, "../..");
const page = readFileSync(join(repository, "docs/library.md"), "utf8");

/** Title → code, of the blocks in a language. */
function examples(language: string): [string, string][] {
  return page.split(/^## /m).flatMap((section) => {
    const [title = ""] = section.split("\n");
    const blocks = [...section.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm"))];
    return blocks.map((match): [string, string] => [title, match[1]!]);
  });
}

/** What each prints, by its title. */
const prints: Record<string, RegExp> = {
  "A container": /^[0-9a-f]{64}$/,
  "The host's own tools": /^$/,
  "A Dockerfile, and what happens meanwhile": /1\/3 FROM[\s\S]*a step\n[\s\S]*[0-9a-f]{64} sha256:/,
  "When it fails": /^line 2 ended with 3: the last words\n?$/,
  Cancelling: /^cancelled$/,
  "Images and registries": /localhost\/busybox[\s\S]*sha256:/,
  "Under Node.js": /step-start\n[\s\S]*a message$/,
};

test("the page has the examples that are expected", () => {
  expect([...examples("ts"), ...examples("js")].map(([title]) => title)).toEqual(Object.keys(prints));
});

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let directory: string;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    directory = site.files({
      "app/message.txt": "a message\n",
      "app/Dockerfile": "FROM localhost/busybox\nRUN echo a step\nCOPY message.txt /\n",
      "app/Dockerfile.broken": "FROM localhost/busybox\nRUN echo the last words; exit 3\n",
      "app/Dockerfile.endless": "FROM localhost/busybox\nRUN echo up; sleep 4712\n",
      "package.json": '{ "type": "module" }',
      "node_modules/.keep": "",
    });
    symlinkSync(repository, join(directory, "node_modules/cooper"));
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const places = () => ({ COOPER_ROOT: site.root, COOPER_RUNROOT: site.runRoot });

  test.each(examples("ts"))("%s", async (title, code) => {
    writeFileSync(join(directory, "example.ts"), code);
    const result = await site.run([process.execPath, "example.ts"], { cwd: directory, env: places() });
    expect(successful(title, result)).toMatch(prints[title]!);
  });

  test.skipIf(Bun.which("node") === null).each(examples("js"))("%s", async (title, code) => {
    writeFileSync(join(directory, "example.js"), code);
    const result = await site.run(["node", "example.js"], { cwd: directory, env: places() });
    expect(successful(title, result)).toMatch(prints[title]!);
  });

  test("the line for other languages", async () => {
    const [[, code]] = examples("sh") as [[string, string]];
    expect(JSON.parse(await site.script(code)).result.names).toContain("localhost/busybox:latest");
  });

  test("after cancelling no process, mount or unfinished file is left", async () => {
    const [, code] = examples("ts").find(([title]) => title === "Cancelling")!;
    // Seen by the program itself, at the moment of the rejection.
    const look = `
import { execFileSync } from "node:child_process";
console.log(execFileSync("ps", ["-eo", "args"]).toString().split("\\n").filter((line) => line.includes("sleep 4712")).length);`;
    writeFileSync(join(directory, "cancel.ts"), code + look);
    const result = await site.run([process.execPath, "cancel.ts"], { cwd: directory, env: places() });
    expect(successful("cancel", result)).toBe("cancelled\n0");
    expect(processesMentioning(site.root)).toEqual([]);
    expect(mountsMentioning(site.root)).toEqual([]);
    expect(await site.ok("containers", "-q")).toBe("");
    await site.ok("check");
  });
});

test("the examples are well typed", async () => {
  await using site = openSite(people[0]!);
  const directory = site.files({ "package.json": '{ "type": "module" }' });
  for (const [i, [, code]] of examples("ts").entries())
    writeFileSync(join(directory, `example${i}.ts`), code);
  const config = {
    extends: join(repository, "tsconfig.json"),
    compilerOptions: {
      typeRoots: [join(repository, "node_modules/@types")],
      paths: { cooper: [join(repository, "src/index.ts")] },
    },
    include: ["*.ts"],
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
  must([join(repository, "node_modules/.bin/tsc"), "--noEmit", "-p", directory]);
});
