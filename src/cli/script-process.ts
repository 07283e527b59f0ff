/** The script that this command is part of, as a process. */
import { readFileSync } from "node:fs";

/** Programs that start a command, wait for it, and end with it. */
const WRAPPERS = new Set(["sudo", "doas", "timeout", "time", "strace", "ltrace"]);

/**
 * The process whose end is the script's: the parent, but a subshell, which is a copy of its shell and so has its command
 * line, stands for that shell (`$(cd x && cooper …)`), and a wrapper (`sudo cooper …`) for the one that started it.
 */
export function scriptProcess(): number {
  for (let pid = process.ppid; ; ) {
    const parent = parentOf(pid);
    if (parent === undefined || parent <= 1) return pid;
    const isSubshell = commandLineOf(pid) !== "" && commandLineOf(pid) === commandLineOf(parent);
    if (!isSubshell && !WRAPPERS.has(nameOf(pid))) return pid;
    pid = parent;
  }
}

/** From /proc/PID/stat: fields count from the last parenthesis, since a name may hold anything. */
function parentOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat === "" ? undefined : Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

const nameOf = (pid: number) => read(`/proc/${pid}/comm`).trimEnd();
const commandLineOf = (pid: number) => read(`/proc/${pid}/cmdline`);

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
