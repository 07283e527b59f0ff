/** An image's layers as a table of text. */
import type { FileCount, ImageReport } from "../../index.ts";
import { harmless } from "../terminal/terminal-text.ts";
import { renderTable } from "../table.ts";
import { formatSize } from "../units.ts";

const COMMAND_WIDTH = 50;
const WORST = 10;

export function imageText(report: ImageReport): string {
  const { layers, size, wastedBytes, wastedFiles } = report;
  const rows = layers.map((layer, position) => [
    String(position + 1),
    formatSize(layer.size),
    counted("+", layer.added),
    counted("~", layer.changed),
    counted("-", layer.removed),
    layer.wastedBytes === 0 ? "" : formatSize(layer.wastedBytes),
    cut(layer.createdBy.at(-1) ?? ""),
  ]);
  const heading = ["LAYER", "SIZE", "ADDED", "CHANGED", "REMOVED", "WASTED", "CREATED BY"];
  const share = size === 0 ? 0 : (wastedBytes / size) * 100;
  const total = `${formatSize(size)} in ${layers.length} layers, ${formatSize(wastedBytes)} of it wasted (${Number(share.toFixed(1))} %)\n`;
  const worst = wastedFiles
    .slice(0, WORST)
    .map(({ path, bytes, layers: of }) => [
      formatSize(bytes),
      of.map((position) => position + 1).join(", "),
      cut(path, Number.POSITIVE_INFINITY),
    ]);
  const waste = worst.length === 0 ? "" : `\n${renderTable([["WASTED", "LAYERS", "PATH"], ...worst])}`;
  return `${renderTable([heading, ...rows])}${total}${waste}`;
}

function counted(sign: string, { files }: FileCount): string {
  return files === 0 ? "" : `${sign}${files}`;
}

/** Without what a terminal would take for a command. */
function cut(text: string, width = COMMAND_WIDTH): string {
  const plain = harmless(text.replace(/\s+/g, " "));
  return plain.length <= width ? plain : `${plain.slice(0, width - 1)}…`;
}
