/** What a check finds. */
import type { Host } from "./host.ts";

/** `error`: builds fail for it; `warning`: something less than a build is missing, or will be soon. */
export type CheckStatus = "ok" | "warning" | "error";

export interface Check {
  /** A stable word for programs: `subuid`, `overlay`. */
  id: string;
  status: CheckStatus;
  /** What is so, or the cause of what is wrong. */
  finding: string;
  /** What does not work for it. */
  consequence?: string;
  /** Command line, or the step, that mends it. */
  remedy?: string;
}

export function ok(id: string, finding: string): Check {
  return { id, status: "ok", finding };
}

export function warning(id: string, finding: string, consequence: string, remedy?: string): Check {
  return { id, status: "warning", finding, consequence, ...(remedy === undefined ? {} : { remedy }) };
}

export function failure(id: string, finding: string, consequence: string, remedy?: string): Check {
  return { id, status: "error", finding, consequence, ...(remedy === undefined ? {} : { remedy }) };
}

const MANAGERS = [
  ["apt-get", "apt-get install"],
  ["dnf", "dnf install"],
  ["microdnf", "microdnf install"],
  ["apk", "apk add"],
  ["zypper", "zypper install"],
  ["pacman", "pacman -S"],
] as const;

/** The host's command that installs a package, by its name on Debian and, where that differs, elsewhere. */
export function install(host: Host, debian: string, elsewhere = debian): string {
  const manager = MANAGERS.find(([program]) => host.find(program) !== undefined);
  if (manager === undefined) return `install the package ${debian} (elsewhere ${elsewhere})`;
  return `${manager[1]} ${manager[0] === "apt-get" ? debian : elsewhere}`;
}

/** The last line of what a program said on its standard error. */
export function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
