/** Writing to the terminal or a pipe: synchronous, so that nothing is lost when the process exits. */
import { writeSync } from "node:fs";

/** What was asked for: ids, paths, tables, documents. */
export function writeOut(data: string | Uint8Array): void {
  writeAll(1, data);
}

/** Everything else: progress, warnings, errors. */
export function writeErr(data: string | Uint8Array): void {
  writeAll(2, data);
}

/** Writes all of it, waiting where the other end of a non-blocking pipe is slow. */
export function writeAll(fd: number, data: string | Uint8Array): void {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at, bytes.length - at);
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (code === "EAGAIN") {
        Bun.sleepSync(2);
        continue;
      }
      // The reader has gone (`cooper images | head -1`): what a command that SIGPIPE ends would have done.
      if (code === "EPIPE" && fd === 1) process.exit(141);
      if (code === "EPIPE" || code === "EIO") return;
      throw error;
    }
  }
}
