/** What an image's config says to those who run it. */
import type { ImageReport } from "../../index.ts";
import { html, type Markup } from "./markup.ts";

export function configSection({ config, author, digest, names }: ImageReport, suffix: string): Markup {
  const rows: [name: string, lines: string[]][] = [
    ["Names", names],
    ["Manifest", [digest]],
    ["Author", author === "" ? [] : [author]],
    ...Object.entries(config).map(([name, value]): [string, string[]] => [wordsOf(name), linesOf(value)]),
  ];
  return html`<section aria-labelledby="config${suffix}">
<h2 id="config${suffix}">Config</h2>
<div class="scroll" role="region" aria-label="Config" tabindex="0"><table class="config">
<tbody>${rows
    .filter(([, lines]) => lines.length > 0)
    .map(
      ([name, lines]) =>
        html`<tr><th scope="row">${name}</th><td>${lines.map((line) => html`<code>${line}</code>`)}</td></tr>`,
    )}</tbody>
</table></div>
</section>`;
}

/** `WorkingDir` → `Working dir`; `OnBuild` stays near its instruction. */
function wordsOf(name: string): string {
  const words = name.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function linesOf(value: unknown): string[] {
  if (value === undefined || value === null || value === "") return [];
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) {
    const isList = value.every((item) => typeof item === "string" && item.includes("="));
    if (value.length === 0) return [];
    return isList ? (value as string[]) : [JSON.stringify(value)];
  }
  if (typeof value !== "object") return [String(value)];
  return Object.entries(value).map(([key, inner]) => {
    if (typeof inner === "string") return `${key}=${inner}`;
    return isEmpty(inner) ? key : `${key}: ${JSON.stringify(inner)}`;
  });
}

const isEmpty = (value: unknown) =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;
