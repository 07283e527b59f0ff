/** The ways in which programs write down bytes, as far as a secret is looked for in them. */

/** What bytes become in a text of one form, each of its spellings; the search takes all, in this order. */
export interface Encoded {
  form: "base64" | "hexadecimal" | "URL-encoded" | "JSON";
  text: string;
}

/** Characters of the lines into which programs break encoded texts: base64(1), PEM and openssl, xxd -p. */
const LINES = [76, 64, 60];
/** Of a piece between whose ends there may be no line's end: of three of this size only two can have one. */
const LONGEST_PIECE = 28;
/** Shorter ones would be found by chance. */
const SHORTEST_PIECE = 12;

/** All encodings of bytes that differ from the bytes. */
export function encodings(bytes: Buffer): Encoded[] {
  const hex = bytes.toString("hex");
  const plain = bytes.toString("latin1");
  const json = JSON.stringify(bytes.toString("utf8")).slice(1, -1);
  const found: Encoded[] = [
    ...base64Forms(bytes).map((text): Encoded => ({ form: "base64", text })),
    ...[hex, hex.toUpperCase()]
      .flatMap(brokenIntoLines)
      .map((text): Encoded => ({ form: "hexadecimal", text })),
    ...percentForms(bytes).map((text): Encoded => ({ form: "URL-encoded", text })),
    { form: "JSON", text: Buffer.from(json).toString("latin1") },
  ];
  const seen = new Set([plain]);
  return found.filter(({ text }) => !seen.has(text) && seen.add(text));
}

/**
 * The characters that stand for the bytes alone wherever they begin within base64 (three bytes make four characters, so
 * there are three places), in both alphabets.
 */
function base64Forms(bytes: Buffer): string[] {
  const forms: string[] = [];
  for (let before = 0; before < 3; before++) {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString("base64")
      .replace(/=+$/, "");
    const bits = (before + bytes.length) * 8;
    const own = text.slice(Math.ceil((before * 8) / 6), Math.floor(bits / 6));
    forms.push(...brokenIntoLines(own), ...brokenIntoLines(own.replaceAll("+", "-").replaceAll("/", "_")));
  }
  return forms;
}

/** A text; the lines that it becomes when it begins the first; and pieces of its middle, wherever it begins. */
function brokenIntoLines(text: string): string[] {
  const count = Math.min(3, Math.floor(text.length / SHORTEST_PIECE));
  if (count < 2) return [text];
  const length = Math.min(LONGEST_PIECE, Math.floor(text.length / count));
  const start = Math.floor((text.length - count * length) / 2);
  const pieces = Array.from({ length: count }, (_, i) =>
    text.slice(start + i * length, start + (i + 1) * length),
  );
  const lines = LINES.map((width) => text.replaceAll(new RegExp(`.{${width}}(?=.)`, "g"), "$&\n"));
  return [text, ...lines, ...pieces];
}

/** As encodeURIComponent writes it, as RFC 3986 (section 2.3) has it, and as forms are sent; `%2F` and `%2f`. */
function percentForms(bytes: Buffer): string[] {
  const encoded = (unreserved: RegExp, space: string) =>
    [...bytes.toString("latin1")]
      .map((character) => {
        if (unreserved.test(character)) return character;
        if (character === " ") return space;
        return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
      })
      .join("");
  const forms = [
    encoded(/[\w.!~*'()-]/, "%20"),
    encoded(/[\w.~-]/, "%20"),
    encoded(/[\w.*-]/, "+"), // application/x-www-form-urlencoded (WHATWG URL)
  ];
  return forms.flatMap((form) => [form, form.replace(/%../g, (code) => code.toLowerCase())]);
}
