/** What processes are and may do: programs, namespaces, users, limits. Errors as in libc.ts. */
import { constants } from "node:os";
import {
  bind,
  cString,
  FFIType,
  i32,
  i64,
  invoke,
  invokeIoctl,
  pointer,
  ptr,
  stringArray,
  systemCall,
  SystemCallError,
  u32,
  u64,
} from "./libc.ts";

export const CLONE = {
  NEWNS: 0x20000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
  NEWCGROUP: 0x2000000,
} as const;

/**
 * unshare(2) for the calling thread. A Bun process has many threads, so user and PID namespaces are out of reach
 * here (execute `unshare`); a mount namespace is not, and threads and children made later inherit it.
 */
export function unshare(flags: number): void {
  invoke("unshare", [i32], [flags]);
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

/** sethostname(2), for this UTS namespace. */
export function sethostname(name: string): void {
  const bytes = Buffer.from(name);
  invoke("sethostname", [pointer, u64], [bytes, bytes.length]);
}

/** umask(2): sets the mask and returns the previous one. */
export function umask(mask: number): number {
  return process.umask(mask);
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

/**
 * Does something with another user's id on files (setfsuid(2)) and all of this thread's capabilities: what the kernel makes
 * for this thread is that user's.
 */
export function withFileIds<T>({ uid, gid }: { uid: number; gid: number }, action: () => T): T {
  const PR_SET_SECUREBITS = 28;
  const SECBIT_NO_SETUID_FIXUP = 4; // else setfsuid would take capabilities away (capabilities(7))
  const become = (user: number, group: number) => {
    bind("setfsgid", [u32], i32)(group);
    bind("setfsuid", [u32], i32)(user);
  };
  prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
  try {
    become(uid, gid);
    return action();
  } finally {
    become(0, 0);
    prctl(PR_SET_SECUREBITS, 0);
  }
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
