/** A build as plain lines: Buildah's `STEP n/m: …`, the commands' output, `COMMIT name`. */
import type { BuildEvent, StepLabel } from "../index.ts";
import { plainText } from "./plain-text.ts";
import { blobLine, type Progress, warningLine } from "./progress.ts";
import { formatSize } from "./units.ts";

/**
 * Renders to `write`. While one step runs, its output passes through as it comes; while several do, it is cut into
 * lines, each with its stage's name before it. The first stage without a name is not named. Of a build for several platforms
 * every line says its platform, as Buildah's do.
 */
export function plainRenderer(
  write: (data: string | Uint8Array) => void,
  options: { warnings: boolean },
): Progress {
  const state: State = { write, running: new Map(), begun: new Set(), atLineStart: true };
  const end = () => {
    for (const running of state.running.values()) flush(running, state);
    freshLine(state);
  };
  return { onEvent: (event) => render(event, state, options), end, [Symbol.dispose]: end };
}

interface Running {
  step: StepLabel;
  /** Unfinished lines, by stream. */
  partial: { stdout: Uint8Array; stderr: Uint8Array };
}

interface State {
  write: (data: string | Uint8Array) => void;
  running: Map<string, Running>;
  begun: Set<string>;
  /** Whether the last byte written ended a line. */
  atLineStart: boolean;
}

const NOTHING = new Uint8Array();
const NEWLINE = 10;

function render(event: BuildEvent, state: State, options: { warnings: boolean }): void {
  if (event.type === "output") {
    output(event, state);
    return;
  }
  if (event.type === "step-start") {
    state.running.set(keyOf(event.step), { step: event.step, partial: { stdout: NOTHING, stderr: NOTHING } });
  } else if (event.type === "step-done" || event.type === "step-failed") {
    const running = state.running.get(keyOf(event.step));
    if (running !== undefined) flush(running, state);
    state.running.delete(keyOf(event.step));
  }
  const text = lineOf(event, state, options);
  if (text !== undefined) line(state, text);
}

/** What an event says in one line, if it says anything. */
function lineOf(
  event: Exclude<BuildEvent, { type: "output" }>,
  state: State,
  options: { warnings: boolean },
): string | undefined {
  switch (event.type) {
    case "step-start": {
      const { index, total, text } = event.step;
      return `${prefixOf(event.step)}STEP ${index}/${total}: ${oneLine(text)}`;
    }
    case "step-failed":
    case "commit-progress":
    case "debug-shell":
      return undefined;
    case "step-done":
      return event.cached ? `${prefixOf(event.step)}--> Using cache${fromPlace(event.from)}` : undefined;
    case "cache-exported":
      return `--> Cache exported to ${event.place}: ${event.written} of ${event.entries} entries written, ${formatSize(event.bytes)} sent`;
    case "commit-start":
      return `${platformPrefix(event)}COMMIT${event.name === undefined ? "" : ` ${event.name}`}`;
    case "commit-done":
      return `${platformPrefix(event)}--> ${event.imageId.slice(0, 12)}`;
    case "blob":
      return blobLine(event, state.begun)?.trimEnd();
    case "warning":
      return options.warnings ? warningLine(event).trimEnd() : undefined;
  }
}

const fromPlace = (place: string | undefined) => (place === undefined ? "" : ` from ${place}`);

function keyOf(step: StepLabel): string {
  return `${step.platform ?? ""}\0${step.stage}\0${step.index}`;
}

function prefixOf(step: StepLabel): string {
  const stage = step.stage === "0" || step.stage === "" ? "" : `[${step.stage}] `;
  return `${platformPrefix(step)}${stage}`;
}

const platformPrefix = ({ platform }: { platform?: string }) =>
  platform === undefined ? "" : `[${platform}] `;

/** An instruction may span lines (continuations, heredocs): its first line stands for it. */
function oneLine(text: string): string {
  const [first = "", ...rest] = text.split("\n");
  return rest.some((part) => part.trim() !== "") ? `${first.trimEnd()} …` : first;
}

function output(event: Extract<BuildEvent, { type: "output" }>, state: State): void {
  const running = event.step === undefined ? undefined : state.running.get(keyOf(event.step));
  if (running === undefined || state.running.size === 1) {
    if (running !== undefined) flush(running, state);
    emit(state, event.data);
    return;
  }
  const pending = Buffer.concat([running.partial[event.stream], event.data]);
  const end = pending.lastIndexOf(NEWLINE) + 1;
  running.partial[event.stream] = pending.subarray(end);
  if (end > 0) emitPrefixed(running.step, pending.subarray(0, end), state);
}

function emitPrefixed(step: StepLabel, data: Uint8Array, state: State): void {
  freshLine(state);
  const prefix = Buffer.from(prefixOf(step));
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const next = data.indexOf(NEWLINE, at);
    const end = next === -1 ? data.length : next + 1;
    pieces.push(prefix, data.subarray(at, end));
    at = end;
  }
  emit(state, Buffer.concat(pieces));
}

function flush(running: Running, state: State): void {
  for (const stream of ["stdout", "stderr"] as const) {
    const rest = running.partial[stream];
    running.partial[stream] = NOTHING;
    if (rest.length > 0) emitPrefixed(running.step, rest, state);
  }
}

/** A line of ours: what it quotes of a Dockerfile or a registry does nothing to a terminal. */
function line(state: State, text: string): void {
  freshLine(state);
  emit(state, `${plainText(text)}\n`);
}

/** A command's last line may lack its newline: the next line of ours begins on a new one. */
function freshLine(state: State): void {
  if (!state.atLineStart) emit(state, "\n");
}

function emit(state: State, data: string | Uint8Array): void {
  if (data.length === 0) return;
  state.write(data);
  state.atLineStart = typeof data === "string" ? data.endsWith("\n") : data[data.length - 1] === NEWLINE;
}
