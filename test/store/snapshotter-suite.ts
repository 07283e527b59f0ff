// Runs the cases for one driver as whoever it is started as, and prints what came of each as JSON.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { packLayer } from "../../src/archive/pack-layer.ts";
import { setTimes } from "../../src/base/file-calls.ts";
import { MNT, mount, umount } from "../../src/base/mounts.ts";
import { fsPath, readNames } from "../../src/base/path-bytes.ts";
import { privateMountNamespace } from "../../src/sandbox/mount-namespace.ts";
import { enterUserNamespace, finishEntering, namespaceState } from "../../src/sandbox/user-namespace.ts";
import type { Snapshotter, WritableTree } from "../../src/store/snapshotter.ts";
import { type DriverName, snapshotterOf } from "../../src/store/store.ts";
import { look } from "./look.ts";
import { checks } from "./snapshotter-checks.ts";
import { cases, type SnapshotCase } from "./snapshotter-cases.ts";

/** What came of a case. */
export interface CaseResult {
  name: string;
  /** Digest of each step's layer, for comparison with the other driver's. */
  layers: string[];
  /** Entries of the layers. */
  entries: string[][];
  error?: string;
}

class Failure extends Error {}

function same(what: string, found: string[], wanted: string[]): void {
  const missing = wanted.filter((line) => !found.includes(line));
  const extra = found.filter((line) => !wanted.includes(line));
  if (missing.length + extra.length > 0)
    throw new Failure(
      [what, ...missing.map((line) => `- ${line}`), ...extra.map((line) => `+ ${line}`)].join("\n"),
    );
}

function demand(what: string, holds: boolean): void {
  if (!holds) throw new Failure(what);
}

/** Gives everything that was written just now one time, so that layers of two runs are equal. */
function settle(root: string): void {
  const recent = BigInt(Date.now() - 60_000) * 1_000_000n;
  const visit = (path: string) => {
    const stat = lstatSync(fsPath(path), { bigint: true });
    if (stat.isDirectory()) for (const name of readNames(path)) visit(`${path}/${name}`);
    if (stat.mtimeNs >= recent) setTimes(path, 1_600_000_000_500_000_000n);
  };
  visit(root);
}

function packed(diff: string, below: string[]): { digest: string; entries: string[] } {
  const bytes = Buffer.concat([...packLayer({ diffs: [diff], below })].map((chunk) => Buffer.from(chunk)));
  const { stdout } = spawnSync("tar", ["--full-time", "--numeric-owner", "-tvf", "-"], { input: bytes });
  return {
    digest: createHash("sha256").update(bytes).digest("hex"),
    entries: stdout.toString("latin1").trimEnd().split("\n"),
  };
}

function runCase(
  test: SnapshotCase,
  driver: Snapshotter,
  directory: string,
): Omit<CaseResult, "name" | "error"> {
  const result = { layers: [] as string[], entries: [] as string[][] };
  const lowers: string[] = [];
  const plain = join(directory, "plain");
  mkdirSync(plain);
  chmodSync(plain, 0o755);
  if (test.lower !== undefined) {
    const lower = join(directory, "layers/0/diff");
    mkdirSync(lower, { recursive: true });
    test.lower(lower);
    settle(lower);
    lowers.push(lower);
    spawnSync("cp", ["-a", "-T", lower, plain]);
    chmodSync(plain, 0o755);
  }
  const tree: WritableTree = { directory: join(directory, "tree"), lowers };
  driver.prepare(tree);
  const follower: WritableTree = { directory: join(directory, "follower"), lowers };
  driver.prepare(follower);
  driver.mount(follower);
  driver.unmount(follower);
  for (const [number, step] of test.steps.entries()) {
    const root = driver.mount(tree);
    demand("mount() and path() agree", driver.path(tree) === root && driver.mount(tree) === root);
    step(root);
    settle(root);
    if (test.overlayShowsOther !== undefined) {
      driver.unmount(tree);
      driver.mount(tree);
    }
    const before = look(root);
    step(plain);
    if (driver.name === "copy" || test.overlayShowsOther === undefined)
      same("a plain directory looks the same", look(root, { times: false }), look(plain, { times: false }));
    const copied = join(directory, `layers/copied-${number}/diff`);
    demand("copyDiff() finds changes", driver.copyDiff(tree, copied));
    same("copyDiff() changes nothing", look(root), before);
    driver.unmount(tree);
    demand("unmount() unmounts", !driver.isMounted(tree));
    const target = join(directory, `layers/${number + 1}/diff`);
    demand("freeze() finds changes", driver.freeze(tree, target));
    const layer = packed(target, tree.lowers);
    same("copyDiff() and freeze() give one layer", packed(copied, tree.lowers).entries, layer.entries);
    demand("… byte for byte", packed(copied, tree.lowers).digest === layer.digest);
    result.layers.push(layer.digest);
    result.entries.push(layer.entries);
    tree.lowers = [...tree.lowers, target];
    const again = driver.mount(tree);
    same("a frozen tree looks as before", look(again), before);
    driver.unmount(tree);
    demand("a second freeze finds nothing", !driver.freeze(tree, join(directory, "layers/none/diff")));
    driver.adopt(follower, target);
    follower.lowers = tree.lowers;
    // The root directory is in no layer.
    same("a tree shows what it adopts", look(driver.mount(follower)).slice(1), before.slice(1));
    driver.unmount(follower);
    demand("adopting writes nothing", !driver.freeze(follower, join(directory, "layers/none/diff")));
    for (const reader of nested ? (["copy"] as const) : (["overlay", "copy"] as const))
      shows(reader, tree.lowers, directory, before);
  }
  driver.remove(follower);
  driver.remove(tree);
  demand("remove() deletes", !readNames(directory).includes("tree"));
  return result;
}

