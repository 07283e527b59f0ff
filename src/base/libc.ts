/**
 * The system calls that `node:fs` lacks, over `bun:ffi`. No other module imports `bun:ffi`.
 * Each function throws an error with the errno's name in `code`, as `node:fs` does. Paths are names as in
 * path-bytes.ts. Symbols are bound at their first use, so that a command pays for none that it does not call.
 */
import { dlopen, type FFIFunction, FFIType, ptr, read } from "bun:ffi";
import { chmodSync, closeSync, constants as fileConstants, openSync } from "node:fs";
import { constants } from "node:os";
import { encodeName, fsPath } from "./path-bytes.ts";

export const { i32, i64, u32, u64, pointer } = FFIType;

type Call = (...args: unknown[]) => number | bigint;
const bound = new Map<string, Call>();

// glibc first, then musl's names.
const LIBRARIES = [
  "libc.so.6",
  `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  "libc.so",
];

function bind(name: string, args: FFIType[], returns: FFIType): Call {
  const known = bound.get(name);
  if (known !== undefined) return known;
  const call = bindAs(name, args, returns);
  bound.set(name, call);
  return call;
}

function bindAs(name: string, args: FFIType[], returns: FFIType): Call {
  let failure: unknown;
  for (const library of LIBRARIES) {
    try {
      const definition: FFIFunction = { args, returns };
      return dlopen(library, { [name]: definition }).symbols[name] as unknown as Call;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

function errno(): number {
  const location = bind("__errno_location", [], FFIType.ptr)() as number;
  return read.i32(location as never, 0);
}

/** A failed system call, shaped like the errors of `node:fs`. */
export class SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, number: number, path?: string) {
    const code = errnoNames.get(number) ?? `E${number}`;
    super(`${code}: ${syscall}${path === undefined ? "" : ` '${path}'`}`);
    this.name = "SystemCallError";
    this.code = code;
    this.errno = number;
    this.syscall = syscall;
  }
}

/** Calls a function of libc that returns an int, -1 for an error. A name has one signature in the whole program. */
export function invoke(name: string, args: FFIType[], values: unknown[], path?: string): number {
  const result = Number(bind(name, args, i32)(...values));
  if (result === -1) throw new SystemCallError(name, errno(), path);
  return result;
}

/** A NUL-terminated C string; the caller keeps the buffer alive for the call. */
function cString(text: string): Buffer {
  if (text.includes("\0"))
    throw new SystemCallError("path", constants.errno.EINVAL, text.replaceAll("\0", "\\0"));
  return encodeName(`${text}\0`);
}

const text = (value: string | undefined): unknown => (value === undefined ? null : cString(value));

// ---- namespaces and mounts ----

const AT_FDCWD = -100;

export const CLONE = {
  NEWNS: 0x20000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
  NEWCGROUP: 0x2000000,
} as const;

/** Flags of mount(2). */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  NOATIME: 1024,
  BIND: 4096,
  MOVE: 8192,
  REC: 16384,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  RELATIME: 1 << 21,
} as const;

/** Flags of umount2(2). */
export const MNT = { FORCE: 1, DETACH: 2 } as const;

/**
 * unshare(2) for the calling thread. A Bun process has many threads, so user and PID namespaces are out of reach
 * here (execute `unshare`); a mount namespace is not, and threads and children made later inherit it.
 */
export function unshare(flags: number): void {
  invoke("unshare", [i32], [flags]);
}

/** mount(2). */
export function mount(
  source: string,
  target: string,
  type: string | undefined,
  flags: number,
  data?: string,
): void {
  invoke(
    "mount",
    [pointer, pointer, pointer, u64, pointer],
    [cString(source), cString(target), text(type), flags, text(data)],
    target,
  );
}

/** Numbers of the system calls that libc does not wrap; from 424 on the same on every architecture (asm-generic/unistd.h). */
const NUMBER = {
  seccomp: process.arch === "arm64" ? 277 : 317,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  openat2: 437,
} as const;
const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, CMD_CREATE: 6 } as const;

function systemCall(name: keyof typeof NUMBER, types: FFIType[], values: unknown[], path?: string): number {
  const key = `syscall:${name}`;
  const call = bound.get(key) ?? bindAs("syscall", [i64, ...types], i64);
  bound.set(key, call);
  const result = Number(call(NUMBER[name], ...values));
  if (result === -1) throw new SystemCallError(name, errno(), path);
  return result;
}

/**
 * Mounts a file system whose options do not fit mount(2)'s one page, option by option (fsopen(2), Linux 5.2). An option
 * without a value is a flag.
 */
export function mountWithOptions(
  type: string,
  target: string,
  options: [name: string, value?: string][],
): void {
  const fs = systemCall("fsopen", [pointer, u32], [cString(type), 0], target);
  let fd = -1;
  try {
    const set = (command: number, key: string | undefined, value: string | undefined) =>
      systemCall(
        "fsconfig",
        [i32, u32, pointer, pointer, i32],
        [fs, command, text(key), text(value), 0],
        target,
      );
    for (const [key, value] of options)
      set(value === undefined ? FSCONFIG.SET_FLAG : FSCONFIG.SET_STRING, key, value);
    set(FSCONFIG.CMD_CREATE, undefined, undefined);
    fd = systemCall("fsmount", [i32, u32, u32], [fs, 0, 0], target);
    const MOVE_MOUNT_F_EMPTY_PATH = 4;
    systemCall(
      "move_mount",
      [i32, pointer, i32, pointer, u32],
      [fd, cString(""), AT_FDCWD, cString(target), MOVE_MOUNT_F_EMPTY_PATH],
      target,
    );
  } finally {
    closeSync(fs);
    if (fd !== -1) closeSync(fd);
  }
}

/** umount2(2). */
export function umount(target: string, flags = 0): void {
  invoke("umount2", [pointer, i32], [cString(target), flags], target);
}

/** chroot(2); changes the whole process. */
export function chroot(path: string): void {
  invoke("chroot", [pointer], [cString(path)], path);
}

/** pivot_root(2): `newRoot`, a mount, becomes the root, and the old one is mounted at `putOld` below it. */
export function pivotRoot(newRoot: string, putOld: string): void {
  // glibc has a wrapper, musl has none.
  const number = process.arch === "arm64" ? 41 : 155;
  invoke("syscall", [i64, pointer, pointer], [number, cString(newRoot), cString(putOld)], newRoot);
}

/** Brings the loopback interface of this network namespace up (netdevice(7), SIOCSIFFLAGS). */
export function raiseLoopback(): void {
  const AF_INET = 2;
  const SOCK_DGRAM_CLOEXEC = 0o2000002;
  const SIOCSIFFLAGS = 0x8914n;
  const IFF_UP_RUNNING = 0x41;
  const request = Buffer.alloc(40); // struct ifreq: name, then flags
  request.write("lo");
  request.writeInt16LE(IFF_UP_RUNNING, 16);
  const fd = invoke("socket", [i32, i32, i32], [AF_INET, SOCK_DGRAM_CLOEXEC, 0]);
  invokeIoctl(fd, SIOCSIFFLAGS, request);
}

/** ioctl(2) with a structure that the kernel reads or fills. */
export function invokeIoctl(fd: number, operation: bigint, argument: Buffer): void {
  // The third argument is a plain number elsewhere (FICLONE), and a symbol is bound with one signature.
  const address = BigInt(ptr(argument));
  const result = Number(bind("ioctl", [i32, u64, i64], i32)(fd, operation, address));
  if (result === -1) throw new SystemCallError("ioctl", errno());
}

/** sethostname(2), for this UTS namespace. */
export function sethostname(name: string): void {
  const bytes = Buffer.from(name);
  invoke("sethostname", [pointer, u64], [bytes, bytes.length]);
}

// ---- files ----

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

// Nearly every file has none: one buffer for all calls spares an allocation each.
const xattrNames = Buffer.alloc(1024);

/** Names of the extended attributes of a path itself; empty where the file system has none. */
export function listXattrs(path: string): string[] {
  const name = cString(path);
  for (let buffer = xattrNames; ; buffer = Buffer.alloc(buffer.length * 4)) {
    const length = Number(bind("llistxattr", [pointer, pointer, u64], i64)(name, buffer, buffer.length));
    if (length === 0) return [];
    if (length > 0) return buffer.toString("utf8", 0, length - 1).split("\0");
    const number = errno();
    if (number === constants.errno.EOPNOTSUPP) return [];
    if (number !== constants.errno.ERANGE) throw new SystemCallError("llistxattr", number, path);
  }
}

/** Value of an extended attribute of a path itself, or undefined when it has none of that name. */
export function getXattr(path: string, name: string): Buffer | undefined {
  const cPath = cString(path);
  const cName = cString(name);
  for (let size = 256; ; size *= 8) {
    const buffer = Buffer.alloc(size);
    const length = Number(
      bind("lgetxattr", [pointer, pointer, pointer, u64], i64)(cPath, cName, buffer, size),
    );
    if (length >= 0) return buffer.subarray(0, length);
    const number = errno();
    if (number === constants.errno.ENODATA || number === constants.errno.EOPNOTSUPP) return undefined;
    if (number !== constants.errno.ERANGE) throw new SystemCallError("lgetxattr", number, path);
  }
}

/** The same of an open file, which may be open for nothing but its name (O.PATH) and is no symbolic link. */
export function getXattrOf(fd: number, name: string): Buffer | undefined {
  const buffer = Buffer.alloc(256);
  const types = [pointer, pointer, pointer, u64];
  const path = openFilePath(fd);
  const length = Number(bind("getxattr", types, i64)(path, cString(name), buffer, buffer.length));
  if (length >= 0) return buffer.subarray(0, length);
  const number = errno();
  if (number === constants.errno.ENODATA || number === constants.errno.EOPNOTSUPP) return undefined;
  throw new SystemCallError("getxattr", number);
}

/** Sets an extended attribute of an open file, or removes it. */
export function setXattrOf(fd: number, name: string, value: Uint8Array | undefined): void {
  const path = openFilePath(fd);
  if (value === undefined) invoke("removexattr", [pointer, pointer], [path, cString(name)]);
  else {
    const types = [pointer, pointer, pointer, u64, i32];
    invoke("setxattr", types, [path, cString(name), Buffer.from(value), value.length, 0]);
  }
}

/** Files that are open for their name only have no calls of their own for this. */
const openFilePath = (fd: number) => cString(`/proc/self/fd/${fd}`);

/** fchownat(2) of an open file itself, which may be a symbolic link; -1 leaves an id as it is. */
export function chownOpen(fd: number, uid: number, gid: number): void {
  const AT_EMPTY_PATH = 0x1000;
  invoke("fchownat", [i32, pointer, i32, i32, i32], [fd, cString(""), uid, gid, AT_EMPTY_PATH]);
}

/** Sets an extended attribute of a path itself. */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  // An empty buffer has no address: give the kernel one byte to point at, of which it reads none.
  const bytes = value.length === 0 ? Buffer.alloc(1) : value;
  invoke(
    "lsetxattr",
    [pointer, pointer, pointer, u64, i32],
    [cString(path), cString(name), bytes, value.length, 0],
    path,
  );
}

/** Removes an extended attribute of a path itself. */
export function removeXattr(path: string, name: string): void {
  invoke("lremovexattr", [pointer, pointer], [cString(path), cString(name)], path);
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

// ---- processes and identity ----

/** umask(2): sets the mask and returns the previous one. */
export function umask(mask: number): number {
  return process.umask(mask);
}

function stringArray(values: string[]): { array: BigUint64Array; keep: Buffer[] } {
  const keep = values.map(cString);
  const array = new BigUint64Array(values.length + 1);
  for (const [index, buffer] of keep.entries()) array[index] = BigInt(ptr(buffer));
  return { array, keep };
}

/** execve(2): replaces this process, all threads of it. Returns only by throwing. */
export function execve(path: string, argv: string[], env: Record<string, string | undefined>): never {
  const args = stringArray(argv);
  const pairs = Object.entries(env).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}`],
  );
  const environment = stringArray(pairs);
  // Bun opens everything close-on-exec but may have marked stdio non-blocking; the new program expects plain files.
  for (const fd of [0, 1, 2]) setBlocking(fd);
  resetSignals();
  invoke(
    "execve",
    [pointer, pointer, pointer],
    [cString(path), ptr(args.array), ptr(environment.array)],
    path,
  );
  throw new SystemCallError("execve", 0, path);
}

