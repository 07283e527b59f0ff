/** What a terminal shows of a build, a pull or a push: events come in, lines that are final come out, the rest is in flight. */
import type { BuildEvent, StepLabel } from "../../index.ts";
import { formatSize } from "../units.ts";
import { OutputTail } from "./output-tail.ts";
import type { Line, Span, Style } from "./styled-line.ts";
import { harmless } from "./terminal-text.ts";

export interface RunningStep {
  step: StepLabel;
  /** Milliseconds, as given to accept(). */
  since: number;
  tail: OutputTail;
}

export interface Transfer {
  action: "pull" | "push";
  digest: string;
  since: number;
  done: number;
  total: number | undefined;
}

export interface BuildView {
  since: number;
  running: Map<string, RunningStep>;
  transfers: Map<string, Transfer>;
  /** Digests of blobs that are through. */
  moved: Set<string>;
  commit: { name: string | undefined; platform: string | undefined; since: number; done: number } | undefined;
  done: number;
  cached: number;
}

export function newView(now: number): BuildView {
  return {
    since: now,
    running: new Map(),
    transfers: new Map(),
    moved: new Set(),
    commit: undefined,
    done: 0,
    cached: 0,
  };
}

/** Brings the view up to date; returns the lines that will not change any more. */
export function accept(view: BuildView, event: BuildEvent, now: number): Line[] {
  switch (event.type) {
    case "step-start":
      view.running.set(keyOf(event.step), { step: event.step, since: now, tail: new OutputTail() });
      return [];
    case "output":
      if (event.step !== undefined) view.running.get(keyOf(event.step))?.tail.add(event.stream, event.data);
      return [];
    case "step-done":
      return stepDone(view, event);
    case "step-failed":
      return event.cancelled ? stepCancelled(view, event) : stepFailed(view, event.step, now);
    case "commit-start":
      view.commit = { name: event.name, platform: event.platform, since: now, done: 0 };
      return [];
    case "commit-progress":
      if (view.commit !== undefined) view.commit.done = event.done;
      return [];
    case "commit-done":
      return commitDone(view, event, now);
    case "blob":
      return blob(view, event, now);
    case "cache-exported":
      return [cacheExported(event)];
    case "warning":
      return [warning(event)];
    case "debug-shell":
      return event.open ? stepFailed(view, event.step, now) : [];
  }
}

function keyOf(step: StepLabel): string {
  return `${step.platform ?? ""}\0${step.stage}\0${step.index}`;
}

function stepDone(view: BuildView, event: Extract<BuildEvent, { type: "step-done" }>): Line[] {
  view.running.delete(keyOf(event.step));
  view.done++;
  if (event.cached) view.cached++;
  const mark: Span = { text: "✓", style: "green" };
  const how = event.from === undefined ? "cached" : "remote";
  return [stepLine(mark, event.cached ? how : seconds(event.milliseconds), event.step, "cyan")];
}

function cacheExported(event: Extract<BuildEvent, { type: "cache-exported" }>): Line {
  const { place, written, entries, bytes } = event;
  return [
    { text: "✓", style: "green" },
    { text: `          `, style: "dim" },
    { text: "cache", style: "cyan" },
    { text: ` ${harmless(place)}: ${written} of ${entries} entries written, ${formatSize(bytes)} sent` },
  ];
}

/** Leaves the end of what the step wrote: once, be it before its debug shell or after. */
function stepFailed(view: BuildView, step: StepLabel, now: number): Line[] {
  const running = view.running.get(keyOf(step));
  if (running === undefined) return [];
  view.running.delete(keyOf(step));
  return [
    stepLine({ text: "✗", style: "red" }, seconds(now - running.since), step, "red"),
    ...running.tail.last(20).map((text): Line => [{ text: `  │ ${text}` }]),
  ];
}

