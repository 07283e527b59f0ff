/**
 * Mounts whose sources have to be made ready first: given to the command's user, laid under a writable directory, filled with
 * what they cover, or shown under the command's ids.
 */
import { chmodSync, existsSync, lchownSync, lstatSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { copyMetadata, copyTree } from "../archive/copy-tree.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { CooperError, messageOf } from "../base/errors.ts";
import { type MappedView, mountMapped } from "../base/mapped-mounts.ts";
import { MNT, MS, mount, umount } from "../base/mounts.ts";
import { fsPath, readNames, statusOf } from "../base/path-bytes.ts";
import { hasOneId } from "../base/process-ids.ts";
import { commandsHaveMounts, privateMountNamespace } from "./mount-namespace.ts";
import type { RunMount, RunSpec } from "./types.ts";

type Bind = Extract<RunMount, { type: "bind" }>;
type Tmpfs = Extract<RunMount, { type: "tmpfs" }>;

/**
 * The mounts as isolations make them, and what undoes the preparation. `directory`: the run's own; `user`: the command's, as it is
 * here; `view`: where the command has other ids.
 */
export function readyMounts(
  spec: Pick<RunSpec, "rootfs" | "mounts">,
  directory: string,
  { user, view }: { user: { uid: number; gid: number }; view?: MappedView },
): { mounts: RunMount[]; close(): void } {
  const made: string[] = [];
  const close = () => {
    for (const path of made) umount(path, MNT.DETACH);
    made.length = 0;
  };
  try {
    const mounts = spec.mounts.map((mount, index): RunMount => {
      if (mount.type === "tmpfs" && mount.copyUp !== true) return mount;
      const place = join(directory, `mount-${index}`);
      let ready: Bind;
      if (mount.type === "tmpfs") {
        ready = filledTmpfs(mount, spec.rootfs, place);
        if (commandsHaveMounts()) made.push(place);
      } else ready = mount;
      if (ready.chown === true) giveTree(ready, user);
      const show = (source: string) => {
        made.push(source);
        ready = { ...ready, source };
      };
      if (ready.overlay !== undefined) show(layOver(ready, place));
      if (ready.ofImage === true && view !== undefined)
        show(showMapped(ready, view, join(view.place, `mount-${index}`)));
      return ready;
    });
    return { mounts, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** A tmpfs with copies of what it will cover, or a directory where nothing can be mounted. */
function filledTmpfs({ target, size, mode }: Tmpfs, rootfs: string, place: string): Bind {
  mkdirSync(place, { mode: 0o755 });
  if (commandsHaveMounts())
    mount("tmpfs", place, "tmpfs", MS.NOSUID | MS.NODEV, size === undefined ? "" : `size=${size}`);
  const covered = resolveInRoot(rootfs, target);
  const isThere = statusOf(covered)?.isDirectory() === true;
  if (isThere) {
    copyTree(covered, place, { ownership: "verbatim" });
    copyMetadata(covered, place);
  }
  if (mode !== undefined || !isThere) chmodSync(place, mode ?? 0o1777);
  return { type: "bind", source: place, target, forbids: ["nosuid", "nodev"], lend: true, ofImage: true };
}

/** Directories that a slip of the hand would make a system unusable with. */
const SYSTEM = new Set(
  [
    [
      "/",
      "/bin",
      "/boot",
      "/dev",
      "/etc",
      "/home",
      "/lib",
      "/lib64",
      "/media",
      "/mnt",
      "/opt",
      "/proc",
      "/root",
    ],
    ["/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log", "/var/tmp"],
  ].flat(),
);

/** Errors: `denied` for a directory of the system's, and for files that this process may not give away. */
function giveTree({ source }: Bind, { uid, gid }: { uid: number; gid: number }): void {
  const top = resolve(source);
  if (SYSTEM.has(top) || top === homedir()) {
    throw new CooperError(
      "denied",
      `Cannot give ${top} to the container's user (:U): it is the system's own`,
      {
        hint: "Mount a directory further down",
      },
    );
  }
  // With one id everybody in the container is that one.
  const owner = hasOneId() ? { uid: 0, gid: 0 } : { uid, gid };
  give(top, owner);
}

function give(path: string, owner: { uid: number; gid: number }): void {
  const stat = lstatSync(fsPath(path));
  try {
    if (stat.uid !== owner.uid || stat.gid !== owner.gid) {
      lchownSync(fsPath(path), owner.uid, owner.gid);
      // Changing the owner takes the set-uid bits.
      if (!stat.isSymbolicLink() && (stat.mode & 0o6000) !== 0) chmodSync(fsPath(path), stat.mode & 0o7777);
    }
  } catch (error) {
    throw new CooperError(
      "denied",
      `Cannot give ${path} to user ${owner.uid}:${owner.gid} (:U): ${messageOf(error)}`,
      {
        cause: error,
        hint: "Without root, only files of one's own ids can change hands",
      },
    );
  }
  if (!stat.isDirectory()) return;
  for (const name of readNames(path)) give(`${path}/${name}`, owner);
}

/** Mounts the source under the ids of a view; returns where. Error: `unsupported`. */
function showMapped({ source }: Bind, view: MappedView, place: string): string {
  if (statSync(fsPath(source)).isDirectory()) mkdirSync(place);
  else writeFileSync(place, "");
  mountMapped(view, source, place);
  return place;
}

/** Mounts an overlay on the source, in our mount namespace; returns where. Errors: `usage`, `unsupported`. */
function layOver({ source, overlay }: Bind, place: string): string {
  if (!statSync(fsPath(source)).isDirectory())
    throw new CooperError("usage", `Cannot mount ${source} with O: it is not a directory`);
  privateMountNamespace();
  const merged = join(place, "merged");
  const { upper = join(place, "upper"), work = join(place, "work") } = overlay ?? {};
  const isNew = !existsSync(upper);
  for (const path of [merged, upper, work]) mkdirSync(path, { recursive: true, mode: 0o755 });
  // The upper directory's owner and mode are what the whole shows.
  if (isNew) copyMetadata(source, upper);
  const options = { lowerdir: source, upperdir: upper, workdir: work };
  const data = Object.entries(options).map(([name, path]) => `${name}=${path.replace(/[\\:,]/g, "\\$&")}`);
  try {
    mount("overlay", merged, "overlay", 0, [...data, "userxattr"].join(","));
  } catch (error) {
    throw new CooperError("unsupported", `Cannot mount ${source} with O: ${messageOf(error)}`, {
      cause: error,
      hint: "It takes overlayfs, and an upper directory on a file system that it can use",
    });
  }
  return merged;
}
