/** What a command may write to, without its writes going anywhere: an overlay of it, or a copy. */
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { copyNode, copyTree } from "../archive/copy-tree.ts";
import { MNT, MS, mount, umount } from "../base/mounts.ts";
import { fsPath } from "../base/path-bytes.ts";
import { commandsHaveMounts } from "../sandbox/mount-namespace.ts";
import { overlay } from "../store/overlay.ts";
import type { StoreFiles } from "../store/store.ts";

/** Host path of what stands for `source`, a file or a directory; `undo` gets what takes it away. */
export function writableCopy(store: StoreFiles, source: string, undo: (() => void)[]): string {
  if (!statSync(fsPath(source)).isDirectory()) {
    const copy = store.session.path("bound-file");
    copyNode(source, copy);
    return copy;
  }
  const directory = store.session.path("bind");
  if (!commandsHaveMounts()) {
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