/** Ignored signals stay ignored in the new program: Bun ignores SIGPIPE, without which `yes | head` never ends. */
function resetSignals(): void {
  const SIG_DFL = 0n;
  for (const signal of [constants.signals.SIGPIPE, constants.signals.SIGXFSZ])
    bind("signal", [i32, i64], i64)(signal, SIG_DFL);
}

function setBlocking(fd: number): void {
  const F_GETFL = 3;
  const F_SETFL = 4;
  const O_NONBLOCK = 0o4000;
  const fcntl = bind("fcntl", [i32, i32, i64], i32);
  const flags = Number(fcntl(fd, F_GETFL, 0));
  if (flags !== -1 && (flags & O_NONBLOCK) !== 0) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/** isatty(3). `node:tty` takes two milliseconds to load. */
export function isTerminal(fd: number): boolean {
  return Number(bind("isatty", [i32], i32)(fd)) === 1;
}

/** Size of a terminal in characters (tty_ioctl(4), TIOCGWINSZ); undefined where the file is none, or does not know. */
export function terminalSize(fd: number): { columns: number; rows: number } | undefined {
  const TIOCGWINSZ = 0x5413n;
  const size = Buffer.alloc(8); // struct winsize
  try {
    invokeIoctl(fd, TIOCGWINSZ, size);
  } catch {
    return undefined;
  }
  const [rows, columns] = [size.readUInt16LE(0), size.readUInt16LE(2)];
  return rows === 0 || columns === 0 ? undefined : { columns, rows };
}

/** How a terminal treats what is typed (tty_ioctl(4), TCGETS), for restoreTerminal(); undefined where the file is none. */
export function terminalModes(fd: number): Buffer | undefined {
  const TCGETS = 0x5401n;
  const modes = Buffer.alloc(64); // struct termios of the kernel, which is shorter
  try {
    invokeIoctl(fd, TCGETS, modes);
    return modes;
  } catch {
    return undefined;
  }
}

/** Gives a terminal the modes that it had; one that has gone meanwhile needs none. */
export function restoreTerminal(fd: number, modes: Buffer): void {
  const TCSETSW = 0x5403n;
  try {
    invokeIoctl(fd, TCSETSW, modes);
  } catch {}
}

/** _exit(2): ends this process as it is, without the runtime's own farewell. Everything must be written already. */
export function exitNow(status: number): never {
  bind("_exit", [i32], FFIType.void)(status);
  throw new SystemCallError("_exit", 0);
}

/** prctl(2) with plain numbers. */
export function prctl(option: number, a = 0, b = 0, c = 0, d = 0): number {
  return invoke("prctl", [i32, u64, u64, u64, u64], [option, a, b, c, d]);
}

/** Takes note of the ends of all children that have ended (waitpid(2), WNOHANG), whoever started them. */
export function reapChildren(): void {
  const WNOHANG = 1;
  const waitpid = bind("waitpid", [i32, i64, i32], i32);
  while (Number(waitpid(-1, 0n, WNOHANG)) > 0);
}

/** Loads a classic BPF program as this process's seccomp filter (seccomp(2), SECCOMP_SET_MODE_FILTER). */
export function loadSeccompFilter(program: Uint8Array): void {
  const PR_SET_SECCOMP = 22;
  const SECCOMP_MODE_FILTER = 2;
  const instructions = Buffer.from(program);
  const header = new BigUint64Array([BigInt(instructions.length / 8), BigInt(ptr(instructions))]);
  invoke("prctl", [i32, u64, pointer, u64, u64], [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ptr(header), 0, 0]);
}

/**
 * Loads a program for this thread, with no_new_privs or CAP_SYS_ADMIN, and returns the descriptor at which what it hands
 * on is answered (seccomp(2), SECCOMP_FILTER_FLAG_NEW_LISTENER, Linux 5.0). Error: EBUSY under a filter that has one.
 */
export function loadSupervisedFilter(program: Uint8Array): number {
  const [SECCOMP_SET_MODE_FILTER, NEW_LISTENER] = [1, 8];
  const instructions = Buffer.from(program);
  const header = new BigUint64Array([BigInt(instructions.length / 8), BigInt(ptr(instructions))]);
  return systemCall("seccomp", [u32, u32, pointer], [SECCOMP_SET_MODE_FILTER, NEW_LISTENER, ptr(header)]);
}

/** Address of a buffer, for structures that point at others. The caller keeps the buffer alive. */
export function addressOf(buffer: Buffer): bigint {
  return BigInt(ptr(buffer));
}

/** setgroups, setgid and setuid as the kernel does them for this thread, which is about to execute a program. */
export function becomeUser(uid: number, gid: number, groups: number[]): void {
  const list = Uint32Array.from(groups.length === 0 ? [0] : groups);
  invoke("setgroups", [u64, pointer], [groups.length, ptr(list)]);
  invoke("setgid", [u32], [gid]);
  invoke("setuid", [u32], [uid]);
}

/** capset(2), version 3: the sets as bit masks of the first 64 capabilities. */
export function capset(effective: bigint, permitted: bigint, inheritable: bigint): void {
  const low = (set: bigint) => Number(set & 0xffffffffn);
  const high = (set: bigint) => Number(set >> 32n);
  const header = new Uint32Array([0x20080522, 0]);
  const data = new Uint32Array([
    low(effective),
    low(permitted),
    low(inheritable),
    high(effective),
    high(permitted),
    high(inheritable),
  ]);
  invoke("capset", [pointer, pointer], [ptr(header), ptr(data)]);
}

/** setrlimit(2) for this process; `resource` is the kernel's number. */
export function setrlimit(resource: number, soft: bigint, hard: bigint): void {
  invoke("setrlimit", [i32, pointer], [resource, ptr(new BigUint64Array([soft, hard]))]);
}

/** getrlimit(2) of this process. */
export function getrlimit(resource: number): { soft: bigint; hard: bigint } {
  const limits = new BigUint64Array(2);
  invoke("getrlimit", [i32, pointer], [resource, ptr(limits)]);
  return { soft: limits[0]!, hard: limits[1]! };
}
