/**
 * What becomes of a command's chown(2) where there is one id: the owner is noted beside the file, as COPY notes it, and
 * the call succeeds. What a command sees of owners is root, whatever is noted; so a descriptor that is given to root
 * (fchown(2)) is a file that gets what fstat(2) showed of another one: it takes the note of the file that it replaces by
 * rename(2), or whose backup it is by its name. That is how passwd's tools, sed -i and their kin keep an owner.
 */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { type Owner, ownerNoteFor } from "../archive/owner-note.ts";
import { errnoOf } from "../base/errors.ts";
import { chownOpen, O, openInDirectory } from "../base/file-calls.ts";
import { getXattrOf, setXattrOf } from "../base/xattrs.ts";
import { decodeName, readLink } from "../base/path-bytes.ts";
import type { Answer, SupervisedCall } from "../base/seccomp-supervisor.ts";
import { AUDIT_ARCH } from "./seccomp-bpf.ts";
import { OWNER_CALLS, RENAME_CALLS } from "./seccomp-one-id.ts";
import { type SyscallAbi, syscallNumbers } from "./syscall-numbers.ts";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const PATH_MAX = 4096;
const ROOT: Owner = { uid: 0, gid: 0 };

/** A file of the command's, by a path as it names it, by its descriptor, or by its path in the command's root. */
type Named =
  | { directory: number; path: bigint; follow: boolean }
  | { descriptor: number }
  | { inside: string };

/** Answers the calls of one run, in the order in which they come. */
export class OwnerRecorder {
  readonly #names = callNames();
  /** Inodes that were given to root by descriptor and have no note. */
  readonly #asSeen = new Set<string>();

  /** `stillWaits` is asked before anything is changed: the caller may have been killed, and its PID given to another. */
  answer(call: SupervisedCall, stillWaits: () => boolean): Answer {
    const name = this.#names.get(`${call.arch}:${call.number}`) ?? "";
    try {
      if (name.startsWith("rename")) {
        this.#rename(name, call, stillWaits);
        return "continue";
      }
      return this.#chown(name, call, stillWaits);
    } catch (error) {
      // What cannot be recorded succeeds without effect, as it does without a supervisor.
      return name.startsWith("rename") ? "continue" : refusal(error);
    }
  }

  #chown(name: string, call: SupervisedCall, stillWaits: () => boolean): Answer {
    const { file, ids } = chownArguments(name, call);
    withFile(call.pid, file, (fd) => {
      if (!stillWaits()) return;
      const stat = statOf(fd);
      const noted = notedOwner(fd, stat);
      // As the kernel does: set-uid bits and capabilities go, ctime is now, and an overlay copies the file up.
      chownOpen(fd, ids.uid === undefined ? -1 : 0, ids.gid === undefined ? -1 : 0);
      const inode = inodeOf(stat);
      if (!("descriptor" in file) || ids.uid || ids.gid) {
        this.#asSeen.delete(inode);
        noteOwner(fd, stat, { ...(noted ?? ROOT), ...definedOf(ids) });
      } else if (noted === undefined) {
        const original = backedUp(call.pid, file.descriptor);
        if (original === undefined) this.#asSeen.add(inode);
        else noteOwner(fd, stat, original);
      }
    });
    return "done";
  }

  #rename(name: string, { pid, args }: SupervisedCall, stillWaits: () => boolean): void {
    if (this.#asSeen.size === 0) return;
    const isAt = name !== "rename";
    if (name === "renameat2" && args[4] !== 0n) return; // An exchange, or one that replaces nothing.
    const directories = isAt ? [int(args[0]!), int(args[2]!)] : [AT_FDCWD, AT_FDCWD];
    const paths = isAt ? [args[1]!, args[3]!] : [args[0]!, args[1]!];
    const at = (index: 0 | 1): Named => ({
      directory: directories[index]!,
      path: paths[index]!,
      follow: false,
    });
    const replaced = withFile(pid, at(1), (fd) => notedOwner(fd));
    if (replaced === undefined) return;
    withFile(pid, at(0), (fd) => {
      const stat = statOf(fd);
      if (this.#asSeen.delete(inodeOf(stat)) && stillWaits()) noteOwner(fd, stat, replaced);
    });
  }
}

const inodeOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;
const statOf = (fd: number): BigIntStats => fstatSync(fd, { bigint: true });

function notedOwner(fd: number, stat = statOf(fd)): Owner | undefined {
  const note = ownerNoteFor(stat);
  return note.parse(getXattrOf(fd, note.attribute));
}

function noteOwner(fd: number, stat: BigIntStats, { uid, gid }: Owner): void {
  const note = ownerNoteFor(stat);
  if (uid !== 0 || gid !== 0)
    setXattrOf(fd, note.attribute, note.format({ uid, gid, mode: Number(stat.mode) }));
  else if (notedOwner(fd, stat) !== undefined) setXattrOf(fd, note.attribute, undefined);
}

