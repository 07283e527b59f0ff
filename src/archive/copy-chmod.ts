/**
 * Modes as `--chmod` takes them: octal, or symbolic as in chmod(1). The symbolic language is that of BSD's setmode(3),
 * which BuildKit uses, with a umask of 0; it differs from GNU's in `t` and in that a class may be copied (`g=u`).
 */
import { CooperError } from "../base/errors.ts";

/** Bits that one action of a symbolic mode works on. */
export type ModeAction =
  | { kind: "set" | "clear"; bits: number }
  /** `X`: only for directories and for what anybody may execute already. */
  | { kind: "set-if-executable"; bits: number }
  /** `g=u`: bits of one class to others. `shifts` are those of the receiving classes. */
  | { kind: "copy"; from: number; shifts: number[]; operator: "+" | "-" | "=" };

/** What --chmod asks for. */
export type ChmodSpec = { kind: "octal"; mode: number } | { kind: "symbolic"; actions: ModeAction[] };

const READ = 0o444;
const WRITE = 0o222;
const EXECUTE = 0o111;
const SET_ID = 0o6000;
const STICKY = 0o1000;
const OTHER = 0o007;
const ALL = 0o6777;

const CLASSES: Record<string, number> = { a: ALL, u: 0o4700, g: 0o2070, o: OTHER };
const SHIFTS: Record<string, number> = { u: 6, g: 3, o: 0 };

/** Parses the argument of --chmod. Throws `invalid`. */
export function parseChmod(text: string): ChmodSpec {
  if (/^[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode <= 0o7777) return { kind: "octal", mode };
  }
  if (/^[0-9]/.test(text)) throw malformed(text, "an octal mode lies between 0 and 07777");
  return { kind: "symbolic", actions: text.split(",").flatMap((clause) => parseClause(clause, text)) };
}

function malformed(text: string, reason: string): CooperError {
  return new CooperError("invalid", `"${text}" is not a mode for --chmod: ${reason}`, {
    hint: "Give an octal mode (0644) or a symbolic one (u=rwX,go=rX)",
  });
}

function parseClause(clause: string, text: string): ModeAction[] {
  const parts = /^([augo]*)((?:[-+=][rwxXstugo]*)+)$/.exec(clause);
  if (parts === null) throw malformed(text, `"${clause}" is no clause of a symbolic mode`);
  const who = Array.from(parts[1]!).reduce((bits, letter) => bits | CLASSES[letter]!, 0);
  return parts[2]!.match(/[-+=][^-+=]*/g)!.flatMap((step) => parseStep(who, step));
}

/** One operator with its permissions. A letter of a class among them ends what was collected so far. */
function parseStep(whoWritten: number, step: string): ModeAction[] {
  const operator = step[0] as "+" | "-" | "=";
  const actions: ModeAction[] = [];
  let who = whoWritten;
  let bits = 0;
  let conditional = 0;
  let assigned = false;
  const mask = () => (who === 0 ? 0o7777 : who);
  const flush = (last: boolean) => {
    if (bits !== 0 || (last && operator === "=" && !assigned)) {
      if (operator === "=") actions.push({ kind: "clear", bits: who === 0 ? ALL : who });
      actions.push({ kind: operator === "-" ? "clear" : "set", bits: bits & mask() });
    }
    if (conditional !== 0) actions.push({ kind: "set-if-executable", bits: conditional & mask() });
    bits = 0;
    conditional = 0;
  };
  // "Others" alone have neither set-id bits nor a sticky one.
  const special = whoWritten === 0 || (whoWritten & ~OTHER) !== 0;
  for (const letter of step.slice(1)) {
    if (letter === "r") bits |= READ;
    else if (letter === "w") bits |= WRITE;
    else if (letter === "x" || (letter === "X" && operator === "-")) bits |= EXECUTE;
    else if (letter === "X") conditional = EXECUTE;
    else if (letter === "s") bits |= special ? SET_ID : 0;
    else if (letter === "t") {
      if (!special) continue;
      who |= STICKY;
      bits |= STICKY;
    } else {
      flush(false);
      assigned = true;
      actions.push({ kind: "copy", from: SHIFTS[letter]!, shifts: shiftsOf(who), operator });
    }
  }
  flush(true);
  return actions;
}

function shiftsOf(who: number): number[] {
  if (who === 0) return [6, 3, 0];
  return [6, 3, 0].filter((shift) => (who & (0o4 << shift)) !== 0);
}

/** Permission bits (07777) of an entry after --chmod. */
export function applyChmod(spec: ChmodSpec, mode: number, isDirectory: boolean): number {
  if (spec.kind === "octal") return spec.mode;
  const before = mode & 0o7777;
  let after = before;
  for (const action of spec.actions) {
    if (action.kind === "set") after |= action.bits;
    else if (action.kind === "clear") after &= ~action.bits;
    else if (action.kind === "copy") after = copyClass(after, action);
    else if (isDirectory || (before & EXECUTE) !== 0) after |= action.bits;
  }
  return after;
}

function copyClass(mode: number, action: Extract<ModeAction, { kind: "copy" }>): number {
  const value = (mode >> action.from) & OTHER;
  let after = mode;
  for (const shift of action.shifts) {
    if (action.operator === "=") after &= ~(OTHER << shift);
    if (action.operator === "-") after &= ~(value << shift);
    else after |= value << shift;
  }
  return after;
}
