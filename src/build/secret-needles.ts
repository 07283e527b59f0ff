/** What a secret looks like where it has leaked: as it is, encoded, or a line of it. */
import { type Encoded, encodings } from "./secret-encodings.ts";

export interface Needle {
  /** Of the secret. */
  id: string;
  form: "raw" | "in part" | Encoded["form"];
  bytes: Buffer;
}

/** A needle and where it begins. */
export interface Hit {
  needle: Needle;
  at: number;
}

/** Shorter ones would be found everywhere. */
const SHORTEST = 6;
/** Those from here on are looked for where they stand alone. */
const SHORTEST_ALONE = 4;
/** Parts of one secret that are looked for. */
const MOST_PARTS = 64;

/** All forms of all secrets. */
export class Needles {
  readonly #needles: Needle[];
  readonly #alone: Needle[];
  /** Bytes of the longest. */
  readonly longest: number;

  constructor(secrets: ReadonlyMap<string, Buffer>) {
    const values = [...secrets].map(([id, value]): [string, Buffer] => [id, trimmed(value)]);
    this.#needles = values.flatMap(([id, value]) => needlesOf(id, value));
    this.#alone = values
      .filter(([, { length }]) => length >= SHORTEST_ALONE && length < SHORTEST)
      .map(([id, bytes]) => ({ id, form: "raw", bytes }));
    this.longest = Math.max(1, ...this.#needles.map((needle) => needle.bytes.length));
  }

  /** Whether there is nothing that could be found within other bytes. */
  get isEmpty(): boolean {
    return this.#needles.length === 0;
  }

  /** Whether there is nothing to look for at all. */
  get isBlind(): boolean {
    return this.isEmpty && this.#alone.length === 0;
  }

  /** The first form that the bytes contain. */
  in(bytes: Buffer): Needle | undefined {
    return this.#needles.find((needle) => bytes.includes(needle.bytes));
  }

  /** Of each secret that the bytes contain, one form. */
  hits(bytes: Buffer): Hit[] {
    const hits = new Map<string, Hit>();
    for (const needle of this.#needles) {
      if (hits.has(needle.id)) continue;
      const at = bytes.indexOf(needle.bytes);
      if (at !== -1) hits.set(needle.id, { needle, at });
    }
    return [...hits.values()];
  }

  /** Of secrets that are too short for that: those that the bytes are, but for white space around them. */
  alone(bytes: Buffer): Hit[] {
    return this.#alone
      .filter((needle) => bytes.length < needle.bytes.length + 16 && trimmed(bytes).equals(needle.bytes))
      .map((needle) => ({ needle, at: bytes.indexOf(needle.bytes) }));
  }

  /** The form that begins first in the bytes; of several there, the longest. */
  first(bytes: Buffer): Hit | undefined {
    let first: Hit | undefined;
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
      const start = bytes.length - length;
      const isBeginning = ({ bytes: whole }: Needle) =>
        whole.length > length &&
        whole[0] === bytes[start] &&
        whole.compare(bytes, start, bytes.length, 0, length) === 0;
      if (this.#needles.some(isBeginning)) return length;
    }
    return 0;
  }
}

/** Why a secret is not looked for everywhere; undefined when it is. */
export function tooShort(value: Buffer): string | undefined {
  const { length } = trimmed(value);
  if (length >= SHORTEST) return undefined;
  if (length >= SHORTEST_ALONE) return "only where it stands alone";
  return "nowhere";
}

function needlesOf(id: string, secret: Buffer): Needle[] {
  if (secret.length < SHORTEST) return [];
  return [
    { id, form: "raw", bytes: secret },
    ...encodings(secret).map(({ form, text }): Needle => ({ id, form, bytes: Buffer.from(text, "latin1") })),
    ...partsOf(secret).map((bytes): Needle => ({ id, form: "in part", bytes })),
  ];
}

/** Without the white space around it, which rarely leaks along. */
function trimmed(value: Buffer): Buffer {
  let start = 0;
  let end = value.length;
  while (start < end && value[start]! <= 0x20) start++;
  while (end > start && value[end - 1]! <= 0x20) end--;
  return value.subarray(start, end);
}

/** What is public in a file of keys. */
const PUBLIC_PARTS = /-----BEGIN ([A-Z ]*(?:CERTIFICATE|PUBLIC KEY))-----[\s\S]*?-----END \1-----/g;

/**
 * The words of a secret of several lines (a private key, .netrc, .npmrc, .env) that tell something by themselves: no names,
 * addresses or paths, which may be in the image with good reason.
 */
function partsOf(secret: Buffer): Buffer[] {
  if (!secret.includes(0x0a)) return [];
  const words = secret
    .toString("latin1")
    .replace(PUBLIC_PARTS, "")
    .split(/[\s"'=:,;]+/)
    .filter(isTelling);
  return [...new Set(words)].slice(0, MOST_PARTS).map((word) => Buffer.from(word, "latin1"));
}

function isTelling(word: string): boolean {
  if (word.length < 16) return false;
  return /^[0-9a-f-]{24,}$/i.test(word) || [/[a-z]/, /[A-Z]/, /\d/].every((kind) => kind.test(word));
}
