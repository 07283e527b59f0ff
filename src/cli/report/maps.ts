/** Treemaps of layers and their files. They are pictures only: tables beside them say the same. */
import type { LayerFileReport, LayerReport } from "../../index.ts";
import { formatSize } from "../units.ts";
import { html, type Markup } from "./markup.ts";
import { type Rectangle, treemap } from "./treemap.ts";

/** Files that are shown one by one: in the map of a layer, and of each layer in that of all. */
const OF_ONE = 40;
const OF_EACH = 24;
/** Their proportions on a desktop. */
const AREA: Rectangle = { left: 0, top: 0, width: 100, height: 30 };

/** Part of all that a layer must be to be shown: a smaller one has no room for its name. */
const SMALLEST = 0.005;

/** All layers, each with its largest files; undefined where there is nothing to compare. */
export function layerMap(layers: LayerReport[]): Markup | undefined {
  const total = layers.reduce((sum, layer) => sum + heldBytes(layer), 0);
  const shown = layers
    .map((layer, position) => ({ position, files: heldFiles(layer), size: heldBytes(layer) }))
    .filter(({ size }) => size > total * SMALLEST)
    .sort((a, b) => b.size - a.size);
  if (shown.length < 2) return undefined;
  const places = treemap(
    shown.map(({ size }) => size),
    AREA,
  );
  return html`<div class="map all" aria-hidden="true">${shown.map(({ position, files, size }, i) => {
    const place = places[i]!;
    const title = `Layer ${position + 1}, ${formatSize(size)}`;
    const inside = { left: 0, top: 0, width: place.width, height: place.height };
    return html`<div class="group" style="${at(place, AREA)}"><span class="name" title="${title}">${title}</span><div class="inside">${cells(files, OF_EACH, inside)}</div></div>`;
  })}</div>`;
}

/** The largest files of a layer, the others as one; undefined where there are not two. */
export function fileMap(layer: LayerReport): Markup | undefined {
  const files = heldFiles(layer);
  return files.length < 2
    ? undefined
    : html`<div class="map" aria-hidden="true">${cells(files, OF_ONE, AREA)}</div>`;
}

const heldFiles = ({ files }: LayerReport) =>
  files.filter(({ kind, size }) => kind !== "removed" && size > 0);

const heldBytes = ({ added, changed }: LayerReport) => added.bytes + changed.bytes;

interface Cell {
  label: string;
  title: string;
  size: number;
  kind: LayerFileReport["kind"] | "rest";
}

function cells(files: LayerFileReport[], most: number, area: Rectangle): Markup[] {
  const shown = files.slice(0, most).map(
    ({ path, size, kind }): Cell => ({
      label: path.slice(path.lastIndexOf("/") + 1),
      title: path,
      size,
      kind,
    }),
  );
  const others = files.slice(most);
  if (others.length > 0) {
    const label = `${others.length} more`;
    const size = others.reduce((sum, file) => sum + file.size, 0);
    shown.push({ label, title: label, size, kind: "rest" });
    shown.sort((a, b) => b.size - a.size);
  }
  const places = treemap(
    shown.map(({ size }) => size),
    area,
  );
  return shown.map(({ label, title, size, kind }, i) => {
    const bytes = formatSize(size);
    return html`<div class="cell ${kind}" style="${at(places[i]!, area)}" title="${title}, ${bytes}"><span>${label}<br>${bytes}</span></div>`;
  });
}

/** The place within an area, as CSS. */
function at({ left, top, width, height }: Rectangle, area: Rectangle): string {
  const part = (value: number, whole: number) => `${whole === 0 ? 0 : ((value / whole) * 100).toFixed(3)}%`;
  return `left:${part(left, area.width)};top:${part(top, area.height)};width:${part(width, area.width)};height:${part(height, area.height)}`;
}
