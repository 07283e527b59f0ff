/** Runs a command in a container's mounted tree, so that its files end up as a root build has them. */
import { statSync, writeFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Owner, ownerNoteFor } from "../archive/owner-note.ts";
import { setOwnerNote } from "../archive/set-attribute.ts";
import { isWhiteout } from "../archive/whiteouts.ts";
import { CooperError } from "../base/errors.ts";
import { getXattr, listXattrs } from "../base/xattrs.ts";
import { readNames, statusOf } from "../base/path-bytes.ts";
import { hasOneId } from "../base/process-ids.ts";
import type { RunIo, RunResult, RunSpec, Sandbox } from "../sandbox/types.ts";
import type { StoreFiles } from "../store/store.ts";
import { snapshotter, treeOf, type WorkingContainer } from "./working-container.ts";

/** Runs it. The tree is mounted, and `spec.rootfs` is where; `isShown`: others see it there, too. */
export async function runInTree(
  store: StoreFiles,
  container: WorkingContainer,
  sandbox: Sandbox,
  spec: RunSpec,
  io: RunIo,
  isShown = false,
): Promise<RunResult> {
  const [driver, tree] = [snapshotter(container), treeOf(store, container)];
  const { uid, gid } = spec.user;
  // A command that is root gives its files away itself, which is recorded then (sandbox/record-owners.ts).
  const isOther = hasOneId() && (uid !== 0 || gid !== 0);
  const since = isOther ? clockOf(tree.directory) : undefined;
  try {
    return await sandbox.run(spec, {
      ...io,
      onRestored: (paths) => driver.accept(tree, paths),
      mapRoot: (view) => {
        if (isShown && driver.name === "overlay") throw stillMounted(container);
        return driver.mountMapped(tree, view);
      },
    });
  } finally {
    if (since !== undefined) noteOwners(driver.written(tree), { uid, gid }, since);
  }
}

/** The same files under two kinds of ids take two overlays, which would not know of each other's changes. */
function stillMounted({ name, id }: WorkingContainer): CooperError {
  return new CooperError(
    "in-use",
    `Cannot run the command under other ids than those of its files while container ${name ?? id} is mounted`,
    { hint: `cooper umount ${name ?? id}` },
  );
}

/** Time of birth of what is made now, which may lie behind other clocks. Nanoseconds since 1970. */
function clockOf(directory: string): bigint {
  const file = join(directory, "now");
  writeFileSync(file, "");
  const { birthtimeNs } = statSync(file, { bigint: true });
  rmSync(file);
  return birthtimeNs;
}

/** overlayfs's mark of what was there before and was only changed. */
const ORIGIN_XATTR = "user.overlay.origin";
/** Made by the run, not by the command (sandbox/mountpoints.ts). */
const KERNEL_DIRECTORIES = new Set(["/proc", "/sys", "/dev"]);

/**
 * Notes the owner of what was made below a directory since then: the command's user, for whom the one id stood; in a
 * set-gid directory, its group.
 */
function noteOwners(written: string, user: Owner, since: bigint): void {
  const visit = (path: string, group: number | undefined) => {
    for (const name of readNames(written + path)) {
      const child = `${path}/${name}`;
      const stat = statusOf(written + child);
      if (stat === undefined || isWhiteout(stat, written + child) || KERNEL_DIRECTORIES.has(child)) continue;
      const names = listXattrs(written + child);
      const note = ownerNoteFor(stat);
      let owner: Owner | undefined = names.includes(note.attribute)
        ? note.parse(getXattr(written + child, note.attribute))
        : undefined;
      if (owner === undefined && stat.birthtimeNs > since && !names.includes(ORIGIN_XATTR)) {
        owner = { uid: user.uid, gid: group ?? user.gid };
        setOwnerNote(written + child, note, { ...owner, mode: Number(stat.mode) });
      }
      if (stat.isDirectory()) visit(child, (stat.mode & 0o2000n) === 0n ? undefined : (owner?.gid ?? 0));
    }
  };
  visit("", undefined);
}
