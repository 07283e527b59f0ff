/** What a command may write to, without its writes going anywhere: an overlay of it, or a copy. */
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { copyNode, copyTree } from "../archive/copy-tree.ts";
import { fileSystemOf } from "../base/file-system.ts";
import { MNT, MS, mount, umount } from "../base/mounts.ts";
import { fsPath } from "../base/path-bytes.ts";
import { type CommandIds, mayBeShifted } from "../sandbox/command-ids.ts";
import { commandsHaveMounts } from "../sandbox/mount-namespace.ts";
import type { RunMount } from "../sandbox/types.ts";
import { overlay } from "../store/overlay.ts";
import type { StoreFiles } from "../store/store.ts";

type Bind = Extract<RunMount, { type: "bind" }>;

/** A bind mount of files whose owners are an image's, for a command with some ids. */
export function imageBind(
  store: StoreFiles,
  { source, target, readOnly }: { source: string; target: string; readOnly: boolean },
  ids: CommandIds | undefined,
  undo: (() => void)[],
): Bind {
  const mount: Bind = { type: "bind", source, target, readOnly, ofImage: true };
  // Overlays cannot be shown under other ids.
  const isPlain = mayBeShifted(ids);
  const isShown = readOnly && !(isPlain && fileSystemOf(source) === "overlay");
  return isShown ? mount : { ...mount, source: writableCopy(store, source, undo, isPlain), lend: true };
}

/** Host path of what stands for `source`, a file or a directory; `undo` gets what takes it away. `isPlain`: it must be no overlay. */
export function writableCopy(
  store: StoreFiles,
  source: string,
  undo: (() => void)[],
  isPlain = false,
): string {
  if (!statSync(fsPath(source)).isDirectory()) {
    const copy = store.session.path("bound-file");
    copyNode(source, copy);
    return copy;
  }
  const directory = store.session.path("bind");
  if (isPlain || !commandsHaveMounts()) {
    copyTree(source, directory, { ownership: "verbatim" });
    undo.push(() => rmSync(directory, { recursive: true, force: true }));
    return directory;
  }
  const lower = join(directory, "lower/diff");
  mkdirSync(lower, { recursive: true, mode: 0o755 });
  mount(source, lower, undefined, MS.BIND | MS.REC);
  const tree = { directory: join(directory, "tree"), lowers: [lower] };
  overlay.prepare(tree);
  undo.push(() => {
    overlay.unmount(tree, true);
    umount(lower, MNT.DETACH);
    rmSync(directory, { recursive: true, force: true });
  });
  return overlay.mount(tree);
}
