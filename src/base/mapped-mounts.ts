/** Mounts that show files under other ids than they have on the disk (mount_setattr(2), MOUNT_ATTR_IDMAP). */
import { closeSync } from "node:fs";
import { CooperError, errnoOf, messageOf } from "./errors.ts";
import { fileSystemOf } from "./file-system.ts";
import { AT_FDCWD, cString, i32, pointer, ptr, systemCall, u32, u64 } from "./libc.ts";
import { attachMount } from "./mounts.ts";

/** Where a command's files are to be shown, under the ids of its user namespace. */
export interface MappedView {
  /** An open user namespace: what is a file's id on the disk is in the mount the one that its map has for it. */
  namespace: number;
  /** The ids that root's become. */
  root: { uid: number; gid: number };
  /** An empty directory that the command's root can reach, for mount points. */
  place: string;
}

const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const AT_EMPTY_PATH = 0x1000;
const MOUNT_ATTR_IDMAP = 0x100000n;

/**
 * Mounts a file or directory, without what is mounted below it, at a path under a namespace's ids. Error: `unsupported`,
 * with what the kernel wants, where such a mount cannot be had.
 */
export function mountMapped(
  { namespace }: Pick<MappedView, "namespace">,
  source: string,
  target: string,
): void {
  let fd = -1;
  try {
    const flags = OPEN_TREE_CLONE | O_CLOEXEC;
    fd = systemCall("open_tree", [i32, pointer, u32], [AT_FDCWD, cString(source), flags], source);
    const attributes = Buffer.alloc(32); // struct mount_attr: set, clear, propagation, namespace
    attributes.writeBigUInt64LE(MOUNT_ATTR_IDMAP, 0);
    attributes.writeBigUInt64LE(BigInt(namespace), 24);
    systemCall(
      "mount_setattr",
      [i32, pointer, u32, pointer, u64],
      [fd, cString(""), AT_EMPTY_PATH, ptr(attributes), attributes.length],
      source,
    );
    attachMount(fd, target);
  } catch (error) {
    throw refused(source, error);
  } finally {
    if (fd !== -1) closeSync(fd);
  }
}

const REASONS: Record<string, string> = {
  ENOSYS: "the kernel has no mounts with ids of their own (Linux 5.12 has)",
  EINVAL:
    "its file system has no mounts with ids of their own (ext4, XFS and btrfs have, tmpfs from Linux 6.3 on)",
  EPERM: "the kernel wants CAP_SYS_ADMIN over the file system's own user namespace",
};

function refused(source: string, cause: unknown): CooperError {
  const why = REASONS[errnoOf(cause) ?? ""] ?? messageOf(cause);
  return new CooperError(
    "unsupported",
    `Cannot show ${source} (${fileSystemOf(source)}) under other ids: ${why}`,
    {
      cause,
      hint: "Give a map of the same ids inside and outside (0:0:65536), for which no file has to be shown otherwise",
    },
  );
}
