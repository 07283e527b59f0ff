/** Takes secrets out of what commands write: to the terminal, into logs, into errors. */
import { decodeName, encodeName } from "../base/path-bytes.ts";
import type { Needles } from "./secret-needles.ts";

/** One stream of output. What may be the beginning of a secret is held back until more is known; end() gives what is left. */
export class RedactedStream {
  readonly #needles: Needles;
  readonly #write: (data: Uint8Array) => void;
  #held: Buffer = Buffer.alloc(0);

  constructor(needles: Needles, write: (data: Uint8Array) => void) {
    this.#needles = needles;
    this.#write = write;
  }

  add(data: Uint8Array): void {
    if (this.#needles.isEmpty) {
      this.#write(data);
      return;
    }
    const rest = this.#replace(Buffer.concat([this.#held, data]));
    const held = this.#needles.beginningAtEnd(rest);
    this.#held = rest.subarray(rest.length - held);
    if (rest.length > held) this.#write(rest.subarray(0, rest.length - held));
  }

  end(): void {
    if (this.#held.length > 0) this.#write(this.#held);
    this.#held = Buffer.alloc(0);
  }

  /** Writes all up to the last secret, and returns what is after it. */
  #replace(data: Buffer): Buffer {
    let rest = data;
    for (let found = this.#needles.first(rest); found !== undefined; found = this.#needles.first(rest)) {
      const { at, needle } = found;
      this.#write(Buffer.concat([rest.subarray(0, at), Buffer.from(`[secret ${needle.id}]`)]));
      rest = rest.subarray(at + needle.bytes.length);
    }
    return rest;
  }
}

/** Plain data with the secrets taken out of its strings, keys included. */
export function redactedValue<T>(needles: Needles, value: T): T {
  return needles.isEmpty ? value : (withoutSecrets(needles, value) as T);
}

function withoutSecrets(needles: Needles, value: unknown): unknown {
  if (typeof value === "string") return redactedText(needles, value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(needles, item));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [redactedText(needles, key), withoutSecrets(needles, item)]),
  );
}

function redactedText(needles: Needles, text: string): string {
  const bytes = encodeName(text);
  if (needles.in(bytes) === undefined) return text;
  const pieces: Uint8Array[] = [];
  const stream = new RedactedStream(needles, (data) => pieces.push(data));
  stream.add(bytes);
  stream.end();
  return decodeName(Buffer.concat(pieces));
}
