/** How much a compressed stream may become: against archives of a few kilobytes that fill a disk ("compression bombs"). */
import { statfsSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { fsPath } from "../base/path-bytes.ts";

export interface UnpackLimits {
  /** Bytes that nothing may exceed; undefined for no such bound. */
  most: number | undefined;
  /** Up to here, in bytes, any content is taken; beyond it, `ratio` times its compressed size at most. */
  free: number;
  ratio: number;
}

const GIB = 2 ** 30;

/**
 * deflate cannot pack more than 1032 bytes into one, and of what people make only long runs of zeros come near to that;
 * zstd and xz can pack a hundred times more.
 */
const USUAL: UnpackLimits = { most: undefined, free: GIB, ratio: 1000 };
const NONE: UnpackLimits = { most: undefined, free: Number.POSITIVE_INFINITY, ratio: 1 };

const VARIABLE = "COOPER_MAX_LAYER_SIZE";

/** The limits that the environment sets. Throws `usage` where it says nothing sensible. */
export function unpackLimits(value = process.env[VARIABLE]): UnpackLimits {
  if (value === undefined || value === "") return USUAL;
  if (value === "unlimited") return NONE;
  const parts = /^(\d{1,15})([kmgt]?)b?$/i.exec(value);
  if (parts === null)
    throw new CooperError("usage", `${VARIABLE}=${value} is not a size`, {
      hint: "give bytes, or a number with k, m, g or t, or unlimited",
    });
  const unit = 1024 ** ["", "k", "m", "g", "t"].indexOf(parts[2]!.toLowerCase());
  return { ...NONE, most: Number(parts[1]) * unit };
}

/** Passes a compressed stream on and counts it. */
export async function* counting(
  stream: AsyncIterable<Uint8Array>,
  count: { bytes: number },
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of stream) {
    count.bytes += chunk.length;
    yield chunk;
  }
}

/**
 * Passes on what a stream was decompressed to, until it is too much for the `packed` bytes that were read of it. `what`
 * begins the error: "Layer sha256:…". Throws `invalid`.
 */
export async function* bounded(
  content: AsyncIterable<Uint8Array>,
  packed: { bytes: number },
  what: string,
  { most, free, ratio }: UnpackLimits,
): AsyncGenerator<Uint8Array, void> {
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (most !== undefined && size > most) {
      throw tooLarge(`${what} unpacks to more than ${VARIABLE} allows, ${shown(most)}`);
    }
    if (size > free && size > packed.bytes * ratio) {
      const sizes = `${shown(packed.bytes)} became more than ${shown(size - chunk.length)}`;
      throw tooLarge(`${what} looks like a compression bomb: ${sizes}, over ${ratio} times as much`);
    }
    yield chunk;
  }
}

function tooLarge(message: string): CooperError {
  return new CooperError("invalid", message, {
    hint: `if it is to be that large, set ${VARIABLE} to its unpacked size (such as 40g) or to unlimited`,
  });
}

function shown(bytes: number): string {
  const unit = bytes >= GIB ? "GiB" : bytes >= 2 ** 20 ? "MiB" : bytes >= 1024 ? "KiB" : "bytes";
  const scale = { GiB: GIB, MiB: 2 ** 20, KiB: 1024, bytes: 1 }[unit];
  return `${Math.round((bytes / scale) * 10) / 10} ${unit}`;
}

/** What unpacking leaves to everybody else on a disk: a fiftieth of it, half a gibibyte at most. */
const RESERVE = { share: 50, most: GIB / 2 };
/** Written between two looks at the disk. */
const STRIDE = 64 << 20;

/** Passes content on that is unpacked into `directory`, as long as its disk has room to spare. Throws `system` otherwise. */
export async function* whileThereIsRoom(
  content: AsyncIterable<Uint8Array>,
  directory: string,
  what: string,
): AsyncGenerator<Uint8Array, void> {
  let since = 0;
  for await (const chunk of content) {
    since += chunk.length;
    if (since >= STRIDE) {
      since = 0;
      requireRoom(directory, what);
    }
    yield chunk;
  }
}

function requireRoom(directory: string, what: string): void {
  const { blocks, bavail, bsize } = statfsSync(fsPath(directory));
  const reserve = Math.min((blocks * bsize) / RESERVE.share, RESERVE.most);
  if (bavail * bsize >= reserve) return;
  throw new CooperError(
    "system",
    `Cannot unpack ${what}: the disk is nearly full, with ${shown(bavail * bsize)} left of ${shown(blocks * bsize)}`,
    {
      hint: "cooper prune frees what nothing uses; --root or COOPER_ROOT puts the store elsewhere",
      cause: Object.assign(new Error("ENOSPC: what is left is for others"), { code: "ENOSPC" }),
    },
  );
}
