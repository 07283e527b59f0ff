/** A user namespace that is there while a process waits in it: made with a map, or somebody else's. */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { CooperError, messageOf } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import { type IdMap, type IdMaps, mapsOf } from "./command-ids.ts";

export interface HeldNamespace {
  /** Open; it outlives the process. */
  fd: number;
  maps: IdMaps;
  close(): void;
}

/** A new user namespace with these ids. Errors: `unsupported`, with what the kernel says. */
export function makeNamespace(maps: IdMaps): Promise<HeldNamespace> {
  return hold("make a user namespace", ["unshare", "--user"], (pid) => {
    writeMap(pid, "uid", maps.uids);
    writeMap(pid, "gid", maps.gids);
  });
}

/** The user namespace that a path stands for. Errors: as makeNamespace(). */
export function joinNamespace(path: string): Promise<HeldNamespace> {
  return hold(`join the user namespace ${path}`, ["nsenter", `--user=${path}`, "--preserve-credentials"]);
}

/** Says when it is there, and goes when nobody waits for it any more. */
const WAITER = "echo; read -r line";

async function hold(
  what: string,
  [name, ...options]: [string, ...string[]],
  prepare?: (pid: number) => void,
): Promise<HeldNamespace> {
  const program = findProgram(name);
  if (program === undefined) throw refused(what, `there is no ${name}`, "Install util-linux");
  const argv = [program, ...options, "--", findProgram("sh") ?? "/bin/sh", "-c", WAITER];
  const child = Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  try {
    const { done } = await child.stdout.getReader().read();
    if (done) throw refused(what, (await new Response(child.stderr).text()).trim());
    try {
      prepare?.(child.pid);
    } catch (error) {
      throw refused(what, messageOf(error));
    }
    const fd = openSync(`/proc/${child.pid}/ns/user`, "r");
    return { fd, maps: mapsOf(child.pid), close: () => closeSync(fd) };
  } finally {
    await child.stdin.end();
    await child.exited;
  }
}

/** All lines at once: a map is written one time (user_namespaces(7)). */
function writeMap(pid: number, kind: "uid" | "gid", maps: IdMap[]): void {
  const lines = maps.map(({ inside, outside, count }) => `${inside} ${outside} ${count}\n`);
  writeFileSync(`/proc/${pid}/${kind}_map`, lines.join(""));
}

function refused(what: string, why: string, hint?: string): CooperError {
  return new CooperError(
    "unsupported",
    `Cannot ${what} for the command: ${why}`,
    hint === undefined ? {} : { hint },
  );
}
