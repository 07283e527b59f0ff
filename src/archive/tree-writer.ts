/**
 * Makes the entries of an archive below a directory, whatever their names and links attempt: names are taken apart, not
 * handed to the kernel, and symbolic links are followed inside the root only, whoever else is at work in it.
 */
import {
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lchownSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { CooperError, errnoOf, wrapError } from "../base/errors.ts";
import { chmodItself, link, makedev, mknod, setTimes, setTimesOf } from "../base/file-calls.ts";
import { listXattrs } from "../base/xattrs.ts";
import { fsPath, statusOf } from "../base/path-bytes.ts";
import { giving } from "../base/process-ids.ts";
import { removeTree } from "./copy-writer.ts";
import { ownerNoteFor } from "./owner-note.ts";
import { asIs, type Pins } from "./pinned-root.ts";
import { makeDirectories, resolveInRoot } from "./rooted-path.ts";
import { setAttribute, setOwnerNote } from "./set-attribute.ts";
import { statPinned } from "./source-view.ts";
import type { TarEntry } from "./tar-entry.ts";
import type { TarMember } from "./tar-reader.ts";
import { isWhiteout, makeOpaque } from "./whiteouts.ts";
import { isPortableXattr } from "./xattr-policy.ts";

export interface TreeWriterOptions {
  /** Host path that symbolic links may not leave. */
  root: string;
  /** Directory inside `root` below which the entries go, "" for the root itself. */
  destination: string;
  /** Owner and permission bits of everything, instead of the archive's. */
  owner?: { uid: number; gid: number };
  mode?: number;
  /** "own": nothing is given away; the owner is noted in an attribute where it is not root. */
  ids: "keep" | "own";
  /** Character devices 0:0 are whiteouts and implied directories belong to nobody in particular. */
  isLayer: boolean;
  /** Of the root, where somebody else may be at work in it. */
  pins?: Pins;
  signal?: AbortSignal;
}

/** Parts of an entry's name, relative to the archive's root. Throws `invalid` when `..` leads out of it. */
export function nameParts(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) {
      throw new CooperError("invalid", `Cannot unpack ${name}: the name leads out of the archive`);
    }
  }
  return parts;
}

const S_IFMT = { char: constants.S_IFCHR, block: constants.S_IFBLK, fifo: constants.S_IFIFO };

export class TreeWriter {
  /** What could not be kept, for warnings: "PATH: what and why". */
  readonly notes: string[] = [];
  #options: TreeWriterOptions;
  #pins: Pins;
  /** Host paths of directories by their path in the archive; valid until something is removed. */
  #parents = new Map<string, string>();
  /** Attributes of directories come last: later entries change times and may need to be let in. */
  #directories = new Map<string, TarEntry>();
  /** Names of devices that this process may not make. */
  #missing = new Set<string>();

  #uid = process.geteuid!();
  #gid = process.getegid!();
  #umask = process.umask();
  /** Whether what is made here has this process's ids and the mode it is made with. */
  #newFilesAreOurs: boolean;

  constructor(options: TreeWriterOptions) {
    this.#options = options;
    this.#pins = options.pins ?? asIs;
    // The directories of a layer are all made here, and get their own modes and attributes last.
    this.#newFilesAreOurs = options.isLayer && !passesOn(options.root, this.#gid);
  }

  /** Makes one entry; what stands in its way goes. */
  async place(member: TarMember): Promise<void> {
    const parts = nameParts(member.name);
    try {
      const base = parts.pop();
      if (base === undefined) return this.#placeRoot(member);
      const path = `${this.parent(parts)}/${base}`;
      if (member.type === "file") await this.#file(path, member);
      else if (member.type === "directory") this.#directory(path, member);
      else if (member.type === "link") this.#link(path, member);
      else this.#special(path, member);
    } catch (error) {
      throw wrapError(`Cannot unpack ${member.name}`, error);
    }
  }

