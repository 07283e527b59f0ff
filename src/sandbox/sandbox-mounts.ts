/** Mounts of the built-in isolation, made inside its mount namespace below the root that is to be. */
import { closeSync, mkdirSync, openSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";
import { makedev, mknod } from "../base/file-calls.ts";
import { MNT, MS, mount, pivotRoot, umount } from "../base/mounts.ts";
import { fsPath, statusOf } from "../base/path-bytes.ts";
import type { KernelPaths } from "./kernel-paths.ts";

/** As in the runtime specification. */
export interface SandboxMount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

const FLAGS: Record<string, number> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  strictatime: 1 << 24,
  bind: MS.BIND,
  rbind: MS.BIND | MS.REC,
};
const IGNORED = new Set(["rprivate", "rw"]);
const LOCKED_FLAGS = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"] as const;
const LOCKED: Record<string, number> = {
  ...FLAGS,
  noatime: MS.NOATIME,
  nodiratime: 2048,
  relatime: MS.RELATIME,
};

/** Makes a mount of `root`, so that it can become the root, and all others in it. */
export function mountAll(root: string, mounts: readonly SandboxMount[]): void {
  mount("none", "/", undefined, MS.REC | MS.PRIVATE);
  mount(root, root, undefined, MS.BIND | MS.REC);
  for (const each of mounts) {
    try {
      mountOne(root, each);
    } catch (error) {
      throw new CooperError(
        "system",
        `Cannot mount ${each.type} at ${each.destination}: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
}

function mountOne(root: string, { destination, type, source, options }: SandboxMount): void {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    if (option in FLAGS) flags |= FLAGS[option]!;
    else if (!IGNORED.has(option)) data.push(option);
  }
  const target = resolveInRoot(root, destination);
  if ((flags & MS.BIND) !== 0) bind(source, target, flags);
  else mountNew(target, type, source, flags, data);
}

function mountNew(target: string, type: string, source: string, flags: number, data: string[]): void {
  makeTarget(target, true);
  try {
    mount(source, target, type, flags, data.join(","));
  } catch (error) {
    // Group 5 (tty) is not mapped in a namespace with one id.
    if (type !== "devpts" || errnoOf(error) !== "EINVAL") throw error;
    mount(source, target, type, flags, data.filter((option) => !option.startsWith("gid=")).join(","));
  }
}

function bind(source: string, target: string, flags: number): void {
  makeTarget(target, statSync(source).isDirectory());
  mount(source, target, undefined, flags & (MS.BIND | MS.REC));
  mount("none", target, undefined, MS.REC | MS.PRIVATE);
  const restrictions = flags & (MS.RDONLY | MS.NOSUID | MS.NODEV | MS.NOEXEC);
  if (restrictions !== 0) restrict(target, restrictions);
}

/** Only below our own tmpfs mounts is anything missing here: the rest was prepared in mountpoints.ts. */
function makeTarget(path: string, directory: boolean): void {
  if (statusOf(path) !== undefined) return;
  mkdirSync(fsPath(directory ? path : dirname(path)), { recursive: true, mode: 0o755 });
  if (!directory) closeSync(openSync(fsPath(path), "a", 0o644));
}

/** Adds flags to a mount and all mounts below it, such as that they are read-only; those that a user namespace may not clear are kept. */
function restrict(target: string, flags: number): void {
  for (const { path, options } of mountsBelow(target)) {
    const kept = LOCKED_FLAGS.filter((name) => options.includes(name)).reduce(
      (sum, name) => sum | LOCKED[name]!,
      0,
    );
    mount("none", path, undefined, MS.REMOUNT | MS.BIND | kept | flags);
  }
}

function mountsBelow(target: string): { path: string; options: string[] }[] {
  const found = new Map<string, string[]>();
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const fields = line.split(" ");
    const path = fields[4]?.replace(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    );
    // Later lines are on top of earlier ones at the same path.
    if (path === target || path?.startsWith(`${target}/`)) found.set(path, fields[5]!.split(","));
  }
  return [...found].map(([path, options]) => ({ path, options }));
}

/** Major and minor numbers of the nodes that every container has. */
export const DEVICE_NUMBERS: Record<string, [number, number]> = {
  null: [1, 3],
  zero: [1, 5],
  full: [1, 7],
  random: [1, 8],
  urandom: [1, 9],
  tty: [5, 0],
};
/** Links that every container has in /dev. */
export const DEVICE_LINKS: [name: string, target: string][] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["ptmx", "pts/ptmx"],
];

/** Fills /dev: the nodes that every container has, those asked for, and the usual links. */
export function populateDev(
  root: string,
  devices: readonly string[],
  options: { bindNodes: boolean; terminal?: string },
): void {
  const dev = resolveInRoot(root, "/dev");
  for (const [name, numbers] of Object.entries(DEVICE_NUMBERS))
    makeNode(`/dev/${name}`, `${dev}/${name}`, options.bindNodes ? undefined : numbers);
  for (const path of devices) bind(path, resolveInRoot(root, path), MS.BIND);
  if (options.terminal !== undefined) bind(options.terminal, `${dev}/console`, MS.BIND);
  for (const [name, target] of DEVICE_LINKS)
    if (statusOf(`${dev}/${name}`) === undefined) symlinkSync(target, `${dev}/${name}`);
}

function makeNode(hostPath: string, path: string, numbers: [number, number] | undefined): void {
  const S_IFCHR = 0o020000;
  if (numbers !== undefined) {
    try {
      mknod(path, S_IFCHR | 0o666, makedev(...numbers));
      return;
    } catch (error) {
      // An outer container may forbid mknod to its root.
      if (errnoOf(error) !== "EPERM") throw error;
    }
  }
  bind(hostPath, path, MS.BIND);
}

/** Hides and write-protects; paths that this kernel lacks are skipped. */
export function maskPaths(root: string, { masked, readonly }: KernelPaths): void {
  for (const path of masked) {
    const target = resolveInRoot(root, path);
    const stat = statusOf(target);
    if (stat === undefined) continue;
    if (stat.isDirectory()) mount("tmpfs", target, "tmpfs", MS.RDONLY, "size=0k");
    else mount("/dev/null", target, undefined, MS.BIND);
  }
  for (const path of readonly) {
    const target = resolveInRoot(root, path);
    if (statusOf(target) === undefined) continue;
    mount(target, target, undefined, MS.BIND | MS.REC);
    restrict(target, MS.RDONLY);
  }
}

/** Makes `root` the root of this mount namespace, with nothing of the old one left in it. */
export function enterRoot(root: string): void {
  process.chdir(root);
  try {
    // The old root ends up on top of the new one, and goes.
    pivotRoot(".", ".");
    umount(".", MNT.DETACH);
  } catch (error) {
    throw new CooperError("system", `Cannot make ${basename(root)} the root directory: ${messageOf(error)}`, {
      cause: error,
    });
  }
  process.chdir("/");
}
