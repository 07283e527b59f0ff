/** SIGINT, SIGTERM and SIGHUP: the first one cancels and lets the command clean up, the second one ends the process. */
import { CooperError } from "../base/errors.ts";

const CAUGHT = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export interface Cancellation {
  signal: AbortSignal;
  /** Exit status that the received signal calls for, or undefined when none came. */
  status(): number | undefined;
}

/** Catches the signals for the rest of the process's life. */
export function catchSignals(): Cancellation {
  const controller = new AbortController();
  let status: number | undefined;
  for (const [name, number] of Object.entries(CAUGHT)) {
    process.on(name, () => {
      if (status !== undefined) process.exit(status);
      status = 128 + number;
      controller.abort(new CooperError("cancelled", `Stopped by ${name}`));
    });
  }
  return { signal: controller.signal, status: () => status };
}