  /** Gives directories their attributes, inner ones first. */
  finish(): void {
    for (const [path, entry] of [...this.#directories].sort(([a], [b]) => b.length - a.length)) {
      try {
        this.#attributes(this.#pins.directory(path), entry);
      } catch (error) {
        throw wrapError(`Cannot unpack ${entry.name}`, error);
      }
    }
  }

  /** Host path of a directory of the archive, made if it is missing. */
  parent(parts: readonly string[]): string {
    const key = parts.join("/");
    const known = this.#parents.get(key);
    if (known !== undefined) return known;
    const path = this.#findParent(parts, key);
    this.#parents.set(key, path);
    return path;
  }

  #findParent(parts: readonly string[], key: string): string {
    const { root, destination } = this.#options;
    const base = parts.at(-1);
    if (base === undefined) return resolveInRoot(root, destination);
    const path = `${this.parent(parts.slice(0, -1))}/${base}`;
    const stat = statPinned(this.#pins, path);
    if (stat === undefined) return this.#implied(path);
    if (stat.isDirectory()) return path;
    if (this.#options.isLayer && isWhiteout(stat, path)) {
      unlinkSync(fsPath(path));
      this.#implied(path);
      this.hideBelow(path);
      return path;
    }
    if (!stat.isSymbolicLink()) throw new CooperError("invalid", `${key} is not a directory`);
    // Behind a link of the archive or of the container: where that leads inside the root.
    const inRoot = `${destination}/${key}`;
    const target = resolveInRoot(root, inRoot);
    for (const made of makeDirectories(root, inRoot, { ...this.#impliedOwner(), mode: 0o755 }, this.#pins))
      this.#noteImplied(made);
    return target;
  }

  /** A directory that entries are in but that has none itself: 0755, as Docker makes it. */
  #implied(path: string): string {
    mkdirSync(fsPath(this.#pins.entry(path)), 0o755);
    const { uid, gid } = this.#impliedOwner();
    const itself = this.#pins.directory(path);
    chownSync(fsPath(itself), uid, gid);
    chmodItself(itself, 0o755);
    this.#noteImplied(path);
    return path;
  }

  #impliedOwner(): { uid: number; gid: number } {
    if (this.#options.ids === "own") return { uid: process.geteuid!(), gid: process.getegid!() };
    return this.#options.owner ?? { uid: 0, gid: 0 };
  }

  /** In a layer nothing of the clock may show. */
  #noteImplied(path: string): void {
    if (this.#options.isLayer) this.#directories.set(path, { ...IMPLIED, name: path });
  }

  /** Marks a directory as hiding what layers below have at its path. */
  hideBelow(path: string): void {
    makeOpaque(path);
  }

  #placeRoot(member: TarMember): void {
    if (member.type !== "directory") throw new CooperError("invalid", "the root can only be a directory");
    // An archive unpacked into an existing directory does not change that directory itself (as with Docker's ADD).
    if (this.#options.isLayer) this.#directories.set(this.parent([]), member);
  }

  #directory(path: string, member: TarMember): void {
    try {
      mkdirSync(fsPath(this.#pins.entry(path)), 0o700);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      if (!statPinned(this.#pins, path)?.isDirectory()) {
        const wasWhiteout = this.#clear(path);
        mkdirSync(fsPath(this.#pins.entry(path)), 0o700);
        if (wasWhiteout) this.hideBelow(path);
      }
    }
    this.#directories.set(path, member);
  }

  async #file(path: string, member: TarMember): Promise<void> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const mode = this.#options.mode ?? member.mode;
    // Each call spared is one of five for a small file, of which layers have tens of thousands.
    const asMade = this.#newFilesAreOurs && (mode & (0o7000 | this.#umask)) === 0;
    const fd = this.#creating(path, () =>
      openSync(fsPath(this.#pins.entry(path)), flags, asMade ? mode : 0o600),
    );
    try {
      await this.#content(fd, member);
      const { uid, gid } = this.#options.owner ?? member;
      const isOwner = this.#newFilesAreOurs && uid === this.#uid && gid === this.#gid;
      if (this.#options.ids === "keep" && !isOwner) giving({ uid, gid }, () => fchownSync(fd, uid, gid));
      if (!asMade) fchmodSync(fd, mode);
      // Attributes need the path and change no times.
      this.#xattrs(this.#pins.entry(path), member);
      setTimesOf(fd, member.mtime);
    } finally {
      closeSync(fd);
    }
  }

  async #content(fd: number, member: TarMember): Promise<void> {
    if (member.size === 0) return;
    let end = 0;
    for await (const [offset, bytes] of member.content()) {
      this.#options.signal?.throwIfAborted();
      if (isHole(bytes)) continue;
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, offset + at);
      end = offset + bytes.length;
    }
    if (end < member.size) ftruncateSync(fd, member.size);
  }

  #link(path: string, member: TarMember): void {
    const target = nameParts(member.linkName).join("/");
    const { root, destination } = this.#options;
    const targetPath = resolveInRoot(root, `${destination}/${target}`, { followLast: false });
    if (targetPath === path) return;
    if (this.#missing.has(target)) {
      this.#missing.add(nameParts(member.name).join("/"));
      this.notes.push(`${member.name}: not made, as it is a link to ${target}`);
      return;
    }
    const found = statPinned(this.#pins, targetPath);
    const isNothing = found === undefined || (this.#options.isLayer && isWhiteout(found, targetPath));
    if (isNothing || found.isDirectory()) {
      const why = isNothing ? "which does not exist" : "which is a directory";
      throw new CooperError("invalid", `it is a hard link to ${member.linkName}, ${why}`);
    }
    if (targetPath.startsWith(`${path}/`)) {
      throw new CooperError(
        "invalid",
        `it is a hard link to ${member.linkName}, which is inside what it replaces`,
      );
    }
    this.#creating(path, () => link(this.#pins.entry(targetPath), this.#pins.entry(path)));
  }

  #special(path: string, member: TarMember): void {
    if (member.type === "symlink") {
      if (member.linkName === "") throw new CooperError("invalid", "it is a symbolic link to nothing");
      this.#creating(path, () => symlinkSync(fsPath(member.linkName), fsPath(this.#pins.entry(path))));
    } else {
      const kind = S_IFMT[member.type as keyof typeof S_IFMT];
      const device = member.type === "fifo" ? 0n : makedev(member.major, member.minor);
      try {
        this.#creating(path, () => mknod(this.#pins.entry(path), kind | 0o600, device));
      } catch (error) {
        // As Docker, containerd and Buildah do: in a user namespace images with a static /dev are to unpack.
        if (errnoOf(error) !== "EPERM" || member.type === "fifo") throw error;
        this.#missing.add(nameParts(member.name).join("/"));
        this.notes.push(`${member.name}: device not made, this user may not`);
        return;
      }
    }
    this.#attributes(this.#pins.entry(path), member);
  }

  /** Runs what makes `path`; when something is there already, once more after that is gone. */
  #creating<T>(path: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      this.#clear(path);
      return make();
    }
  }

  /** Removes what is at a path; true when it was a whiteout of this layer. */
  #clear(path: string): boolean {
    const stat = statPinned(this.#pins, path);
    if (stat === undefined) return false;
    this.#parents.clear();
    if (!stat.isDirectory()) {
      const wasWhiteout = this.#options.isLayer && isWhiteout(stat, path);
      unlinkSync(fsPath(this.#pins.entry(path)));
      return wasWhiteout;
    }
    for (const directory of this.#directories.keys()) {
      if (directory === path || directory.startsWith(`${path}/`)) this.#directories.delete(directory);
    }
    removeTree(path, this.#pins);
    this.#pins.forget();
    return false;
  }

  /** `path` is one of the pins'. */
  #attributes(path: string, entry: TarEntry): void {
    if (this.#options.ids === "keep") {
      const { uid, gid } = this.#options.owner ?? entry;
      giving({ uid, gid }, () => lchownSync(fsPath(path), uid, gid));
    }
    if (entry.type !== "symlink") chmodItself(path, this.#options.mode ?? entry.mode);
    this.#xattrs(path, entry);
    setTimes(path, entry.mtime);
  }

  /** `path` is one of the pins'. After chown(2) and chmod(2): the one removes capabilities, the other changes access control lists. */
  #xattrs(path: string, entry: TarEntry): void {
    const own = this.#options.ids === "own";
    const { uid, gid } = this.#options.owner ?? entry;
    const note = own ? ownerNoteFor(kindOf(entry)) : undefined;
    if (note !== undefined && (uid !== 0 || gid !== 0))
      setOwnerNote(path, note, { uid, gid, mode: entry.mode });
    for (const [name, value] of entry.xattrs) {
      if (!isPortableXattr(name) || name === note?.attribute) continue;
      try {
        setAttribute(path, name, value, own);
      } catch (error) {
        // As Docker does: the file system or this user's rights lack something that the file mostly works without.
        const code = errnoOf(error);
        if (code !== "EOPNOTSUPP" && code !== "ENOTSUP" && code !== "EPERM") throw error;
        this.notes.push(
          `${entry.name}: attribute ${name} not set, ${code === "EPERM" ? "this user may not" : "the file system has none"}`,
        );
      }
    }
  }
}

/** As lstat(2) will say of it. */
function kindOf({ type }: TarEntry) {
  return { isFile: () => type === "file", isDirectory: () => type === "directory" };
}

/** Whether a directory gives its group, or an access control list, to what is made in it. */
function passesOn(directory: string, gid: number): boolean {
  const stat = statusOf(directory);
  return (
    stat === undefined ||
    (Number(stat.mode) & 0o2000) !== 0 ||
    Number(stat.gid) !== gid ||
    listXattrs(directory).includes("system.posix_acl_default")
  );
}

const IMPLIED: Omit<TarEntry, "name"> = {
  type: "directory",
  mode: 0o755,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0n,
  linkName: "",
  major: 0,
  minor: 0,
  xattrs: new Map(),
};

const ZEROS = Buffer.alloc(1 << 20);

/** Whether a piece of content is only zeros, and long enough that leaving it out saves blocks. */
function isHole(bytes: Uint8Array): boolean {
  const { length } = bytes;
  if (length < 4096 || length > ZEROS.length || bytes[0] !== 0 || bytes[length - 1] !== 0) return false;
  return Buffer.compare(bytes, ZEROS.subarray(0, length)) === 0;
}
