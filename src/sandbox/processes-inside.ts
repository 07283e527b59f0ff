/** Processes that have a container's tree as their root, and so could change it under the hands of whoever works on it. */
import { readdirSync, readlinkSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Ids of processes whose root is the mounted tree at `root` or lies in it (proc_pid_root(5)). An overlay has a device
 * number of its own, by which it is found in other mount namespaces, too. Processes that this one may not look at belong
 * to somebody who cannot reach the tree either.
 */
export function processesInside(root: string): number[] {
  const device = statSync(root).dev;
  // Of a tree that is no mount, only the path tells.
  const around = statSync(dirname(root)).dev;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isInside(`/proc/${name}/root`, root, device, around))
    .map(Number);
}

function isInside(link: string, root: string, device: number, around: number): boolean {
  try {
    const target = readlinkSync(link);
    if (target === root || target.startsWith(`${root}/`)) return true;
    return target === "/" && device !== around && statSync(link).dev === device;
  } catch {
    return false; // It has ended, or is somebody else's.
  }
}
