/** Owners kept beside files, for a process that may not give them away. */
import { CAPABILITY_XATTR, OWNER_XATTR } from "./xattr-policy.ts";

export interface Owner {
  uid: number;
  gid: number;
}

/** Permission bits, where a note tells them. */
type Mode = { mode: number };

/** How files of one kind carry a note. */
export interface OwnerNote {
  /** The extended attribute that holds it. */
  attribute: string;
  format(owner: Owner & Mode): Buffer;
  /** Undefined for what is no such note. */
  parse(value: Uint8Array | undefined): (Owner & Partial<Mode>) | undefined;
}

/**
 * The text is that of containers/storage and fuse-overlayfs: `UID:GID:MODE`, decimal and octal. Cooper reads the owner
 * alone: the mode is the file's own and may have changed since.
 */
export const ORDINARY_NOTE: OwnerNote = { attribute: OWNER_XATTR, format: formatText, parse: parseText };

/**
 * Symbolic links and fifos can hold no attribute of users, and a set of capabilities means nothing on what nobody can
 * execute: the ids are the words of the permitted set (struct vfs_cap_data, revision 2). Like the other it goes along
 * with rename(2) and with an overlay's copy, and chown(2) takes it away. It takes CAP_SETFCAP, which root of a user
 * namespace has.
 */
const SPECIAL_NOTE: OwnerNote = { attribute: CAPABILITY_XATTR, format: formatWords, parse: parseWords };

/** How a file carries its note, by what lstat(2) says of it. */
export function ownerNoteFor(kind: { isFile(): boolean; isDirectory(): boolean }): OwnerNote {
  return kind.isFile() || kind.isDirectory() ? ORDINARY_NOTE : SPECIAL_NOTE;
}

/** Whether a file that has a note may go without: only root of a user namespace may write the special one. */
export function isOptional(note: OwnerNote): boolean {
  return note === SPECIAL_NOTE;
}

function formatText({ uid, gid, mode }: Owner & Mode): Buffer {
  return Buffer.from(`${uid}:${gid}:0${(mode & 0o7777).toString(8)}`);
}

function parseText(value: Uint8Array | undefined): (Owner & Mode) | undefined {
  const text = value === undefined ? "" : Buffer.from(value).toString("latin1");
  const parts = /^(\d{1,10}):(\d{1,10}):([0-7]+)/.exec(text);
  if (parts === null) return undefined;
  return { uid: Number(parts[1]), gid: Number(parts[2]), mode: Number.parseInt(parts[3]!, 8) & 0o7777 };
}

const VFS_CAP_REVISION_2 = 0x02000000;
const SIZE = 20;
const UID_AT = 4;
const GID_AT = 12;

function formatWords({ uid, gid }: Owner): Buffer {
  const words = Buffer.alloc(SIZE);
  words.writeUInt32LE(VFS_CAP_REVISION_2, 0);
  words.writeUInt32LE(uid, UID_AT);
  words.writeUInt32LE(gid, GID_AT);
  return words;
}

function parseWords(value: Uint8Array | undefined): Owner | undefined {
  if (value?.length !== SIZE) return undefined;
  const words = Buffer.from(value);
  if (words.readUInt32LE(0) !== VFS_CAP_REVISION_2) return undefined;
  return { uid: words.readUInt32LE(UID_AT), gid: words.readUInt32LE(GID_AT) };
}
