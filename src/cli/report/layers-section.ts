/** What the layers of an image hold, as a map of their largest files and as tables. */
import type { FileCount, ImageReport, LayerFileReport, LayerReport } from "../../index.ts";
import { formatSize } from "../units.ts";
import { html, type Markup } from "./markup.ts";
import { fileMap, layerMap } from "./maps.ts";

/** Rows of a table. */
const LISTED = 25;

export function layersSection({ layers }: ImageReport, suffix: string): Markup {
  const largest = Math.max(1, ...layers.map(({ size }) => size));
  return html`<section aria-labelledby="layers${suffix}">
<h2 id="layers${suffix}">Layers</h2>
${layers.length === 0 ? html`<p>The image has none.</p>` : html`<p>The lowest first. Open one to see its largest files.</p>`}
${layerMap(layers)}
${layers.map((layer, position) => layerDetails(layer, position, largest, position === layers.length - 1))}
</section>`;
}

function layerDetails(layer: LayerReport, position: number, largest: number, open: boolean): Markup {
  const { size, createdBy, wastedBytes, added, changed, removed } = layer;
  const command =
    createdBy.at(-1)?.replace(/ # buildkit$/, "") ?? "made by a step that the history does not tell";
  const width = Math.max(0.4, (size / largest) * 100).toFixed(2);
  return html`<details class="layer"${open ? html` open` : undefined}>
<summary><span class="number">${position + 1}</span> <b class="size">${formatSize(size)}</b> <code class="command">${command}</code>
<span class="meter" aria-hidden="true"><span style="width:${width}%"></span></span></summary>
<dl class="counts">
${countOf("Added", added)}${countOf("Changed", changed)}${countOf("Removed", removed)}
<div><dt>Wasted</dt><dd>${wastedBytes === 0 ? "nothing" : formatSize(wastedBytes)}</dd></div>
</dl>
${createdBy.length < 2 ? undefined : html`<p>Steps in it:</p><ol>${createdBy.map((line) => html`<li><code>${line}</code></li>`)}</ol>`}
${fileMap(layer)}
${fileTable(layer)}
<p class="digest"><code>${layer.diffId}</code></p>
</details>`;
}

function countOf(name: string, { files, bytes }: FileCount): Markup {
  const what = files === 0 ? "none" : `${files} ${files === 1 ? "file" : "files"}, ${formatSize(bytes)}`;
  return html`<div><dt>${name}</dt><dd>${what}</dd></div>`;
}

function fileTable({ files }: LayerReport): Markup {
  if (files.length === 0) return html`<p>It changes no files.</p>`;
  const removed = files.filter(({ kind }) => kind === "removed");
  const held = files.filter(({ kind }) => kind !== "removed");
  return html`${table("Largest files", held)}${table("Removed", removed)}`;
}

function table(caption: string, files: LayerFileReport[]): Markup | undefined {
  if (files.length === 0) return undefined;
  const rest = files.length - LISTED;
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}${rest > 0 ? ` (${LISTED} of ${files.length})` : undefined}</caption>
<thead><tr><th scope="col">Size</th><th scope="col">Change</th><th scope="col">Path</th></tr></thead>
<tbody>${files
    .slice(0, LISTED)
    .map(
      ({ path, size, kind }) =>
        html`<tr><td class="number">${formatSize(size)}</td><td>${kind}</td><td><code>${path}</code></td></tr>`,
    )}</tbody>
</table></div>`;
}

/** What later layers overwrite or delete. `suffix` makes its id one of its own on the page. */
export function wasteSection({ wastedBytes, wastedFiles, size }: ImageReport, suffix: string): Markup {
  const share = size === 0 ? 0 : (wastedBytes / size) * 100;
  const rest = wastedFiles.length - LISTED;
  return html`<section aria-labelledby="waste${suffix}">
<h2 id="waste${suffix}">Wasted space</h2>
${
  wastedFiles.length === 0
    ? html`<p>No layer overwrites or deletes files of another.</p>`
    : html`<p>${formatSize(wastedBytes)}, ${Number(share.toFixed(1))} % of the image, is in files that a later layer overwrites or deletes.</p>
<div class="scroll" role="region" aria-label="Wasted space" tabindex="0"><table>
<caption>What wastes it${rest > 0 ? ` (${LISTED} of ${wastedFiles.length})` : undefined}</caption>
<thead><tr><th scope="col">Wasted</th><th scope="col">Layers</th><th scope="col">Path</th></tr></thead>
<tbody>${wastedFiles
        .slice(0, LISTED)
        .map(
          ({ path, bytes, layers }) =>
            html`<tr><td class="number">${formatSize(bytes)}</td><td>${layers.map((layer) => layer + 1).join(", ")}</td><td><code>${path}</code></td></tr>`,
        )}</tbody>
</table></div>`
}
</section>`;
}
