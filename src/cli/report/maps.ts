/** Treemaps of layers and their files. They are pictures only: tables beside them say the same. */
import type { LayerFileReport, LayerReport } from "../../index.ts";
import { formatSize } from "../units.ts";
import { groupFiles } from "./file-groups.ts";
import { html, type Markup } from "./markup.ts";
import { type Rectangle, treemap } from "./treemap.ts";

/** Files that are shown one by one, and directories for the others: in the map of a layer, and of each layer in that of all. */
const OF_ONE = { files: 40, directories: 14 };
const OF_EACH = { files: 20, directories: 10 };
/** Their proportions on a desktop. */
const AREA: Rectangle = { left: 0, top: 0, width: 100, height: 30 };

/** Part of all that a layer must be to be shown: a smaller one has no room for its name. */
const SMALLEST = 0.005;

/** All layers, each with its largest files; undefined where there is nothing to compare. */
export function layerMap(layers: LayerReport[]): Markup | undefined {
  const total = layers.reduce((sum, { size }) => sum + size, 0);
  const shown = layers
    .map((layer, position) => ({ position, files: heldFiles(layer), size: layer.size }))
    .filter(({ size }) => size > total * SMALLEST)
    .sort((a, b) => b.size - a.size);
  if (shown.length < 2) return undefined;
  const places = treemap(
    shown.map(({ size }) => size),
    AREA,
  );
  return html`<div class="map all" aria-hidden="true">${shown.map(({ position, files, size }, i) => {
    const place = places[i]!;
    const [number, bytes] = [position + 1, formatSize(size)];
    const inside = { left: 0, top: 0, width: place.width, height: place.height };
    return html`<div class="group" style="${at(place, AREA)}"><span class="name" title="Layer ${number}, ${bytes}"><span class="more">Layer </span>${number}<span class="more">, ${bytes}</span></span><div class="inside">${cells(files, OF_EACH, inside)}</div></div>`;
  })}</div>`;
}

/** The largest files of a layer, and directories with the others; undefined where there are not two. */
export function fileMap(layer: LayerReport): Markup | undefined {
  const files = heldFiles(layer);
  return files.length < 2
    ? undefined
    : html`<div class="map" aria-hidden="true">${cells(files, OF_ONE, AREA)}</div>`;
}

const heldFiles = ({ files }: LayerReport) =>
  files.filter(({ kind, size }) => kind !== "removed" && size > 0);

interface Cell {
  label: string;
  title: string;
  size: number;
  kind: LayerFileReport["kind"] | "directory";
}

function cells(
  files: LayerFileReport[],
  most: { files: number; directories: number },
  area: Rectangle,
): Markup[] {
  const ones = files
    .slice(0, most.files)
    .map(({ path, size, kind }): Cell => ({ label: lastName(path), title: path, size, kind }));
  const groups = groupFiles(files.slice(most.files), most.directories).map(
    ({ directory, files: those, size }): Cell => ({
      label: `${lastNames(directory)} (${those.length})`,
      title: `${those.length} more in ${directory}`,
      size,
      kind: "directory",
    }),
  );
  const shown = [...ones, ...groups].sort((a, b) => b.size - a.size);
  const places = treemap(
    shown.map(({ size }) => size),
    area,
  );
  return shown.map(({ label, title, size, kind }, i) => {
    const bytes = formatSize(size);
    return html`<div class="cell ${kind}" style="${at(places[i]!, area)}" title="${title}, ${bytes}"><span>${label}</span><span>${bytes}</span></div>`;
  });
}

const lastName = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** `/usr/share/perl/5.36.0/` → `perl/5.36.0/`: one name alone is often that of others, too. */
const lastNames = (directory: string) => directory.split("/").slice(-3).join("/");

/** The place within an area, as CSS. */
function at({ left, top, width, height }: Rectangle, area: Rectangle): string {
  const part = (value: number, whole: number) => `${whole === 0 ? 0 : ((value / whole) * 100).toFixed(3)}%`;
  return `left:${part(left, area.width)};top:${part(top, area.height)};width:${part(width, area.width)};height:${part(height, area.height)}`;
}
