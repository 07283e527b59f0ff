/** A writable tree under the ids of a user namespace, in a view's place and until close(). */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CooperError, withHint, wrapError } from "../base/errors.ts";
import { type MappedView, mountMapped } from "../base/mapped-mounts.ts";
import { umount } from "../base/mounts.ts";
import { withFileIds } from "../base/process-calls.ts";
import { layersOf, mountLayers, renewWork } from "./overlay-mount.ts";
import type { WritableTree } from "./snapshotter.ts";

/** As Snapshotter.mountMapped() has it. */
interface MappedTree {
  root: string;
  close(): void;
}

/** One that is a plain directory. Error: `unsupported`. */
export function mappedDirectory(directory: string, view: MappedView): MappedTree {
  const root = join(view.place, "root");
  mkdirSync(root);
  mountMapped(view, directory, root);
  return { root, close: () => umount(root) };
}

/**
 * One whose overlay is not mounted. Overlays cannot be mounted under other ids, but their layers can (Linux 5.19). What the
 * overlay makes by itself, in the work directory, is made for its mounter: so that is the root that there is in the view.
 * `restore` is called when all is unmounted again. Error: `unsupported`.
 */
export function mappedOverlay(tree: WritableTree, view: MappedView, restore: () => void): MappedTree {
  const [layers, directory, root] = ["layers", "tree", "root"].map((name) => join(view.place, name));
  const mounted: string[] = [];
  const mounting = (place: string, action: () => void) => {
    mkdirSync(place);
    action();
    mounted.unshift(place);
  };
  const close = () => {
    for (const place of mounted) umount(place);
    restore();
  };
  try {
    renewWork(tree);
    mounting(layers!, () => mountMapped(view, layersOf(tree), layers!));
    mounting(directory!, () => mountMapped(view, tree.directory, directory!));
    const places = { layers: layers!, directory: directory!, target: root! };
    mounting(root!, () => withFileIds(view.root, () => mountLayers(tree, places)));
    return { root: root!, close };
  } catch (error) {
    close();
    if (error instanceof CooperError) throw error;
    const refused = wrapError("Cannot mount layers under other ids", error, "unsupported");
    throw withHint(refused, "It takes Linux 5.19 and CAP_SETPCAP, or --storage-driver copy");
  }
}
