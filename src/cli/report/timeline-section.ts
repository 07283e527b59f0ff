/** When each step of a build ran, what came from the cache, and why the others did not. */
import type { BuildReport, InputChange, StageReport, StepMiss, StepReport } from "../../index.ts";
import { html, type Markup } from "./markup.ts";

/** `0 ms`, `350 ms`, `2.4 s`, `3 m 20 s`. */
export function formatTime(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
}

export function timelineSection(report: BuildReport): Markup {
  const { stages, commit, milliseconds: total } = report;
  const every = tickOf(total);
  return html`<section aria-labelledby="timeline" style="--tick:${share(every, total).toFixed(2)}%">
<h2 id="timeline">Timeline</h2>
${stages.length === 0 ? html`<p>No step was run.</p>` : axis(every, total)}
${stages.map((stage, index) => stageList(stage, index, total))}
${
  commit === undefined
    ? undefined
    : html`<ol class="steps"><li><div class="step commit"><span class="what">Commit of the image</span>${bar("commit", commit.start, commit.milliseconds, total)}</div></li></ol>`
}
</section>`;
}

/** Per cent of the build's time. */
function share(time: number, total: number): number {
  return total <= 0 ? 0 : Math.min(100, Math.max(0, (time / total) * 100));
}

/** Most ticks of the axis; on a telephone their labels still do not touch. */
const TICKS = 4;
/** Milliseconds between two: tens, seconds and minutes in steps that people count in. */
const TICK_LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500].concat(
  [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].map((seconds) => seconds * 1000),
);

function tickOf(total: number): number {
  return TICK_LENGTHS.find((length) => total / length <= TICKS) ?? total / TICKS;
}

function axis(every: number, total: number): Markup {
  const ticks = Array.from({ length: Math.floor(total / every) + 1 }, (_, i) => i * every);
  // One at the very end would have no room for its label.
  const labels = ticks.filter((time) => share(time, total) <= 90);
  return html`<div class="step axis" aria-hidden="true"><span class="ticks">${labels.map(
    (time) =>
      html`<span style="left:${share(time, total).toFixed(2)}%">${time === 0 ? 0 : formatTime(time)}</span>`,
  )}</span></div>`;
}

function stageList({ name, platform, steps }: StageReport, index: number, total: number): Markup {
  const start = Math.min(...steps.map((step) => step.start));
  const end = Math.max(...steps.map((step) => step.start + step.milliseconds));
  return html`<h3 class="step"><span class="what">Stage <code>${name}</code>${platform === undefined ? undefined : html` for ${platform}`}</span>
${bar("stage", start, end - start, total)}</h3>
<ol class="steps">${steps.map((step) => stepItem(step, index, total))}</ol>`;
}

const OUTCOMES: Record<StepReport["outcome"], string> = {
  base: "base",
  config: "config only",
  cached: "cached",
  run: "run",
  failed: "failed",
  unfinished: "not finished",
};

function stepItem(step: StepReport, stage: number, total: number): Markup {
  const { number, text, outcome, start, milliseconds, from, sharedWith, miss } = step;
  return html`<li id="${anchor(stage, number)}"><div class="step">
<span class="what"><span class="chip ${outcome}">${OUTCOMES[outcome]}</span> <code>${text}</code></span>
${bar(outcome, start, milliseconds, total)}</div>
${from === undefined ? undefined : html`<p class="why">Found in ${from}.</p>`}
${sharedWith === undefined ? undefined : html`<p class="why">Run once, as step ${sharedWith.number} of stage <code>${sharedWith.stage}</code> as well.</p>`}
${miss === undefined ? undefined : html`<div class="why">${reason(miss, stage)}</div>`}</li>`;
}

const anchor = (stage: number, step: number) => `step-${stage}-${step}`;

/** Least width of a bar, so that short steps are seen: per cent. */
const NARROWEST = 0.4;

function bar(kind: string, start: number, milliseconds: number, total: number): Markup {
  const width = Math.max(NARROWEST, share(milliseconds, total));
  const left = Math.min(share(start, total), 100 - width);
  return html`<span class="track" aria-hidden="true"><span class="bar ${kind}" style="left:${left.toFixed(2)}%;width:${width.toFixed(2)}%"></span></span>
<span class="time">${formatTime(milliseconds)}</span>`;
}

function reason({ reason: why, changes }: StepMiss, stage: number): Markup {
  const list =
    changes.length === 0 ? undefined : html`<ul>${changes.map((change) => changeItem(change, stage))}</ul>`;
  switch (why) {
    case "asked":
      return html`<p>The cache was not to be used.</p>`;
    case "new":
      return html`<p>No earlier run of this step is known.</p>`;
    case "forgotten":
      return html`<p>Everything is as it was, but the cache has no result that may be used.</p>`;
    case "changed":
      return html`<p>Different from its last run:</p>${list}`;
  }
}

function changeItem(
  { input, kind, before, step, files, filesOmitted = 0 }: InputChange,
  stage: number,
): Markup {
  if (step !== undefined)
    return html`<li>the files that <a href="#${anchor(stage, step)}">step ${step}</a> left</li>`;
  if (before !== undefined) return html`<li>the ${input}, which was <code>${before}</code></li>`;
  const verb = kind === "changed" ? undefined : html` (${kind})`;
  if (files === undefined || files.length === 0) return html`<li>${input}${verb}</li>`;
  const more = filesOmitted === 0 ? undefined : html`<li>and ${filesOmitted} more</li>`;
  return html`<li>${input}:<ul>${files.map((file) => html`<li><code>${file.path}</code> (${file.kind})</li>`)}${more}</ul></li>`;
}
