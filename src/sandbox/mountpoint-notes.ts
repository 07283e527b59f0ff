/**
 * A file that tells which mount points a running command has, for when Cooper is killed before it can remove them: lines
 * of JSON, each written before what it tells of is done. Names are relative to the root, which may be mounted elsewhere
 * the next time.
 */
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { errnoOf } from "../base/errors.ts";
import { type MadeMountPoints, removeMountPoints } from "./mountpoints.ts";
import { restoreOriginal } from "./stand-ins.ts";
import { statusOf } from "../base/path-bytes.ts";

type Line =
  | { making: string; kind: "directory" | "file" }
  | { made: string; inode: string }
  | { parent: string; before: string; after: string }
  | { moving: string; aside: string };

/** Writes down the progress of prepareMountPoints(), and what gave way to stand-ins. */
export class MountPointNotes {
  readonly #file: string;
  readonly #root: string;

  constructor(file: string, root: string) {
    this.#file = file;
    this.#root = resolveInRoot(root, "/");
  }

  making(path: string, kind: "directory" | "file"): void {
    this.#write({ making: this.#relative(path), kind });
  }

  made(path: string, inode: bigint): void {
    this.#write({ made: this.#relative(path), inode: String(inode) });
  }

  parent(path: string, times: { before: bigint; after: bigint }): void {
    this.#write({ parent: this.#relative(path), before: String(times.before), after: String(times.after) });
  }

  moving(path: string, aside: string): void {
    // The directory of a container may be moved as a whole, with what waits beside its root.
    this.#write({ moving: this.#relative(path), aside: relative(dirname(this.#root), aside) });
  }

  /** There is nothing to be removed any more. */
  close(): void {
    rmSync(this.#file, { force: true });
  }

  #relative(path: string): string {
    return path.slice(this.#root === "/" ? 0 : this.#root.length);
  }

  #write(line: Line): void {
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  }
}

/**
 * Removes from a root what a killed run made there and left as it was, puts back what gave way to it, and removes the
 * notes. Returns the paths (`/etc/hosts`) of what was put back.
 */
export function removeNotedMountPoints(file: string, root: string): string[] {
  const lines = readLines(file);
  const top = resolveInRoot(root, "/");
  const at = (path: string) => (top === "/" ? path : `${top}${path}`) || "/";
  const found: MadeMountPoints = { root: top, made: [], parents: new Map() };
  const inodes = new Map<string, bigint>();
  for (const line of lines) {
    if ("made" in line) inodes.set(line.made, BigInt(line.inode));
    if ("parent" in line)
      found.parents.set(at(line.parent), { before: BigInt(line.before), after: BigInt(line.after) });
  }
  const restored: string[] = [];
  const asides = new Set<string>();
  for (const line of lines.toReversed()) {
    if (!("moving" in line)) continue;
    if (restoreOriginal(at(line.moving), join(dirname(top), line.aside))) restored.push(line.moving);
    asides.add(dirname(join(dirname(top), line.aside)));
  }
  for (const directory of asides) rmSync(directory, { recursive: true, force: true });
  for (const line of lines)
    if ("making" in line)
      found.made.push({ path: at(line.making), kind: line.kind, inode: inodes.get(line.making) });
  removeMountPoints(found);
  rmSync(file, { force: true });
  return restored.filter((path) => statusOf(at(path)) !== undefined);
}

/** Whole lines only: the last one may have been cut off. */
function readLines(file: string): Line[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}
