/** Text from outside on its way to a terminal. */

/** The text without control characters, which could move the cursor, rename the window or type; lines and tabs stay. */
export function plainText(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}
