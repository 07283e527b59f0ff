/** The process that connects a command's network, which ends with the run, or with us. */
import { closeSync, fstatSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { memoryFile } from "../base/file-calls.ts";
import { findProgram } from "../base/process.ts";
import type { Connection, ConnectionPlace } from "./connector.ts";

/** Only a program that hangs takes so long: one that fails ends. */
const READY_MILLISECONDS = 30_000;

/** How much of what it says is kept. */
const SAID_BYTES = 4096;

export interface ConnectingProgram {
  /** For errors. */
  name: string;
  argv: string[];
  /**
   * The descriptor at which it says that it is ready, by writing anything. It is a file in memory, so that the program may
   * open it by name wherever its AppArmor profile lets it write.
   */
  readyFd: 1 | 3;
}

/**
 * Makes a namespace without a process in it, held by a mount that only we (and the program, and the run) see. One process
 * does both, one after the other, while this one may be busy.
 */
const IN_NEW_NAMESPACE = 'unshare "--net=$0" true && exec "$@"';

/** Makes the namespace, starts the program, and waits until it is ready. Error: `system`, with what the program says. */
export async function startConnecting(
  { name, argv, readyFd }: ConnectingProgram,
  { namespace, signal }: ConnectionPlace,
): Promise<Pick<Connection, "isAlive" | "close">> {
  const dying = [findProgram("setpriv") ?? "setpriv", "--pdeathsig", "KILL", "--"];
  const wrapper = [...dying, findProgram("sh") ?? "/bin/sh", "-c", IN_NEW_NAMESPACE, namespace];
  const ready = memoryFile("ready");
  try {
    const child = Bun.spawn([...wrapper, ...argv], {
      stdio: ["ignore", readyFd === 1 ? ready : "ignore", "pipe", ...(readyFd === 3 ? [ready] : [])],
      cwd: "/",
    });
    const said = beginningOf(child.stderr);
    const isAlive = () => child.exitCode === null && child.signalCode === null;
    const close = () => {
      child.kill("SIGKILL");
      child.unref();
    };
    const deadline = Date.now() + READY_MILLISECONDS;
    while (isAlive() && Date.now() < deadline && !signal.aborted) {
      if (fstatSync(ready).size > 0) return { isAlive, close };
      await Bun.sleep(1);
    }
    const why = isAlive() ? "is not ready in time" : `says: ${(await said).trim()}`;
    close();
    throw new CooperError("system", `Cannot connect the private network: ${name} ${why}`, {
      hint: "Use --network host, or see `cooper doctor`",
    });
  } finally {
    closeSync(ready);
  }
}

/** Reads on after it, so that nobody waits for a reader. */
async function beginningOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream)
    if (text.length < SAID_BYTES) text += Buffer.from(chunk).toString().slice(0, SAID_BYTES);
  return text;
}
