/** A shell for people in a container's root: its own, else the host's static busybox, which needs nothing of the image. */
import { closeSync, openSync, readSync } from "node:fs";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import type { RunMount } from "../sandbox/types.ts";
import { statusOf } from "../base/path-bytes.ts";

export interface Shell {
  argv: string[];
  /** What has to be mounted for it. */
  mounts: RunMount[];
}

const SHELLS = ["/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/busybox/sh"];

/** Where the host's busybox is bound: a path that no image has. */
const BORROWED = "/.cooper-shell/busybox";

/** The shell for a mounted root. Throws `unsupported` where neither the image nor the host has one. */
export function findShell(root: string): Shell {
  const own = SHELLS.find((path) => isProgram(root, path));
  if (own !== undefined) return { argv: [own], mounts: [] };
  const busybox = ["busybox", "busybox.static"].map(findProgram).find(isStatic);
  if (busybox === undefined) {
    throw new CooperError("unsupported", "There is no shell in the container, and none to lend it", {
      hint: "Install a static busybox on this host (Debian: busybox-static)",
    });
  }
  const mount: RunMount = { type: "bind", source: busybox, target: BORROWED, readOnly: true };
  return { argv: [BORROWED, "sh"], mounts: [mount] };
}

function isProgram(root: string, path: string): boolean {
  const stat = statusOf(resolveInRoot(root, path));
  return stat?.isFile() === true && (stat.mode & 0o111n) !== 0n;
}

/** Whether an ELF program names no interpreter (elf(5), PT_INTERP), and so runs in any root. */
function isStatic(path: string | undefined): path is string {
  if (path === undefined) return false;
  const start = Buffer.alloc(4096);
  const fd = openSync(path, "r");
  try {
    readSync(fd, start, 0, start.length, 0);
  } finally {
    closeSync(fd);
  }
  const PT_INTERP = 3;
  const isElf64 = start.readUInt32BE(0) === 0x7f454c46 && start[4] === 2;
  if (!isElf64) return false;
  const [headers, size, count] = [
    Number(start.readBigUInt64LE(32)),
    start.readUInt16LE(54),
    start.readUInt16LE(56),
  ];
  for (let index = 0; index < count; index++) {
    const at = headers + index * size;
    if (at + 4 > start.length || start.readUInt32LE(at) === PT_INTERP) return false;
  }
  return true;
}
