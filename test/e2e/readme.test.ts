// Protects the README's TypeScript example: it runs as printed, as root and as an ordinary user, and leaves two images.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site, successful } from "../support/cooper.ts";

const repository = resolve(import.meta.dir, "../..");
const readme = readFileSync(join(repository, "README.md"), "utf8");
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test("the program in the README", async () => {
    expect(examples).toHaveLength(1);
    const directory = site.files({
      "example.ts": examples[0]!,
      "README.md": readme,
      "node_modules/.keep": "",
    });
    symlinkSync(repository, join(directory, "node_modules/cooper"));
    cpSync(join(repository, "fixtures/hello"), join(directory, "fixtures/hello"), { recursive: true });
    site.give(join(directory, "fixtures"));
    const env = { COOPER_ROOT: site.root, COOPER_RUNROOT: site.runRoot };
    const result = await site.run([process.execPath, "example.ts"], { cwd: directory, env });
    const ids = successful("the example", result).split(" ");
    expect(ids).toHaveLength(2);
    const listed = await site.ok("images", "--no-trunc", "--format", "{{.Name}} {{.ID}}");
    expect(listed).toContain("localhost/www");
    expect(listed).toContain("localhost/quickstart");
    for (const id of ids) expect(listed).toContain(id);
    expect(existsSync(join(directory, "www.tar"))).toBe(true);
    // `await using` removed the container.
    expect(await site.ok("containers", "-q")).toBe("");
    expect(result.stderr).toContain("6/6 CMD");
  });
});
