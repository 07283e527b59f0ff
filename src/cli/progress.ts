/** Lines about images on their way, in Buildah's words, on stderr. */
import type { BuildEvent, EventSink } from "../index.ts";
import { writeErr } from "./output.ts";

/** A sink for `from`, `pull`, `push` and `commit`. With `quiet` it shows warnings only; without `warnings` not even these. */
export function progressSink(options: { quiet: boolean; warnings: boolean }): EventSink {
  const begun = new Set<string>();
  return (event) => {
    if (event.type === "warning") {
      if (options.warnings) writeErr(warningLine(event));
    } else if (event.type === "blob" && !options.quiet) {
      const line = blobLine(event, begun);
      if (line !== undefined) writeErr(line);
    }
  };
}

/** `Warning: …`, with the Dockerfile's line where there is one. */
export function warningLine(event: Extract<BuildEvent, { type: "warning" }>): string {
  const place = event.location === undefined ? "" : ` (${event.location.file}:${event.location.line})`;
  const rule = event.rule === undefined ? "" : `${event.rule}: `;
  return `Warning: ${rule}${event.message}${place}\n`;
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
