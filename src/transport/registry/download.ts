/** A blob as a stream that goes on where a dropped connection ended it (RFC 9110, Range). */
import { CooperError } from "../../base/errors.ts";
import type { Descriptor } from "../../oci/types.ts";
import { anySignal } from "./exchange.ts";
import { Retries } from "./retry.ts";
import type { Session } from "./session.ts";

/** Milliseconds without a byte after which a connection counts as dropped. */
const STALL_TIME = 60_000;

/**
 * Asks for a blob; the caller verifies what comes. Throws `not-found` and the like before the first byte, and
 * `cancelled` as soon as the signal is aborted.
 */
export async function downloadBlob(
  session: Session,
  blob: Descriptor,
  signal?: AbortSignal,
): Promise<AsyncGenerator<Uint8Array, void, undefined>> {
  const wanted = { session, blob, doing: `Cannot read blob ${blob.digest}`, signal };
  return stream(wanted, await request(wanted, 0));
}

interface Wanted {
  session: Session;
  blob: Descriptor;
  doing: string;
  signal: AbortSignal | undefined;
}

interface Part {
  response: Response;
  /** Bytes of the blob before the answer's first one. */
  offset: number;
  abort: AbortController;
}

async function request({ session, blob, doing, signal }: Wanted, offset: number): Promise<Part> {
  const abort = new AbortController();
  const response = await session.send({
    method: "GET",
    to: `blobs/${blob.digest}`,
    doing,
    accept: offset === 0 ? [200] : [200, 206],
    headers: offset === 0 ? {} : { Range: `bytes=${offset}-` },
    signal: signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]),
  });
  if (response.status === 200) return { response, offset: 0, abort };
  const range = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
  if (range === null || Number(range[1]) !== offset) {
    abort.abort();
    throw new CooperError(
      "invalid",
      `${session.describe(doing)}: asked for bytes from ${offset}, it answered with others`,
    );
  }
  return { response, offset, abort };
}

async function* stream(wanted: Wanted, first: Part): AsyncGenerator<Uint8Array, void, undefined> {
  const { session, blob, doing } = wanted;
  const signal = anySignal(session.settings.signal, wanted.signal);
  const retries = new Retries({ ...session.settings, signal });
  let at = 0;
  let part: Part | undefined = first;
  try {
    for (;;) {
      try {
        part ??= await request(wanted, at);
        for await (const chunk of pieces(session, part, at)) {
          yield chunk;
          at += chunk.length;
          retries.reset();
        }
        if (at >= blob.size) return;
        throw session.failure(doing, { code: "ECONNRESET" });
      } catch (error) {
        part?.abort.abort();
        part = undefined;
        if (signal?.aborted)
          throw new CooperError("cancelled", `${session.describe(doing)}: cancelled`, { cause: error });
        await retries.wait(error instanceof CooperError ? error : session.failure(doing, error));
      }
    }
  } finally {
    part?.abort.abort();
  }
}

/** The answer's bytes from `at` on; where the registry knows no ranges, those before are read and left out. */
async function* pieces(
  session: Session,
  { response, offset, abort }: Part,
  at: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (response.body === null) return;
  let skip = at - offset;
  const reader = response.body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stalled = Promise.withResolvers<never>();
  stalled.promise.catch(() => {});
  try {
    for (;;) {
      timer = setTimeout(
        () => stalled.reject(session.failure("A transfer", { code: "ETIMEDOUT" })),
        STALL_TIME,
      );
      const { done, value } = await Promise.race([reader.read(), stalled.promise]);
      clearTimeout(timer);
      if (done) return;
      if (skip >= value.length) {
        skip -= value.length;
        continue;
      }
      yield skip === 0 ? value : value.subarray(skip);
      skip = 0;
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
    reader.cancel().catch(() => {});
  }
}
