/** White space as Go's `unicode.IsSpace` has it, which is what BuildKit trims and splits words by. */

/** Whether a UTF-16 code unit is a blank: also U+0085 and U+00A0, but not U+FEFF, unlike `\s`. */
export function isSpace(code: number): boolean {
  if (code <= 0x20) return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  if (code < 0x80) return false;
  return code === 0x85 || code === 0xa0 || WIDE_SPACES.test(String.fromCharCode(code));
}

const WIDE_SPACES = /[\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Without blanks at its start. */
export function trimStart(text: string): string {
  let start = 0;
  while (start < text.length && isSpace(text.charCodeAt(start))) start++;
  return start === 0 ? text : text.slice(start);
}

/** Without blanks at both ends. */
export function trim(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charCodeAt(end - 1))) end--;
  return trimStart(end === text.length ? text : text.slice(0, end));
}

/** What separates an instruction from its arguments, and plain arguments from each other: ASCII blanks only. */
export const SEPARATOR = /[\t\v\f\r ]+/;

/** Cuts at the first separator: `[head]` or `[head, rest]`. */
export function cutAtSeparator(text: string): [head: string, rest: string | undefined] {
  const match = SEPARATOR.exec(text);
  if (match === null) return [text, undefined];
  return [text.slice(0, match.index), text.slice(match.index + match[0].length)];
}
