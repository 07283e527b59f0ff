/** The files of an image layer by layer: what each adds, replaces and deletes, and what of the layers below is wasted by it. */
import type { LayerEntry } from "./layer-entries.ts";

export interface LayerFile {
  kind: "added" | "changed" | "removed";
  /** A name as in path-bytes.ts, absolute. A directory that was deleted stands for all in it. */
  path: string;
  /** Bytes that the layer holds of it; of what was removed those that are gone. */
  size: number;
}

export interface WastedFile {
  path: string;
  /** Layers that hold it or delete it. */
  layers: number[];
  /** Bytes in layers that no container of the image sees. */
  bytes: number;
}

interface Node {
  /** Of a directory; undefined of everything else. */
  children: Map<string, Node> | undefined;
  size: number;
  layer: number;
}

const newDirectory = (layer: number): Node => ({ children: new Map(), size: 0, layer });

/** Takes the layers one after another, the lowest first. */
export class LayeredFiles {
  readonly #root = newDirectory(0);
  readonly #wasted = new Map<string, { layers: Set<number>; bytes: number }>();
  /** Bytes of each layer that later ones hide. */
  readonly hiddenBytes: number[] = [];

  /** What the next layer does to files; directories as such count for nothing. */
  add(entries: Iterable<LayerEntry>): LayerFile[] {
    const layer = this.hiddenBytes.push(0) - 1;
    const files: LayerFile[] = [];
    for (const { kind, path, size } of entries) {
      const names = path.slice(1).split("/");
      const parent = this.#directory(names.slice(0, -1), layer);
      const name = names.at(-1)!;
      const before = parent.get(name);
      if (kind === "opaque") {
        for (const [child, node] of before?.children ?? [])
          files.push({ kind: "removed", path: `${path}/${child}`, size: this.#hide(path, node, layer) });
        before?.children?.clear();
      } else if (kind === "whiteout") {
        if (before === undefined) continue;
        files.push({ kind: "removed", path, size: this.#hide(path, before, layer) });
        parent.delete(name);
      } else if (kind === "directory") {
        if (before?.children !== undefined) continue;
        if (before !== undefined)
          files.push({ kind: "removed", path, size: this.#hide(path, before, layer) });
        parent.set(name, newDirectory(layer));
      } else {
        if (before !== undefined) this.#hide(path, before, layer);
        files.push({ kind: before === undefined ? "added" : "changed", path, size });
        parent.set(name, { children: undefined, size, layer });
      }
    }
    return files;
  }

  /** Most wasteful first. */
  wasted(): WastedFile[] {
    return [...this.#wasted]
      .map(([path, { layers, bytes }]) => ({ path, layers: [...layers].sort((a, b) => a - b), bytes }))
      .filter(({ bytes }) => bytes > 0)
      .sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1));
  }

  #directory(names: string[], layer: number): Map<string, Node> {
    let at = this.#root;
    for (const name of names) {
      let child = at.children!.get(name);
      if (child?.children === undefined) {
        child = newDirectory(layer);
        at.children!.set(name, child);
      }
      at = child;
    }
    return at.children!;
  }

  /** Counts what a node and all below it take as wasted; returns the bytes. */
  #hide(path: string, node: Node, layer: number): number {
    const wasted = this.#wasted.get(path) ?? { layers: new Set<number>(), bytes: 0 };
    const bytes = this.#hideTree(node, wasted.layers);
    wasted.layers.add(layer);
    wasted.bytes += bytes;
    this.#wasted.set(path, wasted);
    return bytes;
  }

  #hideTree({ children, size, layer }: Node, layers: Set<number>): number {
    this.hiddenBytes[layer]! += size;
    if (size > 0) layers.add(layer);
    let bytes = size;
    for (const child of children?.values() ?? []) bytes += this.#hideTree(child, layers);
    return bytes;
  }
}