/** Of a step that was ended for another's failure no output matters. */
function stepCancelled(
  view: BuildView,
  { step, milliseconds }: Extract<BuildEvent, { type: "step-failed" }>,
): Line[] {
  view.running.delete(keyOf(step));
  return [stepLine({ text: "-", style: "yellow" }, seconds(milliseconds), step)];
}

function commitDone(
  view: BuildView,
  { name, platform, imageId }: Extract<BuildEvent, { type: "commit-done" }>,
  now: number,
): Line[] {
  const since = view.commit?.since ?? now;
  view.commit = undefined;
  return [
    [
      { text: "✓", style: "green" },
      { text: ` ${seconds(now - since).padStart(7)}  `, style: "dim" },
      { text: "commit", style: "cyan" },
      { text: ` ${[imageId.slice(0, 12), ...commitNames({ platform, name })].join(" ")}` },
    ],
  ];
}

/** What a commit is for. */
export function commitNames({
  platform,
  name,
}: {
  platform?: string | undefined;
  name: string | undefined;
}): string[] {
  return [platform, name].flatMap((part) => (part === undefined ? [] : [harmless(part)]));
}

function blob(view: BuildView, event: Extract<BuildEvent, { type: "blob" }>, now: number): Line[] {
  const { action, digest, done, total, skipped = false } = event;
  if (view.moved.has(digest)) return [];
  const known = view.transfers.get(digest);
  const since = known?.since ?? now;
  const isThrough = skipped || (total !== undefined && done >= total);
  if (!isThrough) {
    view.transfers.set(digest, { action, digest, since, done, total });
    return [];
  }
  view.transfers.delete(digest);
  view.moved.add(digest);
  const what = skipped ? "exists" : seconds(now - since);
  return [
    [
      { text: "✓", style: "green" },
      { text: ` ${what.padStart(7)}  `, style: "dim" },
      { text: action, style: "cyan" },
      { text: ` ${shortDigest(digest)}` },
      { text: total === undefined ? "" : `  ${formatSize(total)}`, style: "dim" },
    ],
  ];
}

function warning({ message, rule, location }: Extract<BuildEvent, { type: "warning" }>): Line {
  const place = location === undefined ? "" : ` (${location.file}:${location.line})`;
  return [
    { text: "!", style: "yellow" },
    { text: ` ${harmless(`${rule === undefined ? "" : `${rule}: `}${message}${place}`)}` },
  ];
}

/** `[linux/arm64 build 3/7]`; a stage without a name goes by its number, and the first one by nothing. */
function placeOf({ stage, platform, index, total }: StepLabel): string {
  const name = /^\d+$/.test(stage) ? `stage-${stage}` : harmless(stage);
  const names = [platform ?? "", stage === "0" ? "" : name].filter((part) => part !== "");
  return `[${[...names, `${index}/${total}`].join(" ")}]`;
}

/** `✓    1.2s  [build 3/7] RUN make`: the left columns have one width, so that texts stand below each other. */
export function stepLine(mark: Span, time: string, step: StepLabel, style?: Style): Line {
  const [first = "", ...rest] = step.text.split("\n");
  const more = rest.some((part) => part.trim() !== "") ? " …" : "";
  return [
    mark,
    { text: ` ${time.padStart(7)}  `, style: "dim" },
    { text: placeOf(step), ...(style === undefined ? {} : { style }) },
    { text: ` ${harmless(first.trimEnd())}${more}` },
  ];
}

export function shortDigest(digest: string): string {
  return harmless(digest).slice(0, "sha256:".length + 12);
}

/** `0.3s`, `59.9s`, `1m05s`, `2h03m`. */
export function seconds(milliseconds: number): string {
  const tenths = Math.max(0, Math.floor(milliseconds / 100));
  if (tenths < 600) return `${Math.floor(tenths / 10)}.${tenths % 10}s`;
  const minutes = Math.floor(tenths / 600);
  const two = (number: number) => String(number).padStart(2, "0");
  if (minutes < 60) return `${minutes}m${two(Math.floor(tenths / 10) % 60)}s`;
  return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
}
