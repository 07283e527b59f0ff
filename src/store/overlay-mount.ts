/** Mounting the layers of a writable tree as one overlay (overlayfs, Linux 5.11 or later for `userxattr`). */
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { CooperError } from "../base/errors.ts";
import { mount, mountWithOptions } from "../base/mounts.ts";
import type { WritableTree } from "./snapshotter.ts";

/** mount(2) passes its options in one page. */
const OPTION_LIMIT = 4095;
/** OVL_MAX_STACK of the kernel. */
const STACK_LIMIT = 500;

/** Where an overlay is mounted, and where its parts are seen. */
export interface Places {
  /** As layersOf(). */
  layers: string;
  /** The tree's own directory. */
  directory: string;
  target: string;
}

/** The directory that holds all snapshots of a tree. */
export const layersOf = (tree: WritableTree): string => dirname(dirname(tree.lowers[0]!));

/** `volatile` leaves a mark in the work directory that forbids a second mount: each mount gets a new one. */
export function renewWork({ directory }: WritableTree): void {
  rmSync(join(directory, "work"), { recursive: true, force: true });
  mkdirSync(join(directory, "work"), { mode: 0o700 });
}

/** Mounts `upper` on a tree's snapshots. Errors: `unsupported` for too many of them, and the kernel's. */
export function mountLayers(tree: WritableTree, { layers, directory, target }: Places): void {
  if (tree.lowers.length > STACK_LIMIT) {
    throw new CooperError(
      "unsupported",
      `Cannot mount ${tree.lowers.length} layers: overlayfs stacks ${STACK_LIMIT}`,
    );
  }
  // Paths relative to layers/ keep the options short and free of the characters that overlayfs splits at.
  const lowers = tree.lowers.map((lower) => relative(layersOf(tree), lower)).reverse();
  const upperdir = relative(layers, join(directory, "upper"));
  const workdir = relative(layers, join(directory, "work"));
  const data = `lowerdir=${lowers.join(":")},upperdir=${upperdir},workdir=${workdir},userxattr,volatile`;
  inDirectory(layers, () => {
    if (data.length <= OPTION_LIMIT) mount("overlay", target, "overlay", 0, data);
    else mountLongStack(target, lowers, upperdir, workdir);
  });
}

/** More lowers than a page has room for: one option each (`lowerdir+`, Linux 6.5). */
function mountLongStack(target: string, lowers: string[], upperdir: string, workdir: string): void {
  const stack = lowers.map((lower): [string, string] => ["lowerdir+", lower]);
  mountWithOptions("overlay", target, [
    ["source", "overlay"],
    ...stack,
    ["upperdir", upperdir],
    ["workdir", workdir],
    ["userxattr"],
    ["volatile"],
  ]);
}

/** The kernel resolves relative paths of an overlay from the caller's working directory. */
function inDirectory(directory: string, action: () => void): void {
  const back = process.cwd();
  process.chdir(directory);
  try {
    action();
  } finally {
    process.chdir(back);
  }
}
