/** A thread that compresses blocks for compress-pool.ts. An entry point of its own (scripts/build.ts). */
import { messageOf } from "../base/errors.ts";
import { type BlockFormat, compressBlock } from "./compress-block.ts";

/** A block to compress; `buffer` moves to the worker and back. */
export interface BlockRequest {
  buffer: ArrayBuffer;
  length: number;
  format: BlockFormat;
}

/** The first message says that the worker runs; each other one answers a request, in order. */
export type WorkerMessage =
  | { kind: "ready" }
  | { kind: "done"; buffer: ArrayBuffer; compressed: Uint8Array<ArrayBuffer> }
  | { kind: "failed"; reason: string };

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<BlockRequest>) => {
  try {
    const compressed = compressBlock(new Uint8Array(data.buffer, 0, data.length), data.format);
    tell({ kind: "done", buffer: data.buffer, compressed }, [data.buffer, compressed.buffer]);
  } catch (error) {
    tell({ kind: "failed", reason: messageOf(error) }, []);
  }
};

function tell(message: WorkerMessage, transfer: ArrayBuffer[]): void {
  self.postMessage(message, transfer);
}

tell({ kind: "ready" }, []);
