/** Foreign text made fit for a terminal: no control reaches it, and its width in columns is known. */

/** ESC sequences of ECMA-48: CSI, the strings (OSC, DCS, SOS, PM, APC) up to their end, and the short ones. */
const ESCAPES =
  /(?:\x1b\[|\u009b)[0-?]*[ -/]*[@-~]?|(?:\x1b[\]PX^_]|[\u009d\u0090\u0098\u009e\u009f])[^\x07\x1b\u009c]*(?:\x07|\x1b\\|\u009c)?|\x1b[ -/]*[0-~]?/g;
/** Controls, and what turns the direction of a line around. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/g;

/**
 * One line of a command's output as a terminal would have left it: colours and other escape sequences are gone, what was
 * overwritten after a carriage return too, tabs are blanks, other controls are dropped.
 */
export function harmless(line: string): string {
  const plain = line.replace(ESCAPES, "");
  const shown = plain.includes("\r") ? lastOverwrite(plain) : plain;
  return shown.toWellFormed().replaceAll("\t", "    ").replace(CONTROLS, "");
}

/** A progress bar that draws itself anew after each carriage return: its latest state. */
function lastOverwrite(line: string): string {
  return line.split("\r").findLast((part) => part !== "") ?? "";
}

/** Columns that a text takes at most: characters are counted one by one, which terminals that join them never exceed. */
export function columnsOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += Bun.stringWidth(character);
  return columns;
}

/** The beginning of a text that fits, with `…` where something is missing. */
export function clipped(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  if (columns < 1) return "";
  let used = 1;
  let kept = "";
  for (const character of text) {
    used += Bun.stringWidth(character);
    if (used > columns) break;
    kept += character;
  }
  return `${kept}…`;
}
