// Protects that a Dockerfile means what BuildKit makes of it: the shared cases and their harness, as root and as a user.
import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Person, people } from "../support/as-users.ts";
import { openSite, type Site, successful } from "../support/cooper.ts";

/** The cases lie beside the repository; COOPER_SHARED names the folder where the tests run in a copy of it. */
const shared = process.env.COOPER_SHARED ?? resolve(import.meta.dir, "../../../shared");
const cases = join(shared, "dockerfile-cases");

/** What no user namespace can do: real device nodes, and ids beyond the range that the user has. */
const beyondUsers = ["copyfrom-special", "file-big-ids"];

/** Lines of the results that are not as BuildKit has it. */
function differences(results: string): string[] {
  return results
    .split("\n")
    .slice(1)
    .filter((line) => line !== "" && line.split("\t")[2] !== "PASS");
}

describe.skipIf(!existsSync(cases) || process.getuid?.() !== 0)("the shared cases", () => {
  const sites: Site[] = [];
  // Within the test, whose time is longer: the first start makes a Debian base.
  function startRegistry(): void {
    const { status, stderr } = spawnSync(join(cases, "up"), ["registry"], { encoding: "utf8" });
    if (status !== 0) throw new Error(`the registry of the cases does not start: ${stderr}`);
    // The bases are read by whoever runs the cases.
    spawnSync("chmod", ["-R", "a+rX", "/var/lib/oracle"]);
    mkdirSync("/var/lib/oracle/layercache", { recursive: true });
    chmodSync("/var/lib/oracle/layercache", 0o1777);
  }
  afterAll(async () => {
    spawnSync(join(cases, "down"));
    for (const site of sites) await site[Symbol.asyncDispose]();
  });

  async function run(person: Person): Promise<string[]> {
    startRegistry();
    const site = await openSite(person);
    sites.push(site);
    const folder = join(site.work, "cases");
    cpSync(cases, folder, { recursive: true, verbatimSymlinks: true });
    spawnSync("chmod", ["-R", "u+w", folder]);
    site.give(folder);
    const env = { ORACLE_WORK: join(site.work, "oracle"), PYTHONDONTWRITEBYTECODE: "1" };
    const argv = [join(folder, "run"), "test", "--tool", "cooper", "--name", "cooper", "-j", "2"];
    const result = await site.run(argv, { cwd: folder, env });
    const file = join(folder, "results/cooper.tsv");
    if (!existsSync(file)) throw new Error(successful("the harness", result));
    const results = readFileSync(file, "utf8");
    expect(results.split("\n").length).toBeGreaterThan(100);
    return differences(results);
  }

  for (const person of people) {
    test(`as ${person.kind}`, async () => {
      const wrong = await run(person);
      const expected = person.kind === "root" ? [] : beyondUsers;
      expect(wrong.filter((line) => !expected.includes(line.split("\t")[0]!))).toEqual([]);
      expect(wrong).toHaveLength(expected.length);
    }, 600_000);
  }
});
