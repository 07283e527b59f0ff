/** Progress for programs: one event in each line on stderr, in the shape that the API gives it (BuildEvent). */
import type { BuildEvent } from "../index.ts";
import { CooperError, messageOf } from "../base/errors.ts";
import { writeErr } from "./output.ts";
import type { Progress } from "./progress.ts";

/** Each line is a BuildEvent with `time`, in ISO 8601; the bytes of `output` are in `data` as base64. */
export function rawJson(options: { warnings: boolean }): Progress {
  return {
    onEvent: (event) => {
      if (event.type !== "warning" || options.warnings) writeErr(`${JSON.stringify(plain(event))}\n`);
    },
    end: () => {},
    [Symbol.dispose]: () => {},
  };
}

function plain(event: BuildEvent): object {
  const time = new Date().toISOString();
  if (event.type !== "output") return { time, ...event };
  return { time, ...event, data: Buffer.from(event.data).toString("base64") };
}

/** The line that ends the stream when the command fails: what `Error: …` says elsewhere. */
export function errorJson(error: unknown): string {
  return `${JSON.stringify({ time: new Date().toISOString(), type: "error", ...errorFields(error) })}\n`;
}

/** All that an error says. */
export function errorFields(error: unknown): object {
  const known = error instanceof CooperError ? error : new CooperError("internal", messageOf(error));
  const { code, message, hint, location, exitCode, output, log } = known;
  return { code, message, hint, location, exitCode, output, log };
}
