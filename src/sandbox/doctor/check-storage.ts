/** Where the store lies: its file system, overlay on it, room. */
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { existingParent, fileSystemOf } from "../../base/file-system.ts";
import { setXattr } from "../../base/xattrs.ts";
import { type Check, failure, lastLine, ok, warning } from "./check.ts";
import type { Host } from "./host.ts";

const NETWORKED = new Set(["nfs", "cifs", "smb2", "9p"]);
const MIB = 1 << 20;

/** Room below which a build may fail, and below which it will. */
const ROOM = { low: 2048 * MIB, none: 200 * MIB };
const INODES = { low: 100_000, none: 5_000 };

const ELSEWHERE = "put the store on a local disk: --root /path or COOPER_ROOT=/path";
const COPY = "use --storage-driver copy, or a store elsewhere (--root)";

/** All about the store's place. `inside`: what runs a command line where mounting is allowed. */
export function checkStorage(host: Host, inside: string[] | undefined): Check[] {
  const place = existingParent(host.store);
  let directory: string;
  try {
    directory = mkdtempSync(join(place, ".cooper-doctor-"));
  } catch (error) {
    const finding = `The store ${host.store} cannot be written: ${messageOf(error)}`;
    return [failure("store", finding, "nothing can be built", ELSEWHERE), ...checkRoom(place)];
  }
  try {
    return [
      checkFileSystem(host, place, directory),
      ...checkOverlay(host, directory, inside),
      ...checkRoom(place),
      checkRunRoot(host),
    ];
  } finally {
    // Overlay's own work directory has mode 000: an ordinary user gets into it as the namespace's root only.
    if (inside !== undefined) host.run([...inside, "rm", "-rf", directory]);
    rmSync(directory, { recursive: true, force: true });
  }
}

function checkFileSystem(host: Host, place: string, directory: string): Check {
  const type = fileSystemOf(place);
  const where = `The store ${host.store} is on ${type}`;
  const lacking = xattrObstacle(directory);
  if (lacking !== undefined) {
    const consequence = "overlay marks and owners (tier 2) cannot be kept there: builds fail";
    return failure(
      "store",
      `${where}, which holds no user extended attributes (${lacking})`,
      consequence,
      ELSEWHERE,
    );
  }
  if (NETWORKED.has(type))
    return warning(
      "store",
      `${where}, a network's`,
      "locks, overlay and speed are not to be relied on",
      ELSEWHERE,
    );
  if (type === "tmpfs")
    return warning(
      "store",
      `${where}: in memory`,
      "images take memory and are lost at the next start",
      ELSEWHERE,
    );
  return ok("store", `${host.store}, on ${type}`);
}

function xattrObstacle(directory: string): string | undefined {
  try {
    setXattr(directory, "user.cooper.probe", Buffer.from("y"));
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? messageOf(error);
  }
}

/** What Cooper's containers do: a file and a directory below are replaced above. */
const OVERLAY_PROBE = `set -e
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr,volatile merged
rm merged/file
rm -r merged/directory
mkdir merged/directory
echo x >> merged/other`;

function checkOverlay(host: Host, directory: string, inside: string[] | undefined): Check[] {
  if (inside === undefined) return [];
  for (const name of ["lower", "upper", "work", "merged", "lower/directory"])
    mkdirSync(join(directory, name));
  for (const name of ["file", "other", "directory/file"])
    writeFileSync(join(directory, "lower", name), "x\n");
  const { exitCode, stderr } = host.run([...inside, "sh", "-c", OVERLAY_PROBE], directory);
  if (exitCode === 0) return [ok("overlay", "overlay mounts work on the store's file system")];
  const cause = overlayCause(host, directory, lastLine(stderr));
  const finding = `Overlay mounts do not work on the store's file system: ${cause}`;
  if (host.driver === "copy") {
    return [warning("overlay", finding, "the copy driver is used: every snapshot is a copy", ELSEWHERE)];
  }
  return [failure("overlay", finding, "containers cannot be mounted", COPY)];
}

function overlayCause(host: Host, directory: string, said: string): string {
  const type = fileSystemOf(directory);
  if (!kernelAtLeast(host.kernel, 5, 11)) return `Linux ${host.kernel} has no userxattr (5.11 has)`;
  if (type === "overlay") return "it is an overlay itself (an outer container's), which cannot be nested";
  if (NETWORKED.has(type)) return `${type} cannot hold the upper directory`;
  return said;
}

/** Whether a release as from uname -r is at least of a version. */
export function kernelAtLeast(release: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = release.split(/[.-]/).map(Number);
  return first > major || (first === major && second >= minor);
}

function checkRoom(place: string): Check[] {
  const { bavail, bsize, files, ffree } = statfsSync(place);
  const room = bavail * bsize;
  const text = `${Math.floor(room / MIB)} MiB free for the store`;
  const consequence = "unpacking images and committing may fail for lack of room";
  const remedy = "cooper prune --all, or a store on a larger disk (--root)";
  const disk =
    room < ROOM.none
      ? failure("disk", text, consequence, remedy)
      : room < ROOM.low
        ? warning("disk", text, consequence, remedy)
        : ok("disk", text);
  // Some file systems (btrfs) count no inodes.
  if (files === 0) return [disk];
  const inodes = `${ffree} inodes free for the store`;
  if (ffree < INODES.none) return [disk, failure("inodes", inodes, consequence, remedy)];
  if (ffree < INODES.low) return [disk, warning("inodes", inodes, consequence, remedy)];
  return [disk, ok("inodes", inodes)];
}

function checkRunRoot(host: Host): Check {
  const place = existingParent(host.runRoot);
  try {
    rmSync(mkdtempSync(join(place, ".cooper-doctor-")), { recursive: true });
    return ok("run-root", host.runRoot);
  } catch (error) {
    return failure(
      "run-root",
      `The directory for running state, ${host.runRoot}, cannot be written: ${messageOf(error)}`,
      "nothing can be built or run",
      "log in anew (pam_systemd makes XDG_RUNTIME_DIR), or --runroot /path",
    );
  }
}
