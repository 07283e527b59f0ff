/** Files from http(s) URLs, for ADD and add. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { type Digest, Digester, parseDigest } from "../base/digest.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { withoutCredentials } from "../base/public-url.ts";
import { connectionWords } from "../transport/registry/failures.ts";

export interface Download {
  /** Where the content lies; the caller moves or deletes it. */
  file: string;
  digest: Digest;
  /** From Last-Modified, in nanoseconds since 1970. */
  mtimeNs: bigint | undefined;
  /** File name that the server gives in Content-Disposition, if any. */
  suggestedName: string | undefined;
}

/** Downloads to `file`. With `checksum` (sha256:…) other content is an `integrity` error and nothing is kept. */
export async function download(
  url: string,
  file: string,
  checksum: string | undefined,
  signal?: AbortSignal,
): Promise<Download> {
  const wanted = checksum === undefined ? undefined : parseDigest(checksum);
  try {
    const response = await answerOf(url, signal);
    if (!response.ok || response.body === null) {
      throw new CooperError(
        "not-found",
        `the server answered ${response.status} ${response.statusText}`.trimEnd(),
      );
    }
    const digest = await save(response.body, file);
    if (wanted !== undefined && digest !== wanted) {
      throw new CooperError(
        "integrity",
        `digest mismatch: the content is ${digest}, the checksum says ${wanted}`,
      );
    }
    const modified = Date.parse(response.headers.get("last-modified") ?? "");
    return {
      file,
      digest,
      mtimeNs: Number.isNaN(modified) ? undefined : BigInt(modified) * 1_000_000n,
      suggestedName: nameFrom(response.headers.get("content-disposition")),
    };
  } catch (error) {
    rmSync(file, { force: true });
    throw wrapError(`Cannot download ${withoutCredentials(url)}`, error);
  }
}

async function answerOf(url: string, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(url, { redirect: "follow", ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new CooperError("system", connectionWords(error), {
      cause: error,
      hint: "check the address and the network",
    });
  }
}

async function save(body: ReadableStream<Uint8Array>, file: string): Promise<Digest> {
  const digester = new Digester();
  const fd = openSync(file, "wx", 0o600);
  try {
    for await (const chunk of body) {
      digester.update(chunk);
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    }
  } finally {
    closeSync(fd);
  }
  return digester.digest();
}

function nameFrom(disposition: string | null): string | undefined {
  const match = /filename="?([^";]+)"?/i.exec(disposition ?? "");
  const name = match?.[1]?.trim();
  return name === undefined || name === "" || name.includes("/") || name === ".." || name === "."
    ? undefined
    : name;
}
