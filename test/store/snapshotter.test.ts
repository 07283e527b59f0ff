// Protects the contract of src/store/snapshotter.ts: both drivers, as root and in a user namespace, under one suite.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { becoming, type Person, people, rootOnly } from "../support/as-users.ts";
import { cases } from "./snapshotter-cases.ts";
import { checks } from "./snapshotter-checks.ts";
import type { CaseResult } from "./snapshotter-suite.ts";

setDefaultTimeout(60_000);

/** In a process of its own, whose mounts end with it. */
async function runSuite(person: Person, driver: string, ...more: string[]): Promise<Map<string, CaseResult>> {
  const argv = [
    ...becoming(person),
    process.execPath,
    join(import.meta.dir, "snapshotter-suite.ts"),
    driver,
    ...more,
  ];
  const child = Bun.spawn(argv, {
    env: { PATH: process.env.PATH, HOME: "/", USER: person.name },
    cwd: "/",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(`The suite failed: ${stderr}${stdout}`);
  return new Map((JSON.parse(stdout) as CaseResult[]).map((result) => [result.name, result]));
}

// Nobody else may mount such an overlay.
describe.each(rootOnly)("copy on an overlay, as $kind", (person) => {
  let results = new Map<string, CaseResult>();
  beforeAll(async () => {
    results = await runSuite(person, "copy", "nested");
  });
  test.each(cases)("$name", ({ name }) => expect(results.get(name)?.error).toBeUndefined());
});

describe.each(people)("as $kind", (person) => {
  const results = new Map<string, Map<string, CaseResult>>();
  const wanted = cases.filter((each) => person.kind === "root" || each.rootOnly !== true);
  const resultOf = (driver: string, name: string) => results.get(driver)?.get(name);

  beforeAll(async () => {
    const drivers = ["overlay", "copy"];
    const found = await Promise.all(drivers.map((driver) => runSuite(person, driver)));
    for (const [index, driver] of drivers.entries()) results.set(driver, found[index]!);
  });

  describe.each(["overlay", "copy"])("%s", (driver) => {
    test.each(wanted)("$name", ({ name, steps }) => {
      const result = resultOf(driver, name);
      expect(result?.error).toBeUndefined();
      expect(result?.layers).toHaveLength(steps.length);
    });

    test.each(checks.filter((check) => check.driver === undefined || check.driver === driver))(
      "$name",
      ({ name }) => {
        const result = resultOf(driver, name);
        expect(result).toBeDefined();
        expect(result?.error).toBeUndefined();
      },
    );
  });

  test.each(wanted)("one layer from both drivers: $name", ({ name, packsDifferently }) => {
    const [overlay, copy] = ["overlay", "copy"].map((driver) => resultOf(driver, name));
    // Where they differ, the case says why; that they show the same is tested above.
    if (packsDifferently !== undefined) return;
    expect(copy?.entries).toEqual(overlay?.entries ?? []);
    expect(copy?.layers).toEqual(overlay?.layers ?? []);
  });
});
