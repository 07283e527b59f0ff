/** A thread that compresses blocks for compress-pool.ts. An entry point of its own (scripts/build.ts). */
import { messageOf } from "../base/errors.ts";
import { type Block, type BlockFormat, bytesOf, compressBlock } from "./compress-block.ts";

/** A block to compress. */
export interface BlockRequest {
  block: Block;
  format: BlockFormat;
}

/** The first message says that the worker runs; each other one answers a request, in order. */
export type WorkerMessage =
  | { kind: "ready" }
  | { kind: "done"; compressed: Uint8Array<ArrayBuffer>[] }
  | { kind: "failed"; reason: string };

declare const self: Worker;

self.onmessage = ({ data: { block, format } }: MessageEvent<BlockRequest>) => {
  try {
    const compressed = compressBlock(bytesOf(block), format);
    tell(
      { kind: "done", compressed },
      compressed.map(({ buffer }) => buffer),
    );
  } catch (error) {
    tell({ kind: "failed", reason: messageOf(error) }, []);
  }
};

function tell(message: WorkerMessage, transfer: ArrayBuffer[]): void {
  self.postMessage(message, transfer);
}

tell({ kind: "ready" }, []);
