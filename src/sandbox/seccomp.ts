/** Seccomp filters in the runtime specification's shape, and Docker's default one. */
import { ALLOWED_CLONE, ALLOWED_IF, ALLOWED_ON, ALLOWED_WITH, ALWAYS_ALLOWED } from "./seccomp-profile.ts";

/** One condition on an argument; MASKED_EQ compares `argument & value` with `valueTwo`. */
export interface SeccompArgument {
  index: number;
  value: number;
  valueTwo?: number;
  op: string;
}

export interface SeccompRule {
  names: string[];
  action: string;
  errnoRet?: number;
  /** All must hold. */
  args?: SeccompArgument[];
}

/** `linux.seccomp` of the runtime specification. */
export interface SeccompFilter {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures: string[];
  syscalls: SeccompRule[];
  /** Socket, relative to the bundle, at which the answers to SCMP_ACT_NOTIFY come from. */
  listenerPath?: string;
}

const EPERM = 1;
const ENOSYS = 38;
/** Go's name of this machine. */
export const GO_ARCH = process.arch === "arm64" ? "arm64" : "amd64";
/** ABIs of a machine, its own first. */
export const ARCHITECTURES: Record<string, string[]> = {
  amd64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

const names = (text: string): string[] => text.trim().split(/\s+/);

/** Docker's default profile for a command that has these capabilities. */
export function defaultSeccomp(capabilities: readonly string[]): SeccompFilter {
  const allow = "SCMP_ACT_ALLOW";
  const withCapabilities = capabilities.flatMap((capability) =>
    names(ALLOWED_WITH[capability] ?? "").filter(Boolean),
  );
  const always = [...names(ALWAYS_ALLOWED), ...names(ALLOWED_ON[GO_ARCH] ?? ""), ...withCapabilities];
  const syscalls: SeccompRule[] = [{ names: [...new Set(always)], action: allow }];
  for (const [name, argument] of ALLOWED_IF)
    syscalls.push({ names: [name], action: allow, args: [argument] });
  if (!capabilities.includes("CAP_SYS_ADMIN")) {
    syscalls.push({ names: ["clone"], action: allow, args: [ALLOWED_CLONE] });
    syscalls.push({ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS });
  }
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: EPERM,
    architectures: ARCHITECTURES[GO_ARCH] ?? [],
    syscalls,
  };
}
