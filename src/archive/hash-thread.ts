/** The thread that hashes long streams while others read and compress them, one for all streams of the process. */
import { availableParallelism } from "node:os";
import { type Digest, Digester } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { type Block, bytesOf } from "./compress-block.ts";
import type { HashReply, HashRequest } from "./hash-worker.ts";
import { workerFile } from "../base/worker-file.ts";

let started: Promise<HashThread | undefined> | undefined;
let streams = 0;

/** Hashes one stream, block by block, on the thread, or here where there is none. */
export class BlockHasher {
  readonly #thread = hashThread();
  readonly #stream = streams++;
  readonly #here = new Digester();

  /** Resolves when the block is hashed and its memory free. Blocks are hashed in the order of the calls. */
  async update(block: Block): Promise<void> {
    const there = await this.#thread;
    if (there === undefined) this.#here.update(bytesOf(block));
    else await there.ask({ stream: this.#stream, block });
  }

  /** Ends the hash; no update may follow. */
  async digest(): Promise<Digest> {
    const there = await this.#thread;
    if (there === undefined) return this.#here.digest();
    return (await there.ask({ stream: this.#stream })).digest!;
  }
}

interface Question {
  resolve(reply: HashReply): void;
  reject(error: CooperError): void;
}

class HashThread {
  readonly #worker: Worker;
  readonly #asked: Question[] = [];
  #end: CooperError | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<HashReply>) => {
      this.#asked.shift()!.resolve(data);
      // The process must not end while it waits for an answer, and may while it waits for none.
      if (this.#asked.length === 0) worker.unref();
    };
    worker.onerror = (event) => {
      this.#end = new CooperError("internal", `The hashing thread ended: ${event.message}`);
      for (const { reject } of this.#asked.splice(0)) reject(this.#end);
    };
  }

  ask(request: HashRequest): Promise<HashReply> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) {
        reject(this.#end);
        return;
      }
      this.#asked.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(request);
    });
  }
}

function hashThread(): Promise<HashThread | undefined> {
  started ??= startThread();
  return started;
}

/** Undefined where one core does everything, or where no thread can be started. */
async function startThread(): Promise<HashThread | undefined> {
  if (availableParallelism() === 1) return undefined;
  const worker = new Worker(workerFile("archive/hash-worker.ts"));
  return await new Promise((resolve) => {
    worker.onmessage = () => {
      worker.unref();
      resolve(new HashThread(worker));
    };
    worker.onerror = () => resolve(undefined);
  });
}
