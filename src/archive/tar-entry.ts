/** What a tar archive says about one path, whatever dialect it is written in. */

export type TarType = "file" | "link" | "symlink" | "char" | "block" | "directory" | "fifo";

export interface TarEntry {
  /** As the archive has it, but without a `/` at the end; a name as in base/path-bytes.ts. */
  name: string;
  type: TarType;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content, holes included; 0 for everything but files. */
  size: number;
  /** Nanoseconds since 1970. */
  mtime: bigint;
  /** Target of a link of either kind, otherwise empty. */
  linkName: string;
  /** Device numbers, 0 for what is no device. */
  major: number;
  minor: number;
  /** Extended attributes by full name ("security.capability"). */
  xattrs: ReadonlyMap<string, Uint8Array>;
}

/** The attributes of an entry without any. */
export const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/** Header blocks and padding come in this many bytes. */
export const BLOCK = 512;

/** `size` rounded up to whole blocks. */
export function paddedSize(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

/** Keyword prefix under which tar programs keep extended attributes in PAX records. */
export const XATTR_KEYWORD = "SCHILY.xattr.";
