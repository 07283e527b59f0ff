/**
 * Compiles a seccomp filter to a classic BPF program (seccomp(2), struct seccomp_data): per ABI a binary search over
 * the call's number. libseccomp needs 14 ms for Docker's profile, this less than one.
 */
import { endianness } from "node:os";
import { CooperError } from "../base/errors.ts";
import type { SeccompArgument, SeccompFilter, SeccompRule } from "./seccomp.ts";
import { NEWEST_SYSCALL, type SyscallAbi, syscallNumbers } from "./syscall-numbers.ts";

interface Instruction {
  code: number;
  jt: number;
  jf: number;
  k: number;
}

// Offsets in struct seccomp_data, little endian.
const OFFSET = { number: 0, arch: 4, args: 16 } as const;
const OP = {
  load: 0x20,
  jumpAlways: 0x05,
  jumpEqual: 0x15,
  jumpGreater: 0x25,
  jumpAtLeast: 0x35,
  and: 0x54,
  return: 0x06,
} as const;
const ERRNO = 0x00050000;
const ENOSYS = 38;
const KILL_PROCESS = 0x80000000;
const X32_BIT = 0x40000000;
const RETURNS: Record<string, number> = {
  SCMP_ACT_ALLOW: 0x7fff0000,
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: KILL_PROCESS,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
};

/** AUDIT_ARCH_* of each ABI (linux/audit.h). */
export const AUDIT_ARCH: Record<SyscallAbi, number> = {
  x86_64: 0xc000003e,
  i386: 0x40000003,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
};
const ABI_OF: Record<string, SyscallAbi> = {
  SCMP_ARCH_X86_64: "x86_64",
  SCMP_ARCH_X86: "i386",
  SCMP_ARCH_AARCH64: "aarch64",
  SCMP_ARCH_ARM: "arm",
};

const load = (k: number): Instruction => ({ code: OP.load, jt: 0, jf: 0, k });
const ret = (k: number): Instruction => ({ code: OP.return, jt: 0, jf: 0, k });
const jump = (code: number, k: number, jt: number, jf: number): Instruction => ({ code, jt, jf, k });

/**
 * The program for this machine, 8 bytes an instruction. Calls of an ABI that the filter does not name end the process;
 * x32 calls, and calls newer than our tables, fail with ENOSYS, so that programs fall back (as with runc).
 */
export function compileSeccomp(filter: SeccompFilter): Uint8Array {
  if (endianness() !== "LE")
    throw new CooperError("unsupported", "Cannot compile a seccomp filter on a big-endian machine");
  const abis = filter.architectures.map((name) => ABI_OF[name]).filter((abi) => abi !== undefined);
  const program: Instruction[] = [load(OFFSET.arch)];
  for (const abi of new Set(abis)) {
    const body = compileAbi(filter, abi);
    program.push(jump(OP.jumpEqual, AUDIT_ARCH[abi], 1, 0), jump(OP.jumpAlways, body.length, 0, 0), ...body);
  }
  program.push(ret(KILL_PROCESS));
  return encode(program);
}

function compileAbi(filter: SeccompFilter, abi: SyscallAbi): Instruction[] {
  const body = [load(OFFSET.number)];
  if (abi === "x86_64") body.push(jump(OP.jumpAtLeast, X32_BIT, 0, 1), ret(ERRNO | ENOSYS));
  const intervals = intervalsOf(filter, abi);
  search(intervals, 0, intervals.length, body);
  return body;
}

/** Calls from `first` up to the next interval's first, all decided by `code`. */
interface Interval {
  first: number;
  code: Instruction[];
}

function intervalsOf(filter: SeccompFilter, abi: SyscallAbi): Interval[] {
  const fallback = [ret(returnOf(filter.defaultAction, filter.defaultErrnoRet))];
  const decided = decisions(filter, abi, fallback);
  const intervals: Interval[] = [];
  let last: Instruction[] | undefined;
  const add = (first: number, code: Instruction[]) => {
    if (code !== last && !sameReturn(last, code)) intervals.push({ first, code });
    last = code;
  };
  for (let number = 0; number <= NEWEST_SYSCALL; number++) add(number, decided.get(number) ?? fallback);
  const refuses = (fallback[0]!.k & 0xffff0000) === ERRNO;
  const unknown = refuses ? [ret(ERRNO | ENOSYS)] : fallback;
  add(NEWEST_SYSCALL + 1, unknown);
  for (const number of [...decided.keys()].filter((key) => key > NEWEST_SYSCALL).sort((a, b) => a - b)) {
    add(number, decided.get(number)!);
    if (!decided.has(number + 1)) add(number + 1, unknown);
  }
  return intervals;
}

/** Whether both do nothing but return the same value. */
function sameReturn(a: Instruction[] | undefined, b: Instruction[]): boolean {
  return a?.length === 1 && b.length === 1 && a[0]!.k === b[0]!.k;
}

/**
 * What decides each call that a rule names. A rule without conditions decides alone, as in libseccomp; else the first
 * whose conditions hold.
 */
