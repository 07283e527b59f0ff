/** How a command's progress is shown, on stderr: as a view on a terminal, else as lines in Buildah's words, or as data. */
import { CooperError } from "../base/errors.ts";
import { isTerminal, terminalSize } from "../base/terminals.ts";
import type { BuildEvent, EventSink } from "../index.ts";
import { writeErr } from "./output.ts";
import { plainText } from "./plain-text.ts";

export interface Progress extends Disposable {
  onEvent: EventSink;
  /** Ends the view, or what is left of unfinished lines. May be called again. */
  end(): void;
}

export const PROGRESS_MODES = ["auto", "plain", "tty", "quiet", "rawjson"] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** Throws `usage` for what is none. */
export function parseProgress(text: string): ProgressMode {
  const mode = PROGRESS_MODES.find((known) => known === text);
  if (mode !== undefined) return mode;
  throw new CooperError("usage", `Unknown kind of progress ${JSON.stringify(text)}`, {
    hint: `use ${PROGRESS_MODES.join(", ")}`,
  });
}

/** As COOPER_PROGRESS has it: a wish for all commands, which those without a terminal cannot meet. */
export function wishedProgress(text: string | undefined): ProgressMode {
  const mode = parseProgress(text || "auto");
  return mode === "tty" && !isTerminal(2) ? "auto" : mode;
}

/** What `auto` means here. CI services have terminals too, but nobody who looks at them. */
export function settledMode(mode: ProgressMode): Exclude<ProgressMode, "auto"> {
  if (mode === "auto") return canDraw() && !isCi() ? "tty" : "plain";
  if (mode === "tty" && !isTerminal(2)) {
    throw new CooperError("usage", "--progress=tty needs a terminal on standard error", {
      hint: "use --progress=plain, or auto",
    });
  }
  return mode;
}

function canDraw(): boolean {
  const term = process.env.TERM;
  return term !== undefined && term !== "" && term !== "dumb" && isTerminal(2);
}

function isCi(): boolean {
  const ci = process.env.CI ?? "";
  return ci !== "" && ci !== "0" && ci !== "false";
}

/** https://no-color.org */
export function hasColour(): boolean {
  return !process.env.NO_COLOR && process.env.TERM !== "dumb" && isTerminal(2);
}

/** The view of a terminal on standard error. */
export async function openTerminal(options: { warnings: boolean }): Promise<Progress> {
  const { terminalProgress } = await import("./terminal/terminal-progress.ts");
  const terminal = {
    write: writeErr,
    size: () => terminalSize(2) ?? { columns: 80, rows: 24 },
    colour: hasColour(),
  };
  return terminalProgress(terminal, options);
}

/** Progress of `from`, `pull`, `push`, `commit` and the like; with `quiet` warnings alone, without `warnings` not even these. */
export async function openProgress(options: { quiet: boolean; warnings: boolean }): Promise<Progress> {
  const mode = options.quiet ? "quiet" : settledMode(wishedProgress(process.env.COOPER_PROGRESS));
  if (mode === "tty") return openTerminal(options);
  if (mode === "rawjson") return (await import("./raw-json.ts")).rawJson(options);
  return blobLines({ ...options, quiet: mode === "quiet" });
}

function blobLines(options: { quiet: boolean; warnings: boolean }): Progress {
  const begun = new Set<string>();
  return {
    onEvent: (event) => {
      if (event.type === "warning") {
        if (options.warnings) writeErr(warningLine(event));
      } else if (event.type === "output" && !options.quiet) {
        writeErr(event.data);
      } else if (event.type === "blob" && !options.quiet) {
        const line = blobLine(event, begun);
        if (line !== undefined) writeErr(line);
      }
    },
    end: () => {},
    [Symbol.dispose]: () => {},
  };
}

/** `Warning: …`, with the Dockerfile's line where there is one. */
export function warningLine(event: Extract<BuildEvent, { type: "warning" }>): string {
  const place = event.location === undefined ? "" : ` (${event.location.file}:${event.location.line})`;
  const rule = event.rule === undefined ? "" : `${event.rule}: `;
  return `Warning: ${plainText(`${rule}${event.message}${place}`)}\n`;
}

/** One line for each blob, when it begins or is found to be there. */
export function blobLine(
  event: Extract<BuildEvent, { type: "blob" }>,
  begun: Set<string>,
): string | undefined {
  if (begun.has(event.digest)) return undefined;
  begun.add(event.digest);
  return `Copying blob ${event.digest}${event.skipped ? " skipped: already exists" : ""}\n`;
}

/** Whether warnings are to be shown at this log level. */
export function showsWarnings(logLevel: string): boolean {
  return !["error", "fatal", "panic"].includes(logLevel);
}

/** For commands that have no progress: what is tried again, on lines of their own. */
export function warningsTo(logLevel: string): EventSink {
  return (event) => {
    if (event.type === "warning" && showsWarnings(logLevel)) writeErr(warningLine(event));
  };
}
