/** What `node:fs` cannot do to files. Paths are names as in path-bytes.ts; errors as in libc.ts. */
import { chmodSync, closeSync, constants as fileConstants, openSync } from "node:fs";
import { constants } from "node:os";
import {
  AT_FDCWD,
  bind,
  cString,
  errno,
  i32,
  i64,
  invoke,
  invokeIoctl,
  pointer,
  ptr,
  systemCall,
  SystemCallError,
  u32,
  u64,
} from "./libc.ts";
import { fsPath } from "./path-bytes.ts";

/** mknod(2): `mode` holds the file type and the permission bits; `device` is makedev's number. */
export function mknod(path: string, mode: number, device: bigint | number): void {
  invoke("mknod", [pointer, u32, u64], [cString(path), mode, device], path);
}

/** Linux device number from major and minor (glibc's gnu_dev_makedev). */
export function makedev(major: number, minor: number): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
}

/** Major and minor of a device number. */
export function splitDevice(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 32n) & 0xfffff000n) | ((device >> 8n) & 0xfffn)),
    minor: Number(((device >> 12n) & 0xffffff00n) | (device & 0xffn)),
  };
}

/** Flags of open(2) that `node:fs` has no name for; the same on x86 and arm. */
export const O = { PATH: 0o10000000, CLOEXEC: 0o2000000 } as const;

/**
 * Opens `path` as a process whose root the open directory is would: no link, no `..` and no rename made meanwhile leads
 * out of it (openat2(2), RESOLVE_IN_ROOT, Linux 5.6). Magic links of proc(5) are not followed. Error: ENOSYS, or EPERM
 * under a seccomp filter that does not know the call.
 */
export function openInDirectory(directory: number, path: string, flags: number): number {
  const RESOLVE_NO_MAGICLINKS = 0x02n;
  const RESOLVE_IN_ROOT = 0x10n;
  const how = new BigUint64Array([BigInt(flags | O.CLOEXEC), 0n, RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT]);
  for (let attempts = 0; ; attempts++) {
    try {
      return systemCall("openat2", [i32, pointer, pointer, u64], [directory, cString(path), how, 24], path);
    } catch (error) {
      // Something was renamed while a `..` was looked up.
      const isRace = (error as SystemCallError).code === "EAGAIN";
      if (!isRace || attempts === 1000) throw error;
    }
  }
}

/** chmod(2) of a path itself: EOPNOTSUPP for a symbolic link, whose target is never touched. */
export function chmodItself(path: string, mode: number): void {
  const fd = openSync(fsPath(path), O.PATH | fileConstants.O_NOFOLLOW);
  try {
    chmodSync(`/proc/self/fd/${fd}`, mode);
  } finally {
    closeSync(fd);
  }
}

const AT_SYMLINK_NOFOLLOW = 0x100;

const timespecs = new BigInt64Array(4);

/** Sets the modification (and access) time of a path itself, never of what it links to, in nanoseconds since 1970. */
export function setTimes(path: string, mtimeNs: bigint): void {
  fillTimes(mtimeNs);
  invoke(
    "utimensat",
    [i32, pointer, pointer, i32],
    [AT_FDCWD, cString(path), ptr(timespecs), AT_SYMLINK_NOFOLLOW],
    path,
  );
}

/** The same for an open file, which need not be looked up again. */
export function setTimesOf(fd: number, mtimeNs: bigint): void {
  fillTimes(mtimeNs);
  invoke("futimens", [i32, pointer], [fd, timespecs]);
}

function fillTimes(mtimeNs: bigint): void {
  let seconds = mtimeNs / 1_000_000_000n;
  let nanoseconds = mtimeNs % 1_000_000_000n;
  if (nanoseconds < 0n) {
    seconds -= 1n;
    nanoseconds += 1_000_000_000n;
  }
  timespecs[0] = timespecs[2] = seconds;
  timespecs[1] = timespecs[3] = nanoseconds;
}

/** linkat(2) of a path itself: a symbolic link gets a second name and is not followed. */
export function link(existing: string, path: string): void {
  invoke(
    "linkat",
    [i32, pointer, i32, pointer, i32],
    [AT_FDCWD, cString(existing), AT_FDCWD, cString(path), 0],
    path,
  );
}

/** Files that are open for their name only have no calls of their own for this. */
export const openFilePath = (fd: number) => cString(`/proc/self/fd/${fd}`);

/** fchownat(2) of an open file itself, which may be a symbolic link; -1 leaves an id as it is. */
export function chownOpen(fd: number, uid: number, gid: number): void {
  const AT_EMPTY_PATH = 0x1000;
  invoke("fchownat", [i32, pointer, i32, i32, i32], [fd, cString(""), uid, gid, AT_EMPTY_PATH]);
}

/** memfd_create(2): an empty file that has no place in any directory. Returns its descriptor, which children do not get. */
export function memoryFile(name: string): number {
  const MFD_CLOEXEC = 1;
  return invoke("memfd_create", [pointer, u32], [cString(name), MFD_CLOEXEC]);
}

export const SEEK = { DATA: 3, HOLE: 4 } as const;

/** lseek(2) with SEEK_DATA or SEEK_HOLE; -1 when there is no more data behind `offset`. */
export function seek(fd: number, offset: number, whence: number): number {
  const result = Number(bind("lseek", [i32, i64, i32], i64)(fd, offset, whence));
  if (result >= 0) return result;
  const number = errno();
  if (number === constants.errno.ENXIO) return -1;
  throw new SystemCallError("lseek", number);
}

/** FICLONE: makes `target` share the extents of `source`; false where the file system cannot. */
export function reflink(targetFd: number, sourceFd: number): boolean {
  const FICLONE = 0x40049409n;
  return Number(bind("ioctl", [i32, u64, i64], i32)(targetFd, FICLONE, sourceFd)) === 0;
}

/**
 * Marks a directory as one whose subdirectories have nothing to do with each other (ioctl_iflags(2), FS_TOPDIR_FL;
 * `chattr +T`), so that ext4 spreads them over the disk. False where the file system has no such mark.
 */
export function markTopDirectory(fd: number): boolean {
  const [FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL] = [0x80086601n, 0x40086602n, 0x00020000];
  const flags = Buffer.alloc(8);
  try {
    invokeIoctl(fd, FS_IOC_GETFLAGS, flags);
    flags.writeUInt32LE((flags.readUInt32LE(0) | FS_TOPDIR_FL) >>> 0, 0);
    invokeIoctl(fd, FS_IOC_SETFLAGS, flags);
    return true;
  } catch {
    return false;
  }
}

/** syncfs(2): everything of the file system that holds `fd` is on the disk. */
export function syncfs(fd: number): void {
  invoke("syncfs", [i32], [fd]);
}

export const LOCK = { SHARED: 1, EXCLUSIVE: 2, NONBLOCKING: 4, UNLOCK: 8 } as const;

/** flock(2); false when LOCK.NONBLOCKING was given and somebody else holds the lock. */
export function flock(fd: number, operation: number): boolean {
  for (;;) {
    const result = Number(bind("flock", [i32, i32], i32)(fd, operation));
    if (result === 0) return true;
    const number = errno();
    if (number === constants.errno.EWOULDBLOCK) return false;
    if (number !== constants.errno.EINTR) throw new SystemCallError("flock", number);
  }
}
