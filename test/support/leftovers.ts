/** What a command must not leave behind: mounts and processes that have to do with a directory. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** Lines of this mount namespace's mountinfo that mention the directory. */
export function mountsMentioning(directory: string): string[] {
  return mountLines("self").filter((line) => line.includes(directory));
}

/** Mount points below a directory, deepest first. */
export function mountPointsBelow(directory: string): string[] {
  return mountLines("self")
    .map((line) => decodeMountField(line.split(" ")[4] ?? ""))
    .filter((point) => point.startsWith(`${directory}/`))
    .sort((a, b) => b.length - a.length);
}

// Blanks and the like stand in mountinfo as \040.
function decodeMountField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function mountLines(pid: string): string[] {
  return read(`/proc/${pid}/mountinfo`).split("\n").filter(Boolean);
}

export interface Leftover {
  pid: number;
  command: string;
  /** Where the directory is mentioned. */
  because: "command line" | "environment" | "mounts";
}

/**
 * Processes that have to do with a directory: by their command line, their environment, or by what they have mounted: a
 * container's root names the layers it is made of, a keeper's mounts are in a namespace of its own. Any other mount in
 * another namespace proves nothing: a new one begins with copies of all that is mounted, by whomever.
 */
export function processesMentioning(directory: string): Leftover[] {
  const ours = namespaceOf("self");
  const keepers = hasKeepers(directory);
  const found: Leftover[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid || isZombie(name)) continue;
    const command = read(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim();
    if (command.includes(directory)) found.push({ pid, command, because: "command line" });
    else if (read(`/proc/${name}/environ`).includes(directory))
      found.push({ pid, command, because: "environment" });
    else if (namespaceOf(name) !== ours && holdsMount(name, directory, keepers && isKeeper(command)))
      found.push({ pid, command, because: "mounts" });
  }
  return found;
}

/** As its root or, of a keeper, anywhere. */
function holdsMount(pid: string, directory: string, anywhere: boolean): boolean {
  return mountLines(pid).some((line) => line.includes(directory) && (anywhere || line.split(" ")[4] === "/"));
}

const isKeeper = (command: string): boolean => command.startsWith("cooper-keeper");

/** Root mounts where everybody sees it. */
function hasKeepers(directory: string): boolean {
  return (statSync(directory, { throwIfNoEntry: false })?.uid ?? 0) !== 0;
}

// A child that has ended and that nobody has waited for yet is no process that runs.
function isZombie(pid: string): boolean {
  return /^State:\s+Z/m.test(read(`/proc/${pid}/status`));
}

function namespaceOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return "";
  }
}

// Processes end while we look at them, and kernel threads have no command line.
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** Waits until a condition holds; false when it did not within the time (milliseconds). */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  within = 10_000,
): Promise<boolean> {
  const end = Date.now() + within;
  while (!(await condition())) {
    if (Date.now() > end) return false;
    await Bun.sleep(50);
  }
  return true;
}

/** Ids of the running processes whose command line holds a word, such as `sleep 31415`. */
export function processesRunning(words: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && !isZombie(String(pid)))
    .filter((pid) => read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() === words);
}
