/** Inputs that never were: bytes of a corpus, changed at random but the same for the same seed. */

/** Numbers of a linear congruential generator, the same on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    // Xorshift: the low bits are as good as the high ones.
    let x = this.#state === 0 ? 1 : this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

const LARGEST = 64 * 1024;
const ODD = [
  0, 1, 9, 10, 13, 32, 33, 34, 35, 36, 37, 38, 39, 40, 42, 44, 45, 46, 47, 58, 60, 61, 62, 64, 91, 92, 93, 94,
  96, 123, 125, 127, 128, 192, 255,
];
const NUMBERS = [
  "-1",
  "0",
  "00",
  "1e309",
  "9007199254740993",
  "99999999999999999999",
  "0x10",
  "07777777777777",
  "NaN",
];

/** An input made of one or two of the corpus by up to sixteen changes; `tokens` are words of the format. */
export function mutate(random: Random, corpus: readonly Uint8Array[], tokens: readonly string[]): Uint8Array {
  let input = Buffer.from(random.pick(corpus));
  for (let count = 1 + random.below(1 << random.below(5)); count > 0; count--)
    input = change(random, input, corpus, tokens);
  return input.subarray(0, LARGEST);
}

function change(
  random: Random,
  input: Buffer<ArrayBuffer>,
  corpus: readonly Uint8Array[],
  tokens: readonly string[],
): Buffer<ArrayBuffer> {
  const at = random.below(input.length + 1);
  const to = Math.min(input.length, at + random.below(1 << random.below(9)));
  const insert = (bytes: Uint8Array, end = at) =>
    Buffer.concat([input.subarray(0, at), bytes, input.subarray(end)]);
  switch (random.below(11)) {
    case 0: // one bit
      if (at < input.length) input[at] = input[at]! ^ (1 << random.below(8));
      return input;
    case 1:
      if (at < input.length) input[at] = random.below(256);
      return input;
    case 2:
      return insert(Buffer.of(random.pick(ODD)));
    case 3: // cut out
      return insert(Buffer.alloc(0), to);
    case 4: // the end is missing
      return input.subarray(0, at);
    case 5: // said twice, or many times
      return repeated(random, insert, input.subarray(at, to));
    case 6:
      return insert(Buffer.from(random.pick(NUMBERS)), to);
    case 7: // a piece of another one
    case 8: {
      const other = random.pick(corpus);
      const from = random.below(other.length + 1);
      return insert(other.subarray(from, from + random.below(1 << random.below(10))), to);
    }
    default:
      return insert(Buffer.from(tokens.length === 0 ? "\n" : random.pick(tokens)));
  }
}

function repeated(
  random: Random,
  insert: (bytes: Uint8Array) => Buffer<ArrayBuffer>,
  piece: Uint8Array,
): Buffer<ArrayBuffer> {
  const times = 1 + random.below(1 << random.below(12));
  if (piece.length === 0 || piece.length * times > LARGEST) return insert(piece);
  return insert(Buffer.concat(Array.from({ length: times }, () => piece)));
}
