/** Which signals STOPSIGNAL takes: those that Docker knows (signal(7), without Linux's odd ones). */
import { CooperError } from "../base/errors.ts";
import { nearHint } from "../dockerfile/suggest.ts";

const NAMES = new Set(
  (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP " +
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX"
  ).split(" "),
);
for (let i = 1; i <= 15; i++) NAMES.add(`RTMIN+${i}`);
for (let i = 1; i <= 14; i++) NAMES.add(`RTMAX-${i}`);

/** Checks the value of STOPSIGNAL: a name with or without SIG in any case, or a number other than 0. Throws `invalid`. */
export function checkSignal(text: string): void {
  if (/^[+-]?\d+$/.test(text) ? Number(text) !== 0 : NAMES.has(text.toUpperCase().replace(/^SIG/, "")))
    return;
  const hint = nearHint(text.toUpperCase().replace(/^SIG/, ""), NAMES, "SIG");
  throw new CooperError("invalid", `Invalid signal "${text}"`, hint === undefined ? {} : { hint });
}
