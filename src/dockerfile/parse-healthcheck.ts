/** HEALTHCHECK (Dockerfile reference, "HEALTHCHECK"). */
import { CooperError } from "../base/errors.ts";
import { parseDuration } from "./duration.ts";
import { parseFlags } from "./flags.ts";
import type { HealthcheckInstruction } from "./instruction.ts";
import { jsonForm } from "./json-form.ts";
import type { ParseInput } from "./parse-instruction.ts";
import { isSpace, trim } from "./spaces.ts";
import { nearHint } from "./suggest.ts";

const FLAGS = {
  interval: "text",
  timeout: "text",
  "start-period": "text",
  "start-interval": "text",
  retries: "text",
} as const;

/** `HEALTHCHECK [flags] CMD command` or `HEALTHCHECK NONE`. Throws `invalid`. */
export function parseHealthcheck(input: ParseInput): HealthcheckInstruction {
  const [type, rest] = firstWord(input.rest);
  if (type === "") throw new CooperError("invalid", "HEALTHCHECK requires at least one argument");
  const none = { interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  const argv = jsonForm(rest);
  if (type === "NONE") {
    const empty = argv === undefined ? rest === "" : argv.length === 0;
    if (!empty) throw new CooperError("invalid", "HEALTHCHECK NONE takes no arguments");
    return { kind: "healthcheck", ...input.source, test: ["NONE"], ...none };
  }
  const flags = parseFlags(input.flags, FLAGS, "HEALTHCHECK");
  if (type !== "CMD") {
    throw new CooperError("invalid", `Unknown type "${type}" of HEALTHCHECK`, {
      hint: nearHint(type, ["CMD", "NONE"]) ?? "It can be CMD or NONE",
    });
  }
  const test = argv === undefined ? ["CMD-SHELL", rest] : ["CMD", ...argv];
  if (argv === undefined ? rest === "" : argv.length === 0) {
    throw new CooperError("invalid", "A command is missing after HEALTHCHECK CMD");
  }
  return {
    kind: "healthcheck",
    ...input.source,
    test,
    interval: interval("interval", flags.interval),
    timeout: interval("timeout", flags.timeout),
    startPeriod: interval("start-period", flags["start-period"]),
    startInterval: interval("start-interval", flags["start-interval"]),
    retries: retries(flags.retries),
  };
}

function firstWord(text: string): [word: string, rest: string] {
  let end = 0;
  while (end < text.length && !isSpace(text.charCodeAt(end))) end++;
  return [text.slice(0, end).toUpperCase(), trim(text.slice(end))];
}

const MILLISECOND = 1e6;

/** Nothing and zero mean the default; anything else is at least a millisecond. */
function interval(name: string, value: string | undefined): number {
  if (value === undefined || value === "") return 0;
  const duration = parseDuration(value);
  if (duration !== 0 && duration < MILLISECOND) {
    throw new CooperError("invalid", `Flag --${name} of HEALTHCHECK is less than 1ms: "${value}"`);
  }
  return duration;
}

function retries(value: string | undefined): number {
  if (value === undefined || value === "") return 0;
  const number = /^[+-]?\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= 0 && number < 2 ** 31)) {
    throw new CooperError(
      "invalid",
      `Flag --retries of HEALTHCHECK takes a number from 0 on, not "${value}"`,
    );
  }
  return number;
}
