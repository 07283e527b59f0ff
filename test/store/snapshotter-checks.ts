/** What snapshotters must do beyond single operations: long stacks, trees in use, and what a kill left. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimes } from "../../src/base/file-calls.ts";
import type { CooperError } from "../../src/base/errors.ts";
import type { Snapshotter, WritableTree } from "../../src/store/snapshotter.ts";

export interface SnapshotCheck {
  name: string;
  /** Whom it is about; both when absent. */
  driver?: Snapshotter["name"];
  run(driver: Snapshotter, directory: string): void;
}

function equal(found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`found ${a}, wanted ${b}`);
}

function codeOf(action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as CooperError).code;
  }
}

/** Snapshots with a file each and one that all have; every tenth deletes an earlier one's. Lowest first. */
function stack(directory: string, count: number, driver: Snapshotter): string[] {
  const maker: WritableTree = { directory: join(directory, "maker"), lowers: [] };
  return Array.from({ length: count }, (_, number) => {
    // Names as long as the store's own.
    const lower = join(directory, "layers", `0123456789${String(number).padStart(3, "0")}`, "diff");
    driver.prepare(maker);
    const root = driver.mount(maker);
    writeFileSync(join(root, `file-${number}`), String(number));
    writeFileSync(join(root, "common"), String(number));
    driver.freeze(maker, lower);
    driver.remove(maker);
    return lower;
  });
}

function readsStack(count: number): SnapshotCheck["run"] {
  return (driver, directory) => {
    const tree = { directory: join(directory, "tree"), lowers: stack(directory, count, driver) };
    driver.prepare(tree);
    const root = driver.mount(tree);
    equal(readdirSync(root).length, count + 1);
    equal(readFileSync(join(root, "common"), "utf8"), String(count - 1));
    equal(readFileSync(join(root, "file-0"), "utf8"), "0");
    rmSync(join(root, "file-0"));
    writeFileSync(join(root, "on top"), "x");
    driver.unmount(tree);
    const target = join(directory, "layers/target/diff");
    equal(driver.freeze(tree, target), true);
    equal(readdirSync(target).sort(), ["file-0", "on top"]);
    tree.lowers.push(target);
    equal(readdirSync(driver.mount(tree)).length, count + 1);
    driver.unmount(tree);
  };
}

function usual(driver: Snapshotter, directory: string): WritableTree {
  const tree = { directory: join(directory, "tree"), lowers: stack(directory, 1, driver) };
  driver.prepare(tree);
  return tree;
}

