/** Whether a file is a tar archive, compressed or not: what ADD unpacks. */
import { createReadStream } from "node:fs";
import { decompress } from "../archive/compression.ts";
import { fsPath } from "../base/path-bytes.ts";

const BLOCK = 512;

/** Looks at the first header only. A damaged or otherwise compressed file is no archive: it is copied as it is. */
export async function isTarArchive(file: string): Promise<boolean> {
  let start = Buffer.alloc(0);
  try {
    for await (const chunk of decompress(createReadStream(fsPath(file), { highWaterMark: 64 << 10 }))) {
      start = Buffer.concat([start, chunk]);
      if (start.length >= BLOCK) break;
    }
  } catch {
    return false;
  }
  return start.length >= BLOCK && isTarHeader(start.subarray(0, BLOCK));
}

/** The header's checksum counts its own eight bytes as spaces (pax(1), "ustar Interchange Format"). */
function isTarHeader(block: Buffer): boolean {
  const stored = Number.parseInt(
    block
      .toString("latin1", 148, 156)
      .replace(/[\0 ]+$/, "")
      .trim(),
    8,
  );
  let unsigned = 0;
  for (let i = 0; i < BLOCK; i++) unsigned += i >= 148 && i < 156 ? 0x20 : block[i]!;
  return stored === unsigned && block.some((byte) => byte !== 0);
}
