/** Which file system a path is on. */
import { existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { cString, invoke, pointer } from "./libc.ts";

/** statfs(2)'s f_type. */
const FILE_SYSTEMS = new Map<number, string>([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x2fc12fc1, "zfs"],
  [0xf2f52010, "f2fs"],
  [0x01021994, "tmpfs"],
  [0x794c7630, "overlay"],
  [0x6969, "nfs"],
  [0xff534d42, "cifs"],
  [0xfe534d42, "smb2"],
  [0x65735546, "fuse"],
  [0x01021997, "9p"],
  [0x6a656a63, "virtiofs"],
  [0x4d44, "vfat"],
  [0x73717368, "squashfs"],
]);

/** The nearest directory of a path that is there. */
export function existingParent(path: string): string {
  let at = path;
  while (!existsSync(at)) at = dirname(at);
  return at;
}

/** Name of the file system that holds a path, or its number. */
export function fileSystemOf(path: string): string {
  const type = statfsSync(path).type >>> 0;
  return FILE_SYSTEMS.get(type) ?? `0x${type.toString(16)}`;
}

const MOUNT_OPTIONS = [
  ["ro", 1],
  ["nosuid", 2],
  ["nodev", 4],
  ["noexec", 8],
] as const;

/** What the mount that holds a path forbids, as options of mount(8): in a user namespace nobody may take these away. */
export function mountOptions(path: string): string[] {
  const result = Buffer.alloc(256); // struct statfs, 120 bytes on 64-bit machines
  invoke("statfs", [pointer, pointer], [cString(path), result], path);
  const flags = Number(result.readBigInt64LE(80));
  return MOUNT_OPTIONS.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name);
}
