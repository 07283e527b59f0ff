/** /dev for a command without mounts: a directory with the usual nodes, or files in their place. */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { CooperError, messageOf } from "../base/errors.ts";
import { makedev, mknod } from "../base/file-calls.ts";
import { fsPath } from "../base/path-bytes.ts";
import { DEVICE_LINKS, DEVICE_NUMBERS } from "./sandbox-mounts.ts";

const S_IFCHR = 0o020000;
/** Of the file that stands for /dev/zero: none of it is on the disk. */
const ZEROS = 2 ** 40;
const RANDOM_BYTES = 1 << 20;

/** Fills a new directory. Returns what ends it: call it when the command has ended. Error: `unsupported` for a device. */
export function makePlainDev(dev: string, devices: readonly string[]): () => void {
  mkdirSync(fsPath(dev), { mode: 0o755 });
  chmodSync(fsPath(dev), 0o755);
  for (const name of ["shm", "mqueue", "pts"]) {
    mkdirSync(fsPath(`${dev}/${name}`));
    chmodSync(fsPath(`${dev}/${name}`), name === "pts" ? 0o755 : 0o1777);
  }
  for (const [name, target] of DEVICE_LINKS)
    if (name !== "ptmx") symlinkSync(target, fsPath(`${dev}/${name}`));
  const missing = Object.entries(DEVICE_NUMBERS)
    .filter(([name, [major, minor]]) => !makeNode(`${dev}/${name}`, makedev(major, minor), 0o666))
    .map(([name]) => name);
  for (const device of devices) copyDevice(device, dev);
  return standFor(dev, missing);
}

/** Whether a node could be made that opens: the kernel, the device cgroup or a `nodev` mount may be against it. */
function makeNode(path: string, device: bigint, mode: number): boolean {
  try {
    mknod(path, S_IFCHR | mode, device);
  } catch {
    return false;
  }
  chmodSync(fsPath(path), mode);
  try {
    closeSync(openSync(fsPath(path), "r"));
    return true;
  } catch (error) {
    // /dev/tty is there for processes that have a terminal.
    if (["ENXIO", "EIO"].includes((error as { code?: string }).code ?? "")) return true;
    unlinkSync(fsPath(path));
    return false;
  }
}

function copyDevice(source: string, dev: string): void {
  const inside = source.startsWith("/dev/") ? source.slice("/dev/".length) : undefined;
  try {
    const stat = statSync(source, { bigint: true });
    if (inside === undefined || !(stat.isCharacterDevice() || stat.isBlockDevice()))
      throw new CooperError("usage", "it is no device below /dev");
    mkdirSync(fsPath(`${dev}/${inside}/..`), { recursive: true });
    mknod(`${dev}/${inside}`, Number(stat.mode), stat.rdev);
    closeSync(openSync(fsPath(`${dev}/${inside}`), "r"));
  } catch (error) {
    throw new CooperError(
      "unsupported",
      `Cannot give the device ${source} to the container without mounts: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * Files for nodes that cannot be made. The one for /dev/null is emptied whenever something was written into it, those
 * for random numbers hold some, the one for /dev/zero is one long hole; the others are left out.
 */
function standFor(dev: string, missing: readonly string[]): () => void {
  for (const name of ["random", "urandom"])
    if (missing.includes(name)) writeFileSync(fsPath(`${dev}/${name}`), randomBytes(RANDOM_BYTES));
  if (missing.includes("zero")) {
    writeFileSync(fsPath(`${dev}/zero`), "");
    truncateSync(fsPath(`${dev}/zero`), ZEROS);
  }
  for (const name of ["random", "urandom", "zero"])
    if (missing.includes(name)) chmodSync(fsPath(`${dev}/${name}`), 0o444);
  if (!missing.includes("null")) return () => {};
  const path = fsPath(`${dev}/null`);
  writeFileSync(path, "");
  chmodSync(path, 0o666);
  const empty = () => {
    try {
      if (lstatSync(path).size > 0) truncateSync(path);
    } catch {
      // The command removed it.
    }
  };
  // Of many changes in a millisecond the runtime tells only one: the last may be missed.
  const watcher = watch(path, empty);
  const timer = setInterval(empty, 20);
  return () => {
    watcher.close();
    clearInterval(timer);
  };
}
