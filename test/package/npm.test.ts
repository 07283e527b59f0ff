// Protects the npm packages: installed from their tarballs in a clean directory, the program, the library under Bun and under
// Node.js, and the types work there.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { packageNpm } from "../../scripts/package-npm.ts";
import { hostTarget, must } from "../../scripts/targets.ts";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site, successful } from "../support/cooper.ts";

setDefaultTimeout(180_000);

const PROGRAM = `
import { enterUserNamespace, from, openStore, CooperError, inspectImage } from "cooper";
await enterUserNamespace();
const store = await openStore();
const container = await from(store, "localhost/busybox");
const { exitCode } = await container.run(["mkdir", "/made"]);
await container.config({ entrypoint: ["/made"] });
const { imageId } = await container.commit("localhost/from-a-package");
await container.remove();
const missing = await inspectImage(store, "localhost/none").catch((error) => error);
console.log(JSON.stringify([exitCode, imageId.length, missing instanceof CooperError, missing.code]));
`;

describe("installed from tarballs", () => {
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync("/var/tmp/cooper-test-npm-");
    chmodSync(directory, 0o755);
    const tarballs = await packageNpm([hostTarget()], join(directory, "packages"));
    const project = join(directory, "project");
    mkdirSync(project);
    writeFileSync(
      join(project, "package.json"),
      '{ "name": "project", "private": true, "type": "module" }\n',
    );
    writeFileSync(join(project, "program.js"), PROGRAM);
    const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--omit=dev"];
    must(["npm", "install", ...flags, ...tarballs], { cwd: project });
    must(["chmod", "-R", "a+rX", directory]);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const modules = () => join(directory, "project/node_modules");

  test("there are the library, this platform's program and no second runtime", () => {
    const { name } = hostTarget();
    expect(readdirSync(join(modules(), "@cooper"))).toEqual([name]);
    expect(existsSync(join(modules(), "bun"))).toBe(false);
    expect(existsSync(join(modules(), "cooper/test"))).toBe(false);
  });

  test("any TypeScript project reads the types, also without Bun's (skipLibCheck)", () => {
    const project = mkdtempSync(join(directory, "types-"));
    symlinkSync(modules(), join(project, "node_modules"));
    writeFileSync(join(project, "package.json"), '{ "type": "module" }\n');
    writeFileSync(
      join(project, "program.ts"),
      `import { build, type BuildEvent, openStore } from "cooper";
const sink = (event: BuildEvent) => (event.type === "output" ? event.data.length : 0);
const { imageId }: { imageId: string } = await build(await openStore(), { onEvent: sink });
// @ts-expect-error an option that there is not
await build(await openStore(), { nonsense: imageId });
`,
    );
    const tsc = resolve(import.meta.dir, "../../node_modules/.bin/tsc");
    const options =
      "--noEmit --strict --skipLibCheck --module nodenext --target esnext --lib esnext,dom --types".split(
        " ",
      );
    must([tsc, ...options, "", "program.ts"], { cwd: project });
  });

  describe.each(people)("as $kind", (person) => {
    let site: Site;
    beforeAll(async () => {
      site = openSite(person);
      const program = join(modules(), ".bin/cooper");
      await site.run([
        program,
        "--root",
        site.root,
        "--runroot",
        site.runRoot,
        "import",
        busyboxBase(),
        "localhost/busybox",
      ]);
    });
    afterAll(() => site[Symbol.asyncDispose]());

    test.each(["bun", "node"])("a program under %s", async (runtime) => {
      const env = { COOPER_ROOT: site.root, COOPER_RUNROOT: site.runRoot };
      const argv = [runtime === "bun" ? process.execPath : "node", "program.js"];
      const result = await site.run(argv, { cwd: join(directory, "project"), env });
      expect(JSON.parse(successful(runtime, result))).toEqual([0, 64, true, "not-found"]);
    });

    test("the program, by npm's link", async () => {
      const program = join(modules(), ".bin/cooper");
      const result = await site.run([program, "--root", site.root, "images", "--format", "{{.Name}}"]);
      expect(successful("images", result)).toContain("localhost/from-a-package");
    });
  });
});