/** The snapshots mean the same to both drivers. */
function shows(reader: DriverName, lowers: string[], directory: string, wanted: string[]): void {
  const driver = snapshotterOf(reader);
  const tree = { directory: join(directory, "other"), lowers };
  driver.prepare(tree);
  const found = look(driver.mount(tree));
  driver.unmount(tree);
  driver.remove(tree);
  // The root directory is in no layer.
  same(`the ${reader} driver shows the snapshots`, found.slice(1), wanted.slice(1));
}

/** Everything that is to be done, as functions of an empty directory. */
function jobs(
  driver: Snapshotter,
  isRoot: boolean,
): { name: string; run: (directory: string) => Partial<CaseResult> }[] {
  const wanted = cases.filter((test) => isRoot || test.rootOnly !== true);
  return [
    ...wanted.map((test) => ({
      name: test.name,
      run: (directory: string) => runCase(test, driver, directory),
    })),
    ...checks
      .filter((check) => check.driver === undefined || check.driver === driver.name)
      .map((check) => ({
        name: check.name,
        run: (directory: string) => {
          check.run(driver, directory);
          return {};
        },
      })),
  ];
}

/** Whether the store lies on an overlay, as in an outer container's own file system. */
const nested = process.argv[3] === "nested";

/** Mounts an overlay of root's (without `userxattr`, as Podman and Docker do) and returns a directory on it. */
function onOverlay(top: string): string {
  for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(top, name));
  const data = ["lower", "upper", "work"].map((name) => `${name}dir=${join(top, name)}`).join(",");
  mount("overlay", join(top, "merged"), "overlay", 0, data);
  mkdirSync(join(top, "merged/store"));
  return join(top, "merged/store");
}

function runAll(driver: Snapshotter, isRoot: boolean): CaseResult[] {
  const made = mkdtempSync("/var/tmp/cooper-snapshots-");
  const top = nested ? onOverlay(made) : made;
  try {
    return jobs(driver, isRoot).map(({ name, run }, number) => {
      const directory = join(top, String(number));
      mkdirSync(directory);
      try {
        return { name, layers: [], entries: [], ...run(directory) };
      } catch (error) {
        return { name, layers: [], entries: [], error: (error as Error).stack ?? String(error) };
      }
    });
  } finally {
    // Deleting through a mount that a failed case left would delete what it shows.
    for (const number of readNames(top))
      for (const tree of ["tree", "other"])
        driver.unmount({ directory: join(top, number, tree), lowers: ["x"] }, true);
    if (nested) umount(join(made, "merged"), MNT.DETACH);
    rmSync(made, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  finishEntering();
  if (namespaceState().kind === "unprivileged")
    enterUserNamespace({ execPath: process.execPath, argv: process.argv, env: process.env });
  privateMountNamespace();
  const results = runAll(snapshotterOf(process.argv[2] as DriverName), namespaceState().kind === "root");
  process.stdout.write(JSON.stringify(results));
}
