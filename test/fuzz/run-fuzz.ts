/** Runs one target of the fuzzer in a thread of its own, with an eye on it. */

export interface FuzzJob {
  target: string;
  seed: number;
  milliseconds: number;
  executions: number;
  /** Two counters, then the input that is being read. */
  shared: SharedArrayBuffer;
}

export interface Crash {
  /** base64 */
  input: string;
  problem: string;
}

export interface FuzzMessage {
  executions: number;
  /** Inputs that ended with a CooperError. */
  refused: number;
  crashes: Crash[];
}

/** Milliseconds without an end of one input that are called a hang. */
const HANG = 20_000;
const LARGEST = 256 * 1024;

/** Fuzzes for a time, or a number of inputs, whichever ends first. The same seed gives the same inputs. */
export async function runFuzz(job: Omit<FuzzJob, "shared">): Promise<FuzzMessage> {
  const shared = new SharedArrayBuffer(8 + LARGEST);
  const beat = new Int32Array(shared, 0, 2);
  const worker = new Worker(new URL("fuzz-worker.ts", import.meta.url).href);
  let timer: Timer | undefined;
  try {
    return await new Promise<FuzzMessage>((resolve, reject) => {
      worker.onmessage = (event: MessageEvent<FuzzMessage>) => resolve(event.data);
      worker.onerror = (event) => reject(new Error(`${job.target}: ${event.message}`));
      let last = -1;
      let since = Date.now();
      timer = setInterval(() => {
        const now = Atomics.load(beat, 0);
        if (now !== last) {
          last = now;
          since = Date.now();
        } else if (now > 0 && Date.now() - since > HANG) {
          const input = Buffer.from(shared.slice(8, 8 + Atomics.load(beat, 1))).toString("base64");
          resolve({ executions: now, refused: 0, crashes: [{ input, problem: "it does not end" }] });
        }
      }, 500);
      worker.postMessage({ ...job, shared } satisfies FuzzJob);
    });
  } finally {
    clearInterval(timer);
    worker.terminate();
  }
}
