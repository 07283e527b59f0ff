/**
 * What lets programs that expect several users run where there is one: calls that would give files or processes to
 * another one succeed without effect, as under fakeroot. An error of 0 is success to the caller (seccomp(2)).
 */
import { CooperError } from "../base/errors.ts";
import {
  ARCHITECTURES,
  GO_ARCH,
  type SeccompArgument,
  type SeccompFilter,
  type SeccompRule,
} from "./seccomp.ts";

const ALLOW = "SCMP_ACT_ALLOW";
const PRETEND = { action: "SCMP_ACT_ERRNO", errnoRet: 0 };

/** Each in its 16-bit and its 32-bit form where an ABI has both. */
export const OWNER_CALLS = ["chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32"];
/** Calls by which a file takes another one's place. */
export const RENAME_CALLS = ["rename", "renameat", "renameat2"];
const IDS = [
  "setuid",
  "setgid",
  "setreuid",
  "setregid",
  "setresuid",
  "setresgid",
  "setgroups",
  "setfsuid",
  "setfsgid",
];
const ID_CALLS = [...IDS, ...IDS.map((name) => `${name}32`)];

/** mknod(2) and where its mode is. */
const NODES: [name: string, index: number][] = [
  ["mknod", 1],
  ["mknodat", 2],
];
const S_IFMT = 0o170000;
const DEVICES = [0o020000, 0o060000];
/** Fifos, sockets, and plain files by both of their names. */
const OTHERS = [0o010000, 0o140000, 0o100000, 0];

/**
 * The filter with these calls pretended, as far as it allows them; without a filter, one that does nothing else. With a
 * `listenerPath` those that give files away, and those that replace them, are handed to who listens there. Error:
 * `unsupported` on machines whose calls we do not know.
 */
export function pretendingIds(filter: SeccompFilter | undefined, listenerPath?: string): SeccompFilter {
  if (process.arch !== "x64" && process.arch !== "arm64") {
    throw new CooperError(
      "unsupported",
      `Cannot run commands with one id on ${process.arch}: the seccomp filter for that knows x86_64 and aarch64`,
      { hint: "With a range of ids no filter is needed: see `cooper doctor`" },
    );
  }
  const base = filter ?? { defaultAction: ALLOW, architectures: ARCHITECTURES[GO_ARCH] ?? [], syscalls: [] };
  const allowed = (name: string) => isAllowed(base, name);
  const handsOn = listenerPath !== undefined;
  const names = (handsOn ? ID_CALLS : [...OWNER_CALLS, ...ID_CALLS]).filter(allowed);
  const handedOn = handsOn ? [...OWNER_CALLS, ...RENAME_CALLS].filter(allowed) : [];
  const nodes = NODES.filter(([name]) => allowed(name));
  const taken = new Set([...names, ...handedOn, ...nodes.map(([name]) => name)]);
  // libseccomp takes no two answers for one call, and no rule that only repeats the default.
  const rest = base.syscalls
    .map((rule) => ({ ...rule, names: rule.names.filter((name) => !taken.has(name)) }))
    .filter((rule) => rule.names.length > 0);
  const pretended: SeccompRule[] = names.length === 0 ? [] : [{ names, ...PRETEND }];
  if (handedOn.length > 0) pretended.push({ names: handedOn, action: "SCMP_ACT_NOTIFY" });
  return {
    ...base,
    ...(handsOn && handedOn.length > 0 ? { listenerPath } : {}),
    syscalls: [...rest, ...pretended, ...nodes.flatMap(([name, index]) => nodeRules(base, name, index))],
  };
}

function isAllowed(filter: SeccompFilter, name: string): boolean {
  const rules = filter.syscalls.filter((rule) => rule.names.includes(name));
  if (rules.length === 0) return filter.defaultAction === ALLOW;
  return rules.every((rule) => rule.action === ALLOW && rule.args === undefined);
}

function nodeRules({ defaultAction }: SeccompFilter, name: string, index: number): SeccompRule[] {
  const ofType = (type: number): SeccompArgument => ({
    index,
    value: S_IFMT,
    valueTwo: type,
    op: "SCMP_CMP_MASKED_EQ",
  });
  const devices = DEVICES.map((type) => ({ names: [name], ...PRETEND, args: [ofType(type)] }));
  if (defaultAction === ALLOW) return devices;
  return [...devices, ...OTHERS.map((type) => ({ names: [name], action: ALLOW, args: [ofType(type)] }))];
}
