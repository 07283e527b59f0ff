/** What is in flight, as the lines of a region: as many as there is room for, and never more. */
import { formatSize } from "../units.ts";
import {
  type BuildView,
  commitNames,
  type RunningStep,
  seconds,
  shortDigest,
  stepLine,
  type Transfer,
} from "./build-view.ts";
import type { Size } from "./live-region.ts";
import type { Line, Span } from "./styled-line.ts";

/** Lines of a command's output that are shown while it runs. */
const TAIL_LINES = 6;
const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** At most `size.rows - 1` lines: the terminal keeps one, in which its prompt will be. */
export function drawView(view: BuildView, size: Size, now: number): Line[] {
  const room = Math.max(1, size.rows - 1);
  const steps = [...view.running.values()];
  const transfers = [...view.transfers.values()];
  const summary = summaryLine(view, now);
  const fixed = steps.length + transfers.length + (view.commit === undefined ? 0 : 1) + 1;
  const perStep = steps.length === 0 ? 0 : Math.floor((room - fixed) / steps.length);
  const tailLines = Math.max(0, Math.min(TAIL_LINES, perStep));
  const lines = [
    ...steps.flatMap((running) => stepLines(running, now, tailLines)),
    ...transfers.map((transfer) => transferLine(transfer, size, now)),
    ...(view.commit === undefined ? [] : [commitLine(view.commit, now)]),
  ];
  if (lines.length + 1 <= room) return [...lines, summary];
  return [...lines.slice(0, room - 1), summary];
}

function spinner(now: number): Span {
  return { text: SPINNER[Math.floor(now / 100) % SPINNER.length]!, style: "cyan" };
}

function stepLines({ step, since, tail }: RunningStep, now: number, tailLines: number): Line[] {
  return [
    stepLine(spinner(now), seconds(now - since), step, "bold"),
    ...tail.last(tailLines).map((text): Line => [{ text: `  │ ${text}`, style: "dim" }]),
  ];
}

function transferLine({ action, digest, since, done, total }: Transfer, size: Size, now: number): Line {
  const amount = total === undefined ? formatSize(done) : `${formatSize(done)} of ${formatSize(total)}`;
  const passed = now - since;
  const rate = passed < 1000 ? "" : `  ${formatSize((done * 1000) / passed)}/s`;
  return [
    spinner(now),
    { text: ` ${seconds(passed).padStart(7)}  `, style: "dim" },
    { text: action, style: "bold" },
    { text: ` ${shortDigest(digest)} ` },
    ...(total === undefined ? [] : bar(done / Math.max(1, total), size.columns)),
    { text: ` ${amount}${rate}`, style: "dim" },
  ];
}

/** Narrow terminals have a short bar, or none. */
function bar(fraction: number, columns: number): Span[] {
  const width = Math.max(0, Math.min(24, columns - 60));
  const full = Math.min(width, Math.floor(fraction * width));
  const percent = `${String(Math.floor(Math.min(1, fraction) * 100)).padStart(3)}%`;
  return [
    { text: "━".repeat(full), style: "green" },
    { text: "─".repeat(width - full), style: "dim" },
    { text: ` ${percent}` },
  ];
}

function commitLine(commit: NonNullable<BuildView["commit"]>, now: number): Line {
  const { since, done } = commit;
  return [
    spinner(now),
    { text: ` ${seconds(now - since).padStart(7)}  `, style: "dim" },
    { text: "commit", style: "bold" },
    {
      text: commitNames(commit)
        .map((name) => ` ${name}`)
        .join(""),
    },
    { text: done === 0 ? "" : `  ${formatSize(done)} hashed`, style: "dim" },
  ];
}

function summaryLine(view: BuildView, now: number): Line {
  const parts = [seconds(now - view.since)];
  const steps = view.done + view.running.size;
  if (steps > 0) {
    parts.push(`${view.done} ${view.done === 1 ? "step" : "steps"} done`);
    if (view.cached > 0) parts.push(`${view.cached} cached`);
    if (view.running.size > 0) parts.push(`${view.running.size} running`);
  }
  if (view.moved.size > 0) parts.push(`${view.moved.size} ${view.moved.size === 1 ? "blob" : "blobs"}`);
  return [{ text: parts.join(" · "), style: "dim" }];
}
