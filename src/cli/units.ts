/** Sizes, ages and durations as Buildah shows and reads them. */
import { CooperError } from "../base/errors.ts";

const SIZE_UNITS = ["B", "KB", "MB", "GB", "TB"];

/** Three significant digits in decimal units: `1.99 MB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Number(value.toPrecision(3)) >= 1000 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(3))} ${SIZE_UNITS[unit]}`;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Roughly how long ago: `3 weeks ago`. Both in milliseconds since 1970. */
export function formatAge(then: number, now: number = Date.now()): string {
  return `${approximate(Math.max(0, Math.floor((now - then) / 1000)))} ago`;
}

function approximate(seconds: number): string {
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < MINUTE) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / MINUTE);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / HOUR);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  const days = Math.floor(seconds / DAY);
  if (days < 14) return `${days} days`;
  if (days < 60) return `${Math.floor(days / 7)} weeks`;
  if (days < 730) return `${Math.floor(days / 30)} months`;
  return `${Math.floor(days / 365)} years`;
}

const NANOSECONDS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
};

/** A Go duration (`1m30s`, `500ms`) in nanoseconds. Throws `usage`. */
export function parseDuration(text: string, shown: string): number {
  const match = /^([+-])?((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.exec(text);
  if (text === "0") return 0;
  if (match === null) {
    throw new CooperError("usage", `Invalid duration ${JSON.stringify(text)} for ${shown}`, {
      hint: "write it as 30s, 1m30s or 500ms",
    });
  }
  let total = 0;
  for (const part of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(part[1]) * NANOSECONDS[part[2]!]!;
  }
  return Math.round(match[1] === "-" ? -total : total);
}

const BYTE_UNITS: Record<string, number> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** `64m`, `65536k`, `1gb`: bytes, in binary units. Throws `usage`. */
export function parseBytes(text: string, shown: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) {
    throw new CooperError("usage", `Invalid size ${JSON.stringify(text)} for ${shown}`, {
      hint: "write it as a number with b, k, m or g",
    });
  }
  return Math.floor(Number(match[1]) * BYTE_UNITS[match[2]!.toLowerCase()]!);
}

/** How long a process has been up: `26m 24.71s`. */
export function formatUptime(seconds: number): string {
  const hours = Math.floor(seconds / HOUR);
  const minutes = Math.floor((seconds % HOUR) / MINUTE);
  const rest = `${Number((seconds % MINUTE).toFixed(2))}s`;
  if (hours > 0) return `${hours}h ${minutes}m ${rest} (Approximately ${(seconds / DAY).toFixed(2)} days)`;
  return minutes > 0 ? `${minutes}m ${rest}` : rest;
}

/**
 * A moment in milliseconds since 1970: a Go duration before now (`24h`), seconds since 1970, or a date with or without a
 * time (`2026-01-31`, `2026-01-31T10:00:00Z`; without a zone it is the local one). Throws `usage`.
 */
export function parseMoment(text: string, shown: string, now: number = Date.now()): number {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^\d{4}-\d\d-\d\d(?:[T ]|$)/.test(text)) {
    // Date.parse() takes a date alone as UTC.
    const parsed = Date.parse(text.length === 10 ? `${text}T00:00:00` : text);
    if (!Number.isNaN(parsed)) return parsed;
  }
  if (/^[\d.]+[a-zµμ]/.test(text)) return now - parseDuration(text, shown) / 1e6;
  throw new CooperError("usage", `Cannot read the time ${JSON.stringify(text)} for ${shown}`, {
    hint: "write it as 24h, 2026-01-31T10:00:00Z, or seconds since 1970",
  });
}
