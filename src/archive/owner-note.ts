/**
 * Owners kept beside files, for a process that may not give them away. The text is that of containers/storage and
 * fuse-overlayfs: `UID:GID:MODE`, decimal and octal. Cooper reads the owner alone: the mode is the file's own and may
 * have changed since.
 */

export interface Owner {
  uid: number;
  gid: number;
}

/** What OWNER_XATTR holds. `mode`: permission bits. */
export function formatOwnerNote({ uid, gid, mode }: Owner & { mode: number }): Buffer {
  return Buffer.from(`${uid}:${gid}:0${(mode & 0o7777).toString(8)}`);
}

/** Undefined for what is no such note. */
export function parseOwnerNote(value: Uint8Array | undefined): (Owner & { mode: number }) | undefined {
  const text = value === undefined ? "" : Buffer.from(value).toString("latin1");
  const parts = /^(\d{1,10}):(\d{1,10}):([0-7]+)/.exec(text);
  if (parts === null) return undefined;
  return { uid: Number(parts[1]), gid: Number(parts[2]), mode: Number.parseInt(parts[3]!, 8) & 0o7777 };
}