function decisions(
  filter: SeccompFilter,
  abi: SyscallAbi,
  fallback: Instruction[],
): Map<number, Instruction[]> {
  const numbers = syscallNumbers(abi);
  const decided = new Map<number, Instruction[]>();
  const conditional = new Map<number, SeccompRule[]>();
  for (const rule of filter.syscalls) {
    const code = rule.args === undefined ? [ret(returnOf(rule.action, rule.errnoRet))] : undefined;
    for (const name of rule.names) {
      const number = numbers.get(name);
      if (number === undefined) continue;
      if (code === undefined) conditional.set(number, [...(conditional.get(number) ?? []), rule]);
      else if (!decided.has(number)) decided.set(number, code);
    }
  }
  for (const [number, rules] of conditional) {
    if (!decided.has(number)) decided.set(number, [...rules.flatMap(ruleCode), ...fallback]);
  }
  return decided;
}

/** Returns the rule's action when all of its conditions hold, and falls off its end otherwise. */
function ruleCode(rule: SeccompRule): Instruction[] {
  let code: Instruction[] = [ret(returnOf(rule.action, rule.errnoRet))];
  for (const condition of [...(rule.args ?? [])].reverse())
    code = [...conditionCode(condition, code.length), ...code];
  return code;
}

/** Continues behind itself when the condition holds and skips `rest` instructions more when it does not. */
function conditionCode({ index, value, valueTwo, op }: SeccompArgument, rest: number): Instruction[] {
  const lowWord = load(OFFSET.args + 8 * index);
  const highWord = load(OFFSET.args + 8 * index + 4);
  const [low, high] = words(value);
  if (op === "SCMP_CMP_MASKED_EQ") {
    const [wantedLow, wantedHigh] = words(valueTwo ?? 0);
    const and = (k: number): Instruction => ({ code: OP.and, jt: 0, jf: 0, k });
    return [
      highWord,
      and(high),
      jump(OP.jumpEqual, wantedHigh, 0, rest + 3),
      lowWord,
      and(low),
      jump(OP.jumpEqual, wantedLow, 0, rest),
    ];
  }
  if (op === "SCMP_CMP_EQ")
    return [highWord, jump(OP.jumpEqual, high, 0, rest + 2), lowWord, jump(OP.jumpEqual, low, 0, rest)];
  if (op === "SCMP_CMP_NE")
    return [highWord, jump(OP.jumpEqual, high, 0, 2), lowWord, jump(OP.jumpEqual, low, rest, 0)];
  // Ordered: a greater high word settles it, a smaller one too, and with equal ones the low words are compared.
  const greater = op === "SCMP_CMP_GT" || op === "SCMP_CMP_GE";
  const compare = op === "SCMP_CMP_GT" || op === "SCMP_CMP_LE" ? OP.jumpGreater : OP.jumpAtLeast;
  const settled = greater ? { above: 3, below: rest + 2 } : { above: rest + 3, below: 2 };
  return [
    highWord,
    jump(OP.jumpGreater, high, settled.above, 0),
    jump(OP.jumpEqual, high, 0, settled.below),
    lowWord,
    greater ? jump(compare, low, 0, rest) : jump(compare, low, rest, 0),
  ];
}

const words = (value: number): [low: number, high: number] => [
  Number(BigInt(value) & 0xffffffffn),
  Number(BigInt(value) >> 32n),
];

/** Appends the search for a number among `intervals` from `from` to before `to`. */
function search(intervals: Interval[], from: number, to: number, program: Instruction[]): void {
  if (to - from === 1) {
    program.push(...intervals[from]!.code);
    return;
  }
  const middle = (from + to) >> 1;
  const at = program.length;
  const test = jump(OP.jumpAtLeast, intervals[middle]!.first, 0, 0);
  program.push(test);
  search(intervals, from, middle, program);
  const below = program.length - at - 1;
  if (below <= 255) test.jt = below;
  else {
    // Conditional jumps reach 255 instructions; farther goes through an unconditional one.
    test.jf = 1;
    program.splice(at + 1, 0, jump(OP.jumpAlways, below, 0, 0));
  }
  search(intervals, middle, to, program);
}

function returnOf(action: string, errno: number | undefined): number {
  if (action === "SCMP_ACT_ERRNO") return ERRNO | ((errno ?? 1) & 0xffff);
  const value = RETURNS[action];
  if (value === undefined)
    throw new CooperError("unsupported", `Cannot compile a seccomp filter with the action ${action}`);
  return value;
}

/** struct sock_filter, little endian: `code` of 16 bits, `jt` and `jf` of 8, `k` of 32. */
function encode(program: Instruction[]): Uint8Array {
  const fields = new Uint32Array(program.length * 2);
  let at = 0;
  for (const { code, jt, jf, k } of program) {
    fields[at++] = code | (jt << 16) | (jf << 24);
    fields[at++] = k;
  }
  return new Uint8Array(fields.buffer);
}
