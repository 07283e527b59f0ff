/** Owners, modes, times and extended attributes of copies. */
import { fchmodSync, fchownSync, fstatSync, lchownSync, lstatSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { chmodItself, setTimes, setTimesOf } from "../base/file-calls.ts";
import { getXattr, listXattrs, removeXattr } from "../base/xattrs.ts";
import { fsPath } from "../base/path-bytes.ts";
import { giving } from "../base/process-ids.ts";
import { applyChmod, type ChmodSpec } from "./copy-chmod.ts";
import { ORDINARY_NOTE, type Owner, type OwnerNote, ownerNoteFor } from "./owner-note.ts";
import { setAttribute, setOwnerNote } from "./set-attribute.ts";
import { reach, type WalkedEntry } from "./walk-sources.ts";
import { CAPABILITY_NOTE, CAPABILITY_XATTR, isOverlayXattr, isPortableXattr } from "./xattr-policy.ts";

/** What copies get instead of the source's own. */
export interface MetadataOptions {
  /** Owner of everything that is copied or made; absent, the source's, and 0:0 for directories made on the way. */
  owner?: Owner | undefined;
  /** --chmod. */
  chmod?: ChmodSpec | undefined;
  /** Modification time of everything that is copied or made, in nanoseconds since 1970. */
  timestamp?: bigint | undefined;
  /**
   * Where copies keep their owners: in the inode (when absent), or, where this process may not give files away, in
   * OWNER_XATTR. An OWNER_XATTR of the source counts as its owner and mode. "verbatim" makes nothing of it: it is
   * copied like any other attribute, for copies of Cooper's own working trees.
   */
  ownership?: "inode" | "xattr" | "verbatim" | undefined;
  /** Whether overlayfs's own attributes are copied too, as a copy of an upper directory needs; false when absent. */
  overlayXattrs?: boolean | undefined;
  /** Whether security.capability is copied; true when absent. BuildKit loses it on the way from a build context. */
  capabilities?: boolean | undefined;
}

/** What a copy is to have. */
export interface Metadata extends Owner {
  /** Permission bits, among them setuid, setgid and sticky. */
  mode: number;
  mtimeNs: bigint;
  xattrs: [name: string, value: Buffer][];
}

/** What the copy of an entry is to have. Owner and mode recorded in the source's OWNER_XATTR go before its inode's. */
export function metadataOf(entry: WalkedEntry, options: MetadataOptions): Metadata {
  const { stat } = entry;
  const source = reach(entry);
  const xattrs: [string, Buffer][] = [];
  const note = noteOf(entry, options);
  let recorded: ReturnType<OwnerNote["parse"]>;
  for (const name of listXattrs(source)) {
    if (!isCopied(name, options)) continue;
    const value = getXattr(source, name);
    if (value === undefined) continue;
    if (name === note?.attribute) recorded = note.parse(value);
    else xattrs.push([name, value]);
  }
  const { uid, gid } = options.owner ?? recorded ?? { uid: Number(stat.uid), gid: Number(stat.gid) };
  // Cooper notes owners only, beside modes that are the file's own and may have changed since.
  const noted = options.ownership === "xattr" ? undefined : recorded?.mode;
  const mode = noted ?? Number(stat.mode) & 0o7777;
  const isLink = stat.isSymbolicLink();
  return {
    uid,
    gid,
    mode: options.chmod === undefined || isLink ? mode : applyChmod(options.chmod, mode, stat.isDirectory()),
    mtimeNs: options.timestamp ?? stat.mtimeNs,
    xattrs,
  };
}

/** Of others than Cooper regular files and directories have notes, and their mode is in it. */
function noteOf({ stat }: WalkedEntry, { ownership }: MetadataOptions): OwnerNote | undefined {
  if (ownership === "verbatim") return undefined;
  const note = ownerNoteFor(stat);
  return ownership === "xattr" || note === ORDINARY_NOTE ? note : undefined;
}

function isCopied(name: string, options: MetadataOptions): boolean {
  if ([CAPABILITY_XATTR, CAPABILITY_NOTE].includes(name) && options.capabilities === false) return false;
  return isPortableXattr(name) || (options.overlayXattrs === true && isOverlayXattr(name));
}

/** Gives an open, new file its metadata; `path` is where it is. */
export function applyToFile(fd: number, path: string, metadata: Metadata, options: MetadataOptions): void {
  const now = fstatSync(fd);
  const give = options.ownership !== "xattr" && (now.uid !== metadata.uid || now.gid !== metadata.gid);
  if (give) giving(metadata, () => fchownSync(fd, metadata.uid, metadata.gid));
  // After chown(2), which takes setuid and setgid away.
  if (give || (now.mode & 0o7777) !== metadata.mode) fchmodSync(fd, metadata.mode);
  if (options.ownership === "xattr") recordOwner(path, metadata, now);
  copyXattrs(path, metadata, options);
  setTimesOf(fd, metadata.mtimeNs);
}

/** Gives a directory, device, fifo or symbolic link its metadata. */
export function applyToPath(path: string, metadata: Metadata, options: MetadataOptions): void {
  const name = fsPath(path);
  const now = lstatSync(name);
  const give = options.ownership !== "xattr" && (now.uid !== metadata.uid || now.gid !== metadata.gid);
  if (give) giving(metadata, () => lchownSync(name, metadata.uid, metadata.gid));
  if (!now.isSymbolicLink() && (give || (now.mode & 0o7777) !== metadata.mode))
    chmodItself(path, metadata.mode);
  if (options.ownership === "xattr") recordOwner(path, metadata, now, ownerNoteFor(now));
  copyXattrs(path, metadata, options);
  setTimes(path, metadata.mtimeNs);
}

/** Keeps the owner of a path beside it; none is kept for what is right already. */
export function recordOwner(
  path: string,
  wanted: Owner & { mode: number },
  actual: Owner,
  note = ORDINARY_NOTE,
): void {
  if (wanted.uid !== actual.uid || wanted.gid !== actual.gid) setOwnerNote(path, note, wanted);
  else if (getXattr(path, note.attribute) !== undefined) removeXattr(path, note.attribute);
}

// What this process may not set, or the file system cannot hold, is left out, as BuildKit does.
const TOLERATED = new Set(["EPERM", "EACCES", "EOPNOTSUPP", "EINVAL"]);

function copyXattrs(path: string, metadata: Metadata, options: MetadataOptions): void {
  for (const [name, value] of metadata.xattrs) {
    try {
      setAttribute(path, name, value, options.ownership === "xattr");
    } catch (error) {
      if (!TOLERATED.has(errnoOf(error) ?? "")) throw error;
    }
  }
}
