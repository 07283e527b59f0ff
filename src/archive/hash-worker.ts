/** The thread that hashes for hash-thread.ts. An entry point of its own (scripts/build.ts). */
import { type Digest, Digester } from "../base/digest.ts";
import { type Block, bytesOf } from "./compress-block.ts";

/** The next block of a stream, or its end. */
export interface HashRequest {
  stream: number;
  block?: Block;
}

/** The first message says that the worker runs; each other one answers a request, in order. */
export interface HashReply {
  /** Of a stream that ended. */
  digest?: Digest;
}

declare const self: Worker;

const streams = new Map<number, Digester>();

self.onmessage = ({ data: { stream, block } }: MessageEvent<HashRequest>) => {
  const digester = streams.get(stream) ?? new Digester();
  if (block === undefined) {
    streams.delete(stream);
    tell({ digest: digester.digest() });
    return;
  }
  streams.set(stream, digester);
  digester.update(bytesOf(block));
  tell({});
};

function tell(message: HashReply): void {
  self.postMessage(message);
}

tell({});
