/**
 * Works in containers through the API in a process of its own, which gets a mount namespace: a line of JSON in for each
 * container, a line with what its runs gave out. Arguments: --root's and --runroot's values.
 */
import { createInterface } from "node:readline";
import { type ConfigEdits, type CopyOptions, from, openStore, type RunOptions } from "../../src/index.ts";

export interface ScriptedContainer {
  from: string;
  driver?: "overlay" | "copy";
  does: (
    | { run: string[]; options?: RunOptions }
    | { config: ConfigEdits }
    | { copy: string; to: string; options?: CopyOptions }
    | { mount: boolean }
    | { commit: string }
  )[];
}

/** Of each run; its output is what the command wrote on stdout. */
export type RunOutcome = { exitCode: number; cached: boolean; output: string } | { error: string };

const [root, runRoot] = process.argv.slice(2) as [string, string];

async function work({ from: base, driver, does }: ScriptedContainer): Promise<RunOutcome[]> {
  await using store = await openStore({ root, runRoot, ...(driver === undefined ? {} : { driver }) });
  await using container = await from(store, base);
  const outcomes: RunOutcome[] = [];
  for (const action of does) {
    if ("config" in action) await container.config(action.config);
    else if ("copy" in action) await container.copy([action.copy], action.to, action.options);
    else if ("mount" in action) await (action.mount ? container.mount() : container.umount());
    else if ("commit" in action) await container.commit(action.commit);
    else {
      let output = "";
      const onStdout = (chunk: Uint8Array) => {
        output += Buffer.from(chunk).toString();
      };
      outcomes.push(
        await container.run(action.run, { ...action.options, onStdout }).then(
          (result) => ({ ...result, output }),
          (error: unknown) => ({ error: String(error) }),
        ),
      );
    }
  }
  return outcomes;
}

if (import.meta.main) {
  for await (const line of createInterface({ input: process.stdin }))
    process.stdout.write(`${JSON.stringify(await work(JSON.parse(line) as ScriptedContainer))}\n`);
}
