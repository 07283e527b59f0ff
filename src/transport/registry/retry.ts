/** Which failures pass by themselves, and how long to wait for that. */
import { CooperError, messageOf } from "../../base/errors.ts";
import type { RegistrySettings } from "./settings.ts";

const DEFAULT_RETRIES = 3;
const DEFAULT_DELAY = 1000;
const LONGEST_DELAY = 30_000;
/** A registry that wants a longer pause than this is given up. */
const LONGEST_WAIT = 120_000;

interface Passing {
  /** Milliseconds that the server asks to wait. */
  retryAfter: number | undefined;
}

const passing = new WeakMap<CooperError, Passing>();

/** Marks a failure as one that may be gone at the next try. */
export function markPassing(error: CooperError, retryAfter?: number): CooperError {
  passing.set(error, { retryAfter });
  return error;
}

export function isPassing(error: unknown): boolean {
  return error instanceof CooperError && passing.has(error);
}

/** Milliseconds that a Retry-After header means (RFC 9110, 10.2.3: seconds or a date). */
export function parseRetryAfter(value: string | null, now = Date.now()): number | undefined {
  if (value === null) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Counts the failures of one piece of work, and waits between its tries. */
export class Retries {
  readonly #limit: number;
  readonly #delay: number;
  readonly #settings: RegistrySettings;
  #failures = 0;

  constructor(settings: RegistrySettings) {
    this.#limit = settings.retries ?? DEFAULT_RETRIES;
    this.#delay = settings.retryDelay ?? DEFAULT_DELAY;
    this.#settings = settings;
  }

  /** Something went forward: the next failure counts as the first. */
  reset(): void {
    this.#failures = 0;
  }

  /** Waits if the failure may pass and there are tries left; otherwise throws it. */
  async wait(error: unknown): Promise<void> {
    const found = error instanceof CooperError ? passing.get(error) : undefined;
    if (found === undefined || this.#failures >= this.#limit) throw error;
    const wanted = found.retryAfter;
    if (wanted !== undefined && wanted > LONGEST_WAIT) {
      throw new CooperError((error as CooperError).code, messageOf(error), {
        hint: `the registry asks to wait ${Math.ceil(wanted / 1000)} seconds before the next try`,
        cause: error,
      });
    }
    const backoff = Math.min(LONGEST_DELAY, this.#delay * 2 ** this.#failures);
    // Clients that failed together should not come back together.
    const pause = Math.max(wanted ?? 0, backoff * (1 + Math.random() / 4));
    this.#failures++;
    this.#settings.onWarning?.(
      `${messageOf(error)}; try ${this.#failures + 1} of ${this.#limit + 1} in ${(pause / 1000).toFixed(1)} s`,
    );
    await sleep(pause, this.#settings.signal);
  }
}

/** Repeats work while it fails in ways that pass. */
export async function withRetries<T>(settings: RegistrySettings, work: () => Promise<T>): Promise<T> {
  const retries = new Retries(settings);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      await retries.wait(error);
    }
  }
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = () => {
      clearTimeout(timer);
      reject(new CooperError("cancelled", "Waiting for a registry was cancelled", { cause: signal?.reason }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", fail);
      resolve();
    }, milliseconds);
    if (signal?.aborted) fail();
    else signal?.addEventListener("abort", fail, { once: true });
  });
}
