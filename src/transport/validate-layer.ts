/** Checks that a stream is a tar as a layer may be (layer.md). Read by tar-stream, so not by the code that wrote it. */
import { Readable } from "node:stream";
import { extract, type Header } from "tar-stream";
import { CooperError, wrapError } from "../base/errors.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

/** Reads a tar to its last byte and returns the names of its entries. Throws `invalid` for one that is no layer. */
export async function checkLayerTar(content: AsyncIterable<Uint8Array>, what: string): Promise<string[]> {
  const seen = new Map<string, Header>();
  // The types of tar-stream do not know this option: a name that is not UTF-8 must not look like another such name.
  const options: object = { filenameEncoding: "latin1" };
  const parser = extract(options);
  const input = Readable.from(content, { objectMode: false, highWaterMark: 1 << 20 });
  const failed = new Promise<never>((_, reject) => input.once("error", reject));
  failed.catch(() => {});
  input.once("error", (error) => parser.destroy(error));
  input.pipe(parser as unknown as NodeJS.WritableStream);
  try {
    for await (const entry of parser) {
      checkEntry(entry.header, seen, what);
      entry.resume();
    }
  } catch (error) {
    throw wrapError(`${what} is not a readable tar`, input.errored ?? error, "invalid");
  } finally {
    input.destroy();
  }
  return [...seen.keys()];
}

function checkEntry(header: Header, seen: Map<string, Header>, what: string): void {
  const fail = (why: string) => new CooperError("invalid", `Entry "${header.name}" ${why}`);
  const name = header.name.replace(/^\.\//, "").replace(/\/$/, "");
  const parts = name.split("/");
  if (header.name.startsWith("/")) throw fail("has an absolute name");
  if (parts.includes("..") || (name !== "" && parts.includes(""))) throw fail("has an unsafe name");
  if (seen.has(name)) throw fail("is there twice");
  checkWhiteout(header, parts, seen, fail);
  if (header.type === "link") checkLink(header, seen, fail);
  if (header.type === null) throw fail(`is of a type that ${what} cannot have`);
  seen.set(name, header);
}

function checkWhiteout(
  header: Header,
  parts: string[],
  seen: Map<string, Header>,
  fail: (why: string) => CooperError,
): void {
  const base = parts.at(-1)!;
  if (parts.slice(0, -1).some((part) => part.startsWith(WHITEOUT))) throw fail("lies below a whiteout");
  if (!base.startsWith(WHITEOUT)) return;
  if (header.type !== "file" || header.size !== 0) throw fail("is a whiteout, but no empty file");
  if (base === OPAQUE) return;
  const hidden = base.slice(WHITEOUT.length);
  if (hidden === "" || hidden === "." || hidden === ".." || hidden.startsWith(WHITEOUT))
    throw fail("is a malformed whiteout");
  if (seen.has([...parts.slice(0, -1), hidden].join("/"))) throw fail("hides what its own layer adds");
}

function checkLink(header: Header, seen: Map<string, Header>, fail: (why: string) => CooperError): void {
  const target = (header.linkname ?? "").replace(/^\.?\//, "");
  if (seen.has(target)) return;
  throw fail(`is a hard link to "${target}", which does not come before it`);
}
