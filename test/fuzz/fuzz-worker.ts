// The thread that fuzzes one target; run-fuzz.ts watches it, since a thread that hangs cannot tell.
import { CooperError } from "../../src/base/errors.ts";
import type { FuzzJob, FuzzMessage } from "./run-fuzz.ts";
import { mutate, Random } from "./mutate.ts";
import { TARGETS } from "./targets.ts";

declare const self: Worker;

/** Crashes that are kept: further ones are mostly the same. */
const MOST_CRASHES = 5;
/** Milliseconds of the processor that one input may take, however slow the machine is. */
const SLOW = 1_000;
const MEMORY = 1 << 30;

self.onmessage = (event: MessageEvent<FuzzJob>) => void fuzz(event.data);

async function fuzz({ target: name, seed, milliseconds, executions: most, shared }: FuzzJob): Promise<void> {
  const target = TARGETS[name]!();
  const random = new Random(seed);
  const beat = new Int32Array(shared, 0, 2);
  const current = new Uint8Array(shared, 8);
  const crashes: FuzzMessage["crashes"] = [];
  const fresh = target.make?.bind(target) ?? mutate;
  const memory = process.memoryUsage.rss();
  const end = Date.now() + milliseconds;
  let executions = 0;
  let refused = 0;
  for (; executions < most && Date.now() < end && crashes.length < MOST_CRASHES; executions++) {
    const input = target.corpus[executions] ?? fresh(random, target.corpus, target.tokens);
    current.set(input.subarray(0, current.length));
    Atomics.store(beat, 1, input.length);
    Atomics.add(beat, 0, 1);
    const before = process.cpuUsage();
    try {
      await target.run(input);
    } catch (error) {
      if (error instanceof CooperError && error.code !== "internal") refused++;
      else crashes.push({ input: Buffer.from(input).toString("base64"), problem: describe(error) });
    }
    const { user } = process.cpuUsage(before);
    if (user / 1000 > SLOW)
      crashes.push({ input: Buffer.from(input).toString("base64"), problem: `it took ${user / 1000} ms` });
    if (executions % 1000 === 999 && process.memoryUsage.rss() - memory > MEMORY)
      crashes.push({ input: Buffer.from(input).toString("base64"), problem: "memory grows" });
  }
  target.close?.();
  postMessage({ executions, refused, crashes } satisfies FuzzMessage);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
