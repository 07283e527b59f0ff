/** The process that connects a command's network, which ends with the run, or with us. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";

const READY_MILLISECONDS = 5000;

/** Starts it, and waits until `readyFile` has text in it. `name` is for errors: `system`, with what the program says. */
export async function startConnecting(
  name: string,
  argv: string[],
  readyFile: string,
): Promise<{ close(): Promise<void> }> {
  const wrapper = [findProgram("setpriv") ?? "setpriv", "--pdeathsig", "KILL", "--"];
  const child = Bun.spawn([...wrapper, ...argv], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    cwd: "/",
  });
  const close = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  const deadline = Date.now() + READY_MILLISECONDS;
  while (child.exitCode === null && Date.now() < deadline) {
    if (hasText(readyFile)) return { close };
    await Bun.sleep(2);
  }
  await close();
  const said = (await child.stderr.text()).trim();
  throw new CooperError(
    "system",
    `Cannot connect the private network: ${name} ${said === "" ? "is not ready in time" : `says: ${said}`}`,
  );
}

function hasText(path: string): boolean {
  try {
    return readFileSync(path).length > 0;
  } catch {
    return false;
  }
}
