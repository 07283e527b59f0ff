/** What is mounted in this process's mount namespace. */
import { readFileSync } from "node:fs";

/** Mount points as the kernel lists them (proc_pid_mountinfo(5)), octal escapes undone. */
export function mountPoints(): Set<string> {
  const points = new Set<string>();
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const point = line.split(" ", 5)[4];
    if (point !== undefined) points.add(unescapeOctal(point));
  }
  return points;
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Whether a path is a mount point; the path must hold no symbolic link. */
export function isMountPoint(path: string): boolean {
  return mountPoints().has(path);
}
