/** Mounts and roots. Paths are names as in path-bytes.ts; errors as in libc.ts. */
import { closeSync } from "node:fs";
import {
  AT_FDCWD,
  cString,
  i32,
  i64,
  invoke,
  pointer,
  systemCall,
  optionalCString,
  u32,
  u64,
} from "./libc.ts";

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
    [cString(source), cString(target), optionalCString(type), flags, optionalCString(data)],
    target,
  );
}

const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, CMD_CREATE: 6 } as const;

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
        [fs, command, optionalCString(key), optionalCString(value), 0],
        target,
      );
    for (const [key, value] of options)
      set(value === undefined ? FSCONFIG.SET_FLAG : FSCONFIG.SET_STRING, key, value);
    set(FSCONFIG.CMD_CREATE, undefined, undefined);
    fd = systemCall("fsmount", [i32, u32, u32], [fs, 0, 0], target);
    attachMount(fd, target);
  } finally {
    closeSync(fs);
    if (fd !== -1) closeSync(fd);
  }
}

/** Puts an open mount that is nowhere yet at a path (move_mount(2), Linux 5.2). */
export function attachMount(fd: number, target: string): void {
  const MOVE_MOUNT_F_EMPTY_PATH = 4;
  systemCall(
    "move_mount",
    [i32, pointer, i32, pointer, u32],
    [fd, cString(""), AT_FDCWD, cString(target), MOVE_MOUNT_F_EMPTY_PATH],
    target,
  );
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
