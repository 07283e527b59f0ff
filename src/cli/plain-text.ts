/** Text from outside on its way to a terminal. */
import { isTerminal } from "../base/terminals.ts";

/** The text without control characters, which could move the cursor, rename the window or type; lines and tabs stay. */
export function plainText(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}

/** What a template gave: for a program as it is; on a terminal a line of plain text. */
export function lineOnTerminal(text: string): string {
  return isTerminal(1) ? `${plainText(text)}\n` : text;
}
