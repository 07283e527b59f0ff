/** Extended attributes (xattr(7)). Paths are names as in path-bytes.ts; errors as in libc.ts. */
import { constants } from "node:os";
import { openFilePath } from "./file-calls.ts";
import { bind, cString, errno, i32, i64, invoke, pointer, SystemCallError, u64 } from "./libc.ts";

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

/** The same of an open file itself, which may be a symbolic link, and open for nothing but its name (O.PATH). */
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
