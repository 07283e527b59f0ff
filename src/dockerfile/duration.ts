/** Durations as Go writes them: `1h30m`, `1.5s`, `500ms` (time.ParseDuration). */
import { CooperError } from "../base/errors.ts";

const NANOSECONDS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds, rounded towards zero. Throws `invalid`. */
export function parseDuration(text: string): number {
  const sign = text.startsWith("-") ? -1 : 1;
  const body = text.replace(/^[+-]/, "");
  if (body === "0") return 0;
  let total = 0;
  const rest = body.replace(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g, (_, number: string, unit: string) => {
    total += Number(number) * NANOSECONDS[unit]!;
    return "";
  });
  if (body === "" || rest !== "") {
    throw new CooperError("invalid", `Invalid duration "${text}"`, {
      hint: /^[+-]?[\d.]+$/.test(text) ? `A unit is missing: ${text}s?` : "Write it as 30s, 1m30s, 500ms",
    });
  }
  // Beyond 292 years an int64 of nanoseconds overflows.
  if (total > 2 ** 63) throw new CooperError("invalid", `Duration "${text}" is too long`);
  return sign * Math.trunc(total);
}
