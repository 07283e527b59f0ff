/**
 * The C library over `bun:ffi`: what the system calls that `node:fs` lacks are made with. No other module imports `bun:ffi`.
 * A call that fails throws an error with the errno's name in `code`, as `node:fs` does. Symbols are bound at their first
 * use, so that a command pays for none that it does not call.
 */
import { dlopen, type FFIFunction, FFIType, ptr, read } from "bun:ffi";
import { constants } from "node:os";
import { encodeName } from "./path-bytes.ts";

export const { i32, i64, u32, u64, pointer } = FFIType;

type Call = (...args: unknown[]) => number | bigint;

const bound = new Map<string, Call>();

// glibc first, then musl's names.
const LIBRARIES = [
  "libc.so.6",
  `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  "libc.so",
];

/** A function of libc. A name has one signature in the whole program. */
export function bind(name: string, args: FFIType[], returns: FFIType): Call {
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

/** Why the last call failed; asked before any other call is made. */
export function errno(): number {
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

/** Calls a function of libc that returns an int, -1 for an error. */
export function invoke(name: string, args: FFIType[], values: unknown[], path?: string): number {
  const result = Number(bind(name, args, i32)(...values));
  if (result === -1) throw new SystemCallError(name, errno(), path);
  return result;
}

/** A NUL-terminated C string; the caller keeps the buffer alive for the call. */
export function cString(text: string): Buffer {
  if (text.includes("\0"))
    throw new SystemCallError("path", constants.errno.EINVAL, text.replaceAll("\0", "\\0"));
  return encodeName(`${text}\0`);
}

/** The same, or a null pointer. */
export const optionalCString = (value: string | undefined): unknown =>
  value === undefined ? null : cString(value);

/** Of calls that take a directory: the current one. */
export const AT_FDCWD = -100;

/** Numbers of the system calls that libc does not wrap; from 424 on the same on every architecture (asm-generic/unistd.h). */
const NUMBER = {
  seccomp: process.arch === "arm64" ? 277 : 317,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  openat2: 437,
  mount_setattr: 442,
} as const;

/** Makes a system call by its number. */
export function systemCall(
  name: keyof typeof NUMBER,
  types: FFIType[],
  values: unknown[],
  path?: string,
): number {
  const key = `syscall:${name}`;
  const call = bound.get(key) ?? bindAs("syscall", [i64, ...types], i64);
  bound.set(key, call);
  const result = Number(call(NUMBER[name], ...values));
  if (result === -1) throw new SystemCallError(name, errno(), path);
  return result;
}

/** ioctl(2) with a structure that the kernel reads or fills. */
export function invokeIoctl(fd: number, operation: bigint, argument: Buffer): void {
  // The third argument is a plain number elsewhere (FICLONE), and a symbol is bound with one signature.
  const address = BigInt(ptr(argument));
  const result = Number(bind("ioctl", [i32, u64, i64], i32)(fd, operation, address));
  if (result === -1) throw new SystemCallError("ioctl", errno());
}

/** An array of C strings that ends with a null pointer; the caller holds on to both. */
export function stringArray(values: string[]): { array: BigUint64Array; keep: Buffer[] } {
  const keep = values.map(cString);
  const array = new BigUint64Array(values.length + 1);
  for (const [index, buffer] of keep.entries()) array[index] = BigInt(ptr(buffer));
  return { array, keep };
}

/** Address of a buffer, for structures that point at others. The caller keeps the buffer alive. */
export function addressOf(buffer: Buffer): bigint {
  return BigInt(ptr(buffer));
}

export { FFIType, ptr };