export const checks: SnapshotCheck[] = [
  { name: "a stack of 140 snapshots", run: readsStack(140) },
  {
    name: "a stack of 300 snapshots, whose names need more than a page",
    driver: "overlay",
    run: readsStack(300),
  },
  {
    name: "a stack that is higher than overlayfs can have it is refused",
    driver: "overlay",
    run(driver, directory) {
      const lowers = Array.from({ length: 501 }, () => directory);
      const tree = { directory: join(directory, "tree"), lowers };
      driver.prepare(tree);
      equal(
        codeOf(() => driver.mount(tree)),
        "unsupported",
      );
    },
  },
  {
    name: "a tree in use is not unmounted, but may be left behind",
    driver: "overlay",
    run(driver, directory) {
      const tree = usual(driver, directory);
      const root = driver.mount(tree);
      const sleeper = spawn("sleep", ["60"], { cwd: root, stdio: "ignore" });
      try {
        equal(
          codeOf(() => driver.unmount(tree)),
          "in-use",
        );
        equal(driver.isMounted(tree), true);
        driver.unmount(tree, true);
        equal(driver.isMounted(tree), false);
      } finally {
        sleeper.kill("SIGKILL");
      }
    },
  },
  {
    name: "mounting and unmounting twice is doing it once",
    run(driver, directory) {
      const tree = usual(driver, directory);
      const root = driver.mount(tree);
      writeFileSync(join(root, "kept"), "x");
      equal(driver.mount(tree), root);
      driver.unmount(tree);
      driver.unmount(tree);
      equal(existsSync(join(driver.mount(tree), "kept")), true);
      driver.unmount(tree);
    },
  },
  {
    name: "the root directory may be entered by everybody, whatever the umask",
    run(driver, directory) {
      const before = process.umask(0o077);
      try {
        const tree = usual(driver, directory);
        writeFileSync(join(driver.mount(tree), "x"), "");
        equal(statSync(driver.path(tree)).mode & 0o777, 0o755);
        driver.unmount(tree);
        const target = join(directory, "layers/t/diff");
        driver.freeze(tree, target);
        tree.lowers.push(target);
        equal(statSync(driver.mount(tree)).mode & 0o777, 0o755);
        driver.unmount(tree);
      } finally {
        process.umask(before);
      }
    },
  },
  {
    name: "without the mount nobody writes to the path of a tree",
    driver: "overlay",
    run(driver, directory) {
      const tree = usual(driver, directory);
      equal(lstatSync(driver.path(tree)).mode & 0o777, 0);
      equal(readdirSync(driver.path(tree)), []);
    },
  },
  {
    name: "a freeze that was killed half-way is finished by the next use",
    driver: "overlay",
    run(driver, directory) {
      const tree = usual(driver, directory);
      writeFileSync(join(driver.mount(tree), "written"), "x");
      driver.unmount(tree);
      const target = join(directory, "layers/t/diff");
      driver.freeze(tree, target);
      // As if the kill had come between its two renames.
      renameSync(join(tree.directory, "upper"), join(tree.directory, "next"));
      tree.lowers.push(target);
      equal(readdirSync(driver.mount(tree)).includes("written"), true);
      driver.unmount(tree);
      equal(driver.freeze(tree, join(directory, "layers/u/diff")), false);
    },
  },
  {
    name: "a freeze that was killed before its snapshot was complete never was",
    driver: "copy",
    run(driver, directory) {
      const tree = usual(driver, directory);
      const root = driver.mount(tree);
      writeFileSync(join(root, "gone"), "x");
      // As if the kill had come before the rename: the snapshot lies there under another name, the new index is written.
      driver.copyDiff(tree, join(tree.directory, "diff"));
      rmSync(join(root, "gone"));
      writeFileSync(join(root, "kept"), "x");
      const target = join(directory, "layers/t/diff");
      equal(driver.freeze(tree, target), true);
      equal(readdirSync(target), ["kept"]);
    },
  },
  {
    name: "a file rewritten at once, with its size and its time, has changed",
    run(driver, directory) {
      const tree = usual(driver, directory);
      const file = join(driver.mount(tree), "common");
      const { mtimeNs } = lstatSync(file, { bigint: true });
      writeFileSync(file, "1");
      setTimes(file, mtimeNs);
      driver.unmount(tree);
      const target = join(directory, "layers/t/diff");
      equal(driver.freeze(tree, target), true);
      tree.lowers.push(target);
      // Right after the freeze, within one tick of the kernel's clock.
      const again = join(driver.mount(tree), "common");
      writeFileSync(again, "2");
      setTimes(again, mtimeNs);
      driver.unmount(tree);
      equal(driver.freeze(tree, join(directory, "layers/u/diff")), true);
      equal(readFileSync(join(directory, "layers/u/diff/common"), "utf8"), "2");
    },
  },
  {
    name: "nothing is copied before a tree is used",
    driver: "copy",
    run(driver, directory) {
      const tree = usual(driver, directory);
      equal(readdirSync(tree.directory), []);
      equal(driver.freeze(tree, join(directory, "layers/t/diff")), false);
      equal(driver.view(tree), tree.lowers);
    },
  },
  {
    name: "what was put back counts as unchanged, what was not there before as new",
    driver: "copy",
    run(driver, directory) {
      const tree = usual(driver, directory);
      const root = driver.mount(tree);
      renameSync(join(root, "common"), join(tree.directory, "aside"));
      writeFileSync(join(root, "common"), "stand-in");
      renameSync(join(tree.directory, "aside"), join(root, "common"));
      writeFileSync(join(root, "new"), "x");
      driver.accept(tree, ["/common", "/new"]);
      const target = join(directory, "layers/t/diff");
      equal(driver.freeze(tree, target), true);
      equal(readdirSync(target), ["new"]);
      tree.lowers.push(target);
      equal(driver.freeze(tree, join(directory, "layers/u/diff")), false);
    },
  },
  {
    name: "a directory in which something was made and taken away again is in no layer, unless it was changed besides",
    run(driver, directory) {
      const tree = usual(driver, directory);
      const below = join(directory, "layers/below/diff");
      for (const name of ["kept/deep", "changed", "used"])
        mkdirSync(join(driver.mount(tree), name), { recursive: true });
      driver.unmount(tree);
      driver.freeze(tree, below);
      tree.lowers.push(below);
      const root = driver.mount(tree);
      chmodSync(join(root, "changed"), 0o711);
      writeFileSync(join(root, "used/file"), "x");
      const paths = ["/kept/deep", "/changed", "/used"];
      for (const path of paths) {
        const { mtimeNs } = lstatSync(root + path, { bigint: true });
        writeFileSync(`${root}${path}/point`, "");
        rmSync(`${root}${path}/point`);
        setTimes(root + path, mtimeNs);
      }
      driver.accept(tree, paths);
      driver.unmount(tree);
      const target = join(directory, "layers/t/diff");
      equal(driver.freeze(tree, target), true);
      equal(readdirSync(target).sort(), ["changed", "used"]);
      equal(lstatSync(join(target, "changed")).mode & 0o777, 0o711);
      tree.lowers.push(target);
      equal(readdirSync(join(driver.mount(tree), "kept")), ["deep"]);
      driver.unmount(tree);
    },
  },
  {
    name: "a tree is deleted with everything in it",
    run(driver, directory) {
      const tree = usual(driver, directory);
      const root = driver.mount(tree);
      mkdirSync(join(root, "closed"), { mode: 0 });
      writeFileSync(join(root, "closed/file"), "x", { mode: 0 });
      driver.unmount(tree);
      driver.remove(tree);
      equal(existsSync(tree.directory), false);
    },
  },
];
