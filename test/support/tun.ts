/** /dev/net/tun for ordinary users, as most hosts have it. */
import { chmodSync, existsSync } from "node:fs";
import { join } from "node:path";
import { makedev, mknod } from "../../src/base/file-calls.ts";

/** Makes a node that everybody may open, in a directory of the test's; returns its path. As root. */
export function openTun(directory: string): string {
  const tun = join(directory, "tun");
  if (!existsSync(tun)) {
    mknod(tun, 0o020666, makedev(10, 200));
    chmodSync(tun, 0o666);
  }
  return tun;
}
