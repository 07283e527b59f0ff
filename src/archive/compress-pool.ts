/** The threads that compress, one pool for all streams of the process; they live until it ends. */
import { availableParallelism } from "node:os";
import { CooperError } from "../base/errors.ts";
import { type Block, type BlockFormat, bytesOf, compressBlock } from "./compress-block.ts";
import type { BlockRequest, WorkerMessage } from "./compress-worker.ts";
import { workerFile } from "../base/worker-file.ts";

interface Job {
  request: BlockRequest;
  resolve(compressed: Uint8Array<ArrayBuffer>[]): void;
  reject(error: unknown): void;
}

/** More would not be fed fast enough by one thread that reads and hashes. */
const MOST_WORKERS = 8;

const idle: Worker[] = [];
const waiting: Job[] = [];
let started = 0;
let running = 0;

/** How many blocks of one stream are worth having under way. */
export function blocksAhead(): number {
  return workerCount() + 1;
}

function workerCount(): number {
  const cores = availableParallelism();
  return cores === 1 ? 0 : Math.min(cores, MOST_WORKERS);
}

/** Starts the workers unless they run; until the first one is ready, blocks are compressed by who asks. */
export function startWorkers(): void {
  while (started < workerCount()) {
    started++;
    startWorker();
  }
}

/** Compresses a block on a worker, or here where there is none. */
export async function compressBlockSomewhere(
  block: Block,
  format: BlockFormat,
): Promise<Uint8Array<ArrayBuffer>[]> {
  if (running === 0) {
    const compressed = compressBlock(bytesOf(block), format);
    // Without a turn of the event loop no worker could say that it is ready.
    await new Promise((resolve) => setImmediate(resolve));
    return compressed;
  }
  return await new Promise((resolve, reject) => {
    waiting.push({ request: { block, format }, resolve, reject });
    giveWork();
  });
}

function giveWork(): void {
  while (idle.length > 0 && waiting.length > 0) {
    const worker = idle.pop()!;
    const { request, resolve, reject } = waiting.shift()!;
    // The process must not end while it waits for a block, and may while there is none.
    worker.ref();
    worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => {
      worker.unref();
      idle.push(worker);
      if (data.kind === "done") resolve(data.compressed);
      else if (data.kind === "failed")
        reject(new CooperError("internal", `A block could not be compressed: ${data.reason}`));
      giveWork();
    };
    worker.onerror = (event) => {
      running--;
      reject(new CooperError("internal", `A compressing thread ended: ${event.message}`));
      if (running === 0) failAll();
    };
    worker.postMessage(request);
  }
}

function failAll(): void {
  for (const job of waiting.splice(0))
    job.reject(new CooperError("internal", "All compressing threads have ended"));
}

function startWorker(): void {
  const worker = new Worker(workerFile("archive/compress-worker.ts"));
  worker.unref();
  worker.onerror = () => {}; // One that does not start is done without.
  worker.onmessage = () => {
    running++;
    idle.push(worker);
  };
}