/** passwd's tools copy /etc/shadow to /etc/shadow- before they change it: the owner noted for what a file so named copies. */
function backedUp(pid: number, descriptor: number): Owner | undefined {
  const path = insideRoot(pid, `fd/${descriptor}`);
  if (!path.endsWith("-")) return undefined;
  try {
    return withFile(pid, { inside: path.slice(0, -1) }, (fd) => notedOwner(fd));
  } catch {
    return undefined; // There is no such file.
  }
}

/** Errors that the call would have had itself; others are of our own way to the file. */
const PASSED_ON = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "EROFS", "EPERM"] as const;

function refusal(error: unknown): Answer {
  const code = PASSED_ON.find((name) => name === errnoOf(error));
  return code === undefined ? "done" : { errno: osConstants.errno[code] };
}

function callNames(): Map<string, string> {
  const wanted = [...OWNER_CALLS, ...RENAME_CALLS];
  const abis = Object.entries(AUDIT_ARCH) as [SyscallAbi, number][];
  return new Map(
    abis.flatMap(([abi, arch]) => {
      const numbers = syscallNumbers(abi);
      return wanted.map((name): [string, string] => [
        `${arch}:${numbers.get(name)}`,
        // The 16-bit calls of 32-bit ABIs, whose numbers are cut off.
        abi === "i386" || abi === "arm" ? name : name.replace("32", ""),
      ]);
    }),
  );
}

const int = (word: bigint): number => Number(BigInt.asIntN(32, word));

interface AskedIds {
  uid: number | undefined;
  gid: number | undefined;
}

function definedOf(ids: AskedIds): Partial<Owner> {
  return Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== undefined));
}

function chownArguments(name: string, { args, arch }: SupervisedCall): { file: Named; ids: AskedIds } {
  const isAt = name === "fchownat";
  const is16 = [AUDIT_ARCH.i386, AUDIT_ARCH.arm].includes(arch) && !isAt && !name.endsWith("32");
  const id = (word: bigint): number | undefined => {
    const value = Number(BigInt.asUintN(is16 ? 16 : 32, word));
    return value === (is16 ? 0xffff : 0xffffffff) ? undefined : value;
  };
  const at = isAt ? 2 : 1;
  const ids = { uid: id(args[at]!), gid: id(args[at + 1]!) };
  if (name.startsWith("fchown") && !isAt) return { file: { descriptor: int(args[0]!) }, ids };
  const follow = isAt ? (int(args[4]!) & AT_SYMLINK_NOFOLLOW) === 0 : !name.startsWith("lchown");
  const [directory, path] = isAt ? [int(args[0]!), args[1]!] : [AT_FDCWD, args[0]!];
  return { file: { directory, path, follow }, ids };
}

/** Opens a file for its name only; undefined, and nothing done, where it is on another mount than the command's root. */
function withFile<T>(pid: number, file: Named, use: (fd: number) => T): T | undefined {
  const root = openSync(`/proc/${pid}/root`, O.PATH | constants.O_DIRECTORY);
  let fd: number | undefined;
  try {
    fd = openNamed(pid, root, file);
    return mountOf(fd) === mountOf(root) ? use(fd) : undefined;
  } finally {
    closeSync(root);
    if (fd !== undefined) closeSync(fd);
  }
}

function openNamed(pid: number, root: number, file: Named): number {
  if ("descriptor" in file) return openSync(`/proc/${pid}/fd/${file.descriptor}`, O.PATH);
  if ("inside" in file) return openInDirectory(root, file.inside, O.PATH | constants.O_NOFOLLOW);
  const { directory, follow } = file;
  const path = readPath(pid, file.path);
  // AT_EMPTY_PATH; without the flag, that is the caller's error.
  if (path === "") return openSync(`/proc/${pid}/fd/${directory}`, O.PATH);
  const flags = O.PATH | (follow ? 0 : constants.O_NOFOLLOW);
  if (path.startsWith("/")) return openInDirectory(root, path, flags);
  const base = insideRoot(pid, directory === AT_FDCWD ? "cwd" : `fd/${directory}`);
  return openInDirectory(root, `${base}/${path}`, flags);
}

/** Path of what a link in /proc/PID leads to, in the root of that process. */
function insideRoot(pid: number, link: string): string {
  const top = readLink(`/proc/${pid}/root`);
  const path = readLink(`/proc/${pid}/${link}`);
  return top !== "/" && path.startsWith(top) ? path.slice(top.length) : path;
}

const pathBytes = Buffer.alloc(PATH_MAX);

/** A string in the memory of a process. */
function readPath(pid: number, address: bigint): string {
  const memory = openSync(`/proc/${pid}/mem`, constants.O_RDONLY);
  try {
    const length = readSync(memory, pathBytes, 0, PATH_MAX, Number(address));
    const end = pathBytes.subarray(0, length).indexOf(0);
    return decodeName(pathBytes.subarray(0, end === -1 ? length : end));
  } finally {
    closeSync(memory);
  }
}

/** Number of the mount that an open file is on (proc_pid_fdinfo(5)). */
function mountOf(fd: number): string | undefined {
  return /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];
}
