/** A report as one page: no scripts, nothing to load, readable in every light and on every width. */
import type { BuildReport, ImageReport } from "../../index.ts";
import { formatSize } from "../units.ts";
import { VERSION } from "../version.ts";
import { configSection } from "./config-section.ts";
import { layersSection, wasteSection } from "./layers-section.ts";
import { type Content, html, Markup } from "./markup.ts";
import { STYLE } from "./style.ts";
import { formatTime, timelineSection } from "./timeline-section.ts";

export function reportPage(report: BuildReport | ImageReport): string {
  const images = report.kind === "build" ? report.images : [report];
  const title = titleOf(report);
  // Whatever a mistake here let through, it could not run or load anything.
  return `${
    html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="cooper ${VERSION}">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header>
<p class="kind">${report.kind === "build" ? "Build report" : "Image"}</p>
<h1>${title}</h1>
${report.kind === "build" ? buildFacts(report) : undefined}
${images.length === 1 ? imageFacts(images[0]!) : undefined}
${contents(report, images)}
</header>
<main>
${report.kind === "build" ? [failure(report), timelineSection(report), warnings(report)] : undefined}
${images.length === 1 ? imageSections(images[0]!, "") : images.map(platformSections)}
</main>
<footer><p>Made by Cooper ${VERSION}. Sizes are decimal, of uncompressed layers.</p></footer>
</body>
</html>`.text
  }\n`;
}

type Part = [id: string, title: string];

/** Links to the parts of the page. */
function contents(report: BuildReport | ImageReport, images: ImageReport[]): Markup {
  const parts: Part[] = [];
  if (report.kind === "build") parts.push(["timeline", "Timeline"]);
  if (report.kind === "build" && report.warnings.length > 0) parts.push(["warnings", "Warnings"]);
  if (images.length === 1) parts.push(["layers", "Layers"], ["waste", "Wasted space"], ["config", "Config"]);
  else parts.push(...images.map(({ platform }, i): Part => [`image-${i + 1}`, platform]));
  return html`<nav aria-label="On this page">${parts.map(([id, title]) => html`<a href="#${id}">${title}</a>`)}</nav>`;
}

function titleOf(report: BuildReport | ImageReport): string {
  const [name] = report.names;
  if (name !== undefined) return name;
  const id = report.kind === "image" ? report.id : report.images[0]?.id;
  return id === undefined ? "Build without a name" : id.slice(0, 12);
}

function imageSections(image: ImageReport, suffix: string): Markup[] {
  return [layersSection(image, suffix), wasteSection(image, suffix), configSection(image, suffix)];
}

/** An image of several. */
function platformSections(image: ImageReport, index: number): Markup {
  const id = `image-${index + 1}`;
  return html`<section aria-labelledby="${id}">
<h2 class="platform" id="${id}">${image.platform}</h2>
${imageFacts(image)}${imageSections(image, `-${index + 1}`)}
</section>`;
}

function facts(entries: [name: string, value: Content][]): Markup {
  return html`<dl class="facts">${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function buildFacts({ stages, error, milliseconds, started }: BuildReport): Markup {
  const steps = stages.flatMap((stage) => stage.steps);
  const cached = steps.filter(({ outcome }) => outcome === "cached").length;
  const run = steps.filter(({ outcome }) => outcome === "run" || outcome === "failed").length;
  return facts([
    ["Result", error === undefined ? html`<b class="good">built</b>` : html`<b class="bad">failed</b>`],
    ["Took", formatTime(milliseconds)],
    ["Steps from the cache", `${cached} of ${cached + run}`],
    ["Began (UTC)", html`<time datetime="${started}">${shortTime(started)}</time>`],
  ]);
}

function imageFacts({ id, size, layers, wastedBytes, platform, created }: ImageReport): Markup {
  return facts([
    ["Size", formatSize(size)],
    ["Layers", layers.length],
    ["Wasted", wastedBytes === 0 ? "nothing" : formatSize(wastedBytes)],
    ["Platform", platform],
    ["Created (UTC)", html`<time datetime="${created}">${shortTime(created)}</time>`],
    ["ID", html`<code title="${id}">${id.slice(0, 12)}</code>`],
  ]);
}

const shortTime = (time: string) => `${time.slice(0, 16).replace("T", " ")}`;

function failure({ error }: BuildReport): Markup | undefined {
  if (error === undefined) return undefined;
  const { message, hint, location, output } = error;
  const place =
    location === undefined ? undefined : html`<p><code>${location.file}:${location.line}</code></p>`;
  return html`<section class="failure" aria-labelledby="failure">
<h2 id="failure">Why it failed</h2>
<p>${message}</p>${place}
${hint === undefined ? undefined : html`<p>${hint}</p>`}
${output === undefined ? undefined : html`<pre tabindex="0">${output}</pre>`}
</section>`;
}

function warnings({ warnings: all }: BuildReport): Markup | undefined {
  if (all.length === 0) return undefined;
  return html`<section aria-labelledby="warnings">
<h2 id="warnings">Warnings</h2>
<ul>${all.map(
    ({ message, rule, location }) =>
      html`<li>${rule === undefined ? undefined : html`<b>${rule}</b>: `}${message}${
        location === undefined ? undefined : html` (line ${location.line})`
      }</li>`,
  )}</ul>
</section>`;
}
