/** Long synchronous work that others are not kept waiting by: it is left after a while, and gone on with later. */

import { CooperError } from "./errors.ts";

/** Yields wherever it may be left. */
export type Work<T> = Generator<undefined, T, undefined>;

/** Milliseconds until others have their turn: somebody who cancels is heard, and progress is shown. */
const TURN = 50;

/** Does it without a pause. */
export function atOnce<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Does it a turn at a time, each inside `around`. Throws `cancelled` once the signal is aborted; what the work has open is
 * closed then.
 */
export async function inTurns<T>(
  work: Work<T>,
  signal?: AbortSignal,
  around: <R>(turn: () => R) => R = (turn) => turn(),
): Promise<T> {
  for (;;) {
    const step = around(() => takeTurn(work));
    if (step.done === true) return step.value;
    await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted !== true) continue;
    work.return(undefined as never);
    throw new CooperError("cancelled", "Reading and copying files was cancelled", { cause: signal.reason });
  }
}

function takeTurn<T>(work: Work<T>): IteratorResult<undefined, T> {
  const end = performance.now() + TURN;
  for (;;) {
    const step = work.next();
    if (step.done === true || performance.now() >= end) return step;
  }
}
