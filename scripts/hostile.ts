/**
 * Runs the tests of hostile input and counts their cases: bun scripts/hostile.ts; as root. Each file has a canary of its own;
 * here the host is one: what programs and settings it had is compared before and after.
 */
import { spawnSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "./targets.ts";

const TESTS = [
  "test/security",
  "test/fuzz",
  "test/dockerfile/parse.test.ts",
  "test/oci/reference.test.ts",
  "test/oci/schema.test.ts",
];
const HOST = ["/etc", "/usr", "/boot", "/opt"];
/** What other tests change at the same time: the users that they make. */
const USERS = /^\/etc(?:$|\/(?:passwd|group|shadow|gshadow|subuid|subgid)[-.]?)/;

/** Everything below the directories: name, kind, mode, owner, size, time of change. */
function hostState(): Map<string, string> {
  const state = new Map<string, string>();
  const look = (path: string): void => {
    const { mode, uid, gid, size, ctimeMs, ino } = lstatSync(path);
    state.set(path, [mode, uid, gid, size, ctimeMs, ino].join());
    if ((mode & 0o170000) === 0o040000) for (const name of readdirSync(path)) look(join(path, name));
  };
  for (const path of HOST) look(path);
  return state;
}

function changesBetween(before: Map<string, string>, after: Map<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name) && !USERS.test(name));
}

/** Cases and failures by file, from the test runner's report. */
function casesIn(report: string): { file: string; cases: number; failures: number }[] {
  const suites = report.matchAll(
    /<testsuite name="(test\/[^"]+\.ts)"[^>]* tests="(\d+)"[^>]* failures="(\d+)"/g,
  );
  return [...suites].map(([, file, cases, failures]) => ({
    file: file!,
    cases: Number(cases),
    failures: Number(failures),
  }));
}

const before = hostState();
const report = join(REPOSITORY, "hostile-report.xml");
const { status, stderr } = spawnSync(
  process.execPath,
  ["test", ...TESTS, "--reporter=junit", `--reporter-outfile=${report}`],
  { cwd: REPOSITORY, encoding: "utf8", maxBuffer: 64 << 20 },
);
if (status !== 0) console.error(stderr);
const rows = casesIn(readFileSync(report, "utf8"));
rmSync(report);
for (const { file, cases, failures } of rows)
  console.log(`${String(cases).padStart(5)} cases ${String(failures).padStart(3)} failures  ${file}`);
const total = rows.reduce((sum, { cases }) => sum + cases, 0);
const touched = changesBetween(before, hostState());
console.log(`${total} cases; ${touched.length} of ${before.size} files of the host changed`);
for (const path of touched) console.log(`  ${path}`);
process.exit(status === 0 && touched.length === 0 ? 0 : 1);
