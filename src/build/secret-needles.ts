/** What a secret looks like where it has leaked: as it is, in base64, percent-encoded. */

export interface Needle {
  /** Of the secret. */
  id: string;
  form: "raw" | "base64" | "URL-encoded";
  bytes: Buffer;
}

/** Shorter ones would be found everywhere. */
const SHORTEST = 6;

/** All forms of all secrets. */
export class Needles {
  readonly #needles: Needle[];
  /** Bytes of the longest. */
  readonly longest: number;

  constructor(secrets: ReadonlyMap<string, Buffer>) {
    this.#needles = [...secrets].flatMap(([id, value]) => needlesOf(id, value));
    this.longest = Math.max(1, ...this.#needles.map((needle) => needle.bytes.length));
  }

  get isEmpty(): boolean {
    return this.#needles.length === 0;
  }

  /** The first form that the bytes contain. */
  in(bytes: Buffer | Uint8Array): Needle | undefined {
    const haystack = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return this.#needles.find((needle) => haystack.includes(needle.bytes));
  }

  /** The form that begins first in the bytes; of several there, the longest. */
  first(bytes: Buffer): { at: number; needle: Needle } | undefined {
    let first: { at: number; needle: Needle } | undefined;
    for (const needle of this.#needles) {
      const at = bytes.indexOf(needle.bytes);
      if (at === -1 || (first !== undefined && at > first.at)) continue;
      if (first === undefined || at < first.at || needle.bytes.length > first.needle.bytes.length)
        first = { at, needle };
    }
    return first;
  }

  /** How many bytes at the end may be the beginning of a form that goes on after them. */
  beginningAtEnd(bytes: Buffer): number {
    for (let length = Math.min(this.longest - 1, bytes.length); length > 0; length--) {
      const end = bytes.subarray(bytes.length - length);
      const isBeginning = (needle: Needle) =>
        needle.bytes.length > length && needle.bytes.compare(end, 0, length, 0, length) === 0;
      if (this.#needles.some(isBeginning)) return length;
    }
    return 0;
  }
}

function needlesOf(id: string, value: Buffer): Needle[] {
  const secret = trimmed(value);
  if (secret.length < SHORTEST) return [];
  const needles: Needle[] = [{ id, form: "raw", bytes: secret }];
  for (const text of base64Forms(secret)) needles.push({ id, form: "base64", bytes: Buffer.from(text) });
  const encoded = encodeURIComponent(secret.toString("utf8"));
  if (encoded !== secret.toString("latin1"))
    needles.push({ id, form: "URL-encoded", bytes: Buffer.from(encoded) });
  return needles;
}

/** Without the white space around it, which rarely leaks along. */
function trimmed(value: Buffer): Buffer {
  let start = 0;
  let end = value.length;
  while (start < end && value[start]! <= 0x20) start++;
  while (end > start && value[end - 1]! <= 0x20) end--;
  return value.subarray(start, end);
}

/**
 * The characters that stand for the secret alone wherever it begins within base64 (three bytes make four characters, so
 * there are three places), in both alphabets.
 */
function base64Forms(secret: Buffer): Set<string> {
  const forms = new Set<string>();
  for (let before = 0; before < 3; before++) {
    const text = Buffer.concat([Buffer.alloc(before), secret])
      .toString("base64")
      .replace(/=+$/, "");
    const bits = (before + secret.length) * 8;
    const own = text.slice(Math.ceil((before * 8) / 6), Math.floor(bits / 6));
    forms.add(own);
    forms.add(own.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return forms;
}
