/** The whole log of one build, for its caller to fill: in memory while it is short, never without bounds, kept on request. */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Store } from "../api-types.ts";
import { keepLog } from "../store/kept-logs.ts";
import { filesOf } from "./store.ts";

export interface BuildLog extends Disposable {
  write(data: string | Uint8Array): void;
  /** Finishes the log and returns the path of its file: one of the last twenty that are kept until a prune. */
  keep(): string;
}

/** Bytes that a build may write before anything goes to the disk. */
const IN_MEMORY = 256 << 10;
/** Of a log that is longer than this its end alone is kept besides. */
const LONGEST_BEGINNING = 16 << 20;
const LONGEST_END = 1 << 20;

/** Opens a log; without keep() nothing of it is left. */
export function openBuildLog(store: Store): BuildLog {
  const files = filesOf(store);
  let path: string | undefined;
  let fd: number | undefined;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let written = 0;
  let leftOut = 0;

  const flush = () => {
    if (fd === undefined) {
      path = files.session.path("log");
      fd = openSync(path, "wx", 0o600);
    }
    const data = Buffer.concat(pending);
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
    written += data.length;
    pending = [];
    pendingBytes = 0;
  };
  const dropMiddle = () => {
    while (pendingBytes - (pending[0]?.length ?? 0) >= LONGEST_END) {
      const gone = pending.shift()!;
      pendingBytes -= gone.length;
      leftOut += gone.length;
    }
  };
  const close = () => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return {
    write(data) {
      const bytes = Buffer.from(data as Uint8Array);
      pending.push(bytes);
      pendingBytes += bytes.length;
      if (written >= LONGEST_BEGINNING) dropMiddle();
      else if (pendingBytes >= IN_MEMORY) flush();
    },
    keep() {
      if (leftOut > 0) pending.unshift(Buffer.from(`\n[… ${leftOut} bytes are left out here …]\n`));
      flush();
      close();
      return keepLog(files, path!);
    },
    [Symbol.dispose]: close,
  };
}
