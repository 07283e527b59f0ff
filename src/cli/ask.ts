/** Questions to a person at a terminal, and secrets from standard input. */
import { readFileSync } from "node:fs";
import { isTerminal } from "../base/terminals.ts";
import { CooperError } from "../base/errors.ts";
import { runProcess } from "../base/process.ts";
import { writeErr } from "./output.ts";

/** One line from the terminal; a secret one is not shown while it is typed. Throws `usage` where there is no terminal. */
export async function ask(
  question: string,
  settings: { secret: boolean; hint: string; signal: AbortSignal },
): Promise<string> {
  if (!isTerminal(0)) {
    throw new CooperError("usage", "Standard input is not a terminal, so that nobody can be asked", {
      hint: settings.hint,
    });
  }
  writeErr(question);
  if (!settings.secret) return await readLine(settings.signal);
  await showTyping(false);
  try {
    return await readLine(settings.signal);
  } finally {
    await showTyping(true);
    writeErr("\n");
  }
}

/** Standard input as one secret: the end of its last line is not part of it. */
export function readSecret(): string {
  return readFileSync(0, "utf8").replace(/\r?\n$/, "");
}

/** Only the echo: Ctrl-C and the keys that edit the line keep their meaning. */
async function showTyping(shown: boolean): Promise<void> {
  const { exitCode } = await runProcess(["stty", shown ? "echo" : "-echo"], { stdin: "inherit" });
  if (exitCode !== 0)
    throw new CooperError("system", "Cannot keep the terminal from showing what is typed: stty failed");
}

/** The terminal gives whole lines. */
function readLine(signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const end = () => {
      process.stdin.off("data", onData);
      process.stdin.off("end", onEnd);
      signal.removeEventListener("abort", onAbort);
      process.stdin.pause();
    };
    const fail = () => {
      end();
      reject(new CooperError("cancelled", "Nothing was entered"));
    };
    const onAbort = fail;
    const onEnd = fail;
    const onData = (chunk: Buffer) => {
      text += chunk.toString("utf8");
      const newline = text.indexOf("\n");
      if (newline === -1) return;
      end();
      resolve(text.slice(0, newline).replace(/\r$/, ""));
    };
    if (signal.aborted) return fail();
    signal.addEventListener("abort", onAbort);
    process.stdin.on("data", onData);
    process.stdin.on("end", onEnd);
    process.stdin.resume();
  });
}
