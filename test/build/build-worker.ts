/**
 * Builds through the API in a process of its own, since a build gives its process a mount namespace: a line of JSON in
 * for each build, a line with its steps out. Arguments: --root's and --runroot's values.
 */
import { createInterface } from "node:readline";
import { type BuildOptions, build, enterUserNamespace, openStore } from "../../src/index.ts";

const [root, runRoot] = process.argv.slice(2) as [string, string];
await enterUserNamespace({ root, runRoot });
await using store = await openStore({ root, runRoot });

for await (const line of createInterface({ input: process.stdin })) {
  const steps: { text: string; cached: boolean }[] = [];
  const options = JSON.parse(line) as BuildOptions;
  const result = await build(store, {
    ...options,
    onEvent: (event) => {
      if (event.type === "step-done") steps.push({ text: event.step.text, cached: event.cached });
    },
  }).then(
    ({ imageId }) => ({ imageId, steps }),
    (error: unknown) => ({ error: String(error), steps }),
  );
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
