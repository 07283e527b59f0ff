/** Tables in columns as wide as their widest cell. */
import { compileTemplate } from "./go-template.ts";
import type { GoStruct } from "./go-value.ts";
import { plainText } from "./plain-text.ts";

const GAP = 3;

/** Lines of text, one a row, without control characters; the last cell of a row is not padded. */
export function renderTable(table: readonly (readonly string[])[]): string {
  const rows = table.map((row) => row.map(plainText));
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.slice(0, -1).entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map(
      (row) =>
        `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]! + GAP))).join("")}\n`,
    )
    .join("");
}

/**
 * A --format of a list, ready for its rows. As in Buildah, blanks in the template separate columns, which are aligned
 * over all rows; `table ` before it adds headings. Throws `usage` for a template that cannot be read.
 */
export function compileRows(format: string, headings: GoStruct): (rows: GoStruct[]) => string {
  const [, table, body] = /^(table\s+)?(.*)$/s.exec(format)!;
  const template = compileTemplate(blanksToTabs(body!.replaceAll("\\t", "\t").replaceAll("\\n", "\n")));
  return (rows) => {
    const all = table === undefined ? rows : [headings, ...rows];
    return renderTable(
      all.flatMap((row) => template.render(row).split("\n")).map((line) => line.split("\t")),
    );
  };
}

/** Blanks outside of {{…}}. */
function blanksToTabs(template: string): string {
  return template.replace(/\{\{.*?\}\}| /gs, (part) => (part === " " ? "\t" : part));
}
