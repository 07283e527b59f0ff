/** HTML that nothing from outside can get into: what a template is given is text, unless it is markup itself. */

export class Markup {
  constructor(readonly text: string) {}
}

export type Content = Markup | string | number | undefined | readonly Content[];

/** HTML as written, the values between escaped; lists are joined, undefined is nothing. */
export function html(strings: TemplateStringsArray, ...values: Content[]): Markup {
  return new Markup(
    strings.map((string, i) => `${string}${i < values.length ? render(values[i]) : ""}`).join(""),
  );
}

function render(value: Content): string {
  if (value === undefined) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(render).join("");
  return escapeText(String(value));
}

/** Controls, and what turns the direction of text around: a path could look like another one. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Fit for element content and for attributes in quotes. */
export function escapeText(text: string): string {
  return text
    .toWellFormed()
    .replace(CONTROLS, "\ufffd")
    .replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
