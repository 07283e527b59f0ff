/** Go's fmt.Sprintf, as far as templates use it. */
import { GoTime, type GoValue, goString, isStruct } from "./go-value.ts";

/** A double-quoted Go string literal, as `%q` prints it. */
export function goQuote(text: string): string {
  return `"${text.replace(/["\\\n\t\r\u0000-\u001f\u007f]/g, (char) => {
    const named: Record<string, string> = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r" };
    return named[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  })}"`;
}

/** As in Go: a number that is larger is no width. */
const WIDEST = 1_000_000;

/** Verbs %v %+v %s %q %d %x %X %o %b %c %t %f %e %g %T %%, with flags, width and precision. */
export function goSprintf(format: string, values: GoValue[]): string {
  let next = 0;
  const text = format.replace(
    /%([-+# 0]*)(\d+|\*)?(?:\.(\d+))?([a-zA-Z%])/g,
    (_all, flags: string, width, precision, verb: string) => {
      if (verb === "%") return "%";
      const size = width === "*" ? Number(values[next++]) : Number(width ?? 0);
      if (!(Math.abs(size) <= WIDEST)) return "%!(BADWIDTH)";
      if (next >= values.length) return `%!${verb}(MISSING)`;
      const shown = formatVerb(
        verb,
        values[next++],
        flags,
        precision === undefined ? undefined : Number(precision),
      );
      return pad(shown, size, flags, verb);
    },
  );
  const extra = values.slice(next).map((value) => `${typeName(value)}=${goString(value)}`);
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(", ")})`;
}

function pad(text: string, width: number, flags: string, verb: string): string {
  if (flags.includes("-")) return text.padEnd(width);
  if (flags.includes("0") && "dxXobfeg".includes(verb)) {
    const sign = /^[+-]/.exec(text)?.[0] ?? "";
    return sign + text.slice(sign.length).padStart(width - sign.length, "0");
  }
  return text.padStart(width);
}

function formatVerb(verb: string, value: GoValue, flags: string, precision: number | undefined): string {
  if (Array.isArray(value) && verb !== "v" && verb !== "T") {
    return `[${value.map((item) => formatVerb(verb, item, flags, precision)).join(" ")}]`;
  }
  const number = typeof value === "number" || typeof value === "bigint";
  const plus = number && flags.includes("+") && Number(value) >= 0 ? "+" : "";
  switch (verb) {
    case "v":
      return plus + goString(value);
    case "s":
      if (number || typeof value === "boolean") break;
      return goString(value).slice(0, precision);
    case "q":
      if (typeof value !== "string") break;
      return goQuote(value);
    case "d":
      if (!number) break;
      return plus + String(value);
    case "x":
    case "X":
    case "o":
    case "b": {
      const text = toRadix(value, verb);
      if (text === undefined) break;
      return verb === "X" ? text.toUpperCase() : text;
    }
    case "c":
      if (!number) break;
      return Number(value) >= 0 && Number(value) <= 0x10ffff
        ? String.fromCodePoint(Math.trunc(Number(value)))
        : "\ufffd";
    case "t":
      if (typeof value !== "boolean") break;
      return String(value);
    case "f":
    case "e":
    case "g":
      if (!number) break;
      return plus + formatFloat(verb, Number(value), precision);
    case "T":
      return typeName(value);
  }
  return `%!${verb}(${typeName(value)}=${goString(value)})`;
}

function toRadix(value: GoValue, verb: string): string | undefined {
  if (typeof value === "string")
    return verb === "x" || verb === "X" ? Buffer.from(value).toString("hex") : undefined;
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  return value.toString({ x: 16, X: 16, o: 8, b: 2 }[verb]);
}

function formatFloat(verb: string, value: number, precision: number | undefined): string {
  // JavaScript knows no more digits than these; a double has fewer.
  const digits = precision === undefined ? undefined : Math.min(precision, 100);
  if (verb === "f") return value.toFixed(digits ?? 6);
  if (verb === "e") return value.toExponential(digits ?? 6).replace(/e([+-])(\d)$/, "e$10$2");
  return digits === undefined ? String(value) : String(Number(value.toPrecision(Math.max(digits, 1))));
}

function typeName(value: GoValue): string {
  if (value === null || value === undefined) return "<nil>";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  if (typeof value === "bigint") return "int64";
  if (Array.isArray(value)) return typeof value[0] === "string" ? "[]string" : "[]interface {}";
  if (value instanceof GoTime) return "time.Time";
  return isStruct(value) ? "struct" : "map[string]interface {}";
}
