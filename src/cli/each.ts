/** Doing the same for several things: a failure of one does not keep the others from being done. */
import { CooperError } from "../base/errors.ts";
import { writeErr } from "./output.ts";
import { renderError } from "./render-error.ts";

/** Works through the items in order; the last failure is thrown at the end, earlier ones are shown as they happen. */
export async function forEachItem<T>(
  items: readonly T[],
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let failure: unknown;
  for (const item of items) {
    signal.throwIfAborted();
    try {
      await work(item);
    } catch (error) {
      if (error instanceof CooperError && error.code === "cancelled") throw error;
      if (failure !== undefined) writeErr(renderError(failure));
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
}
