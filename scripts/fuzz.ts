/**
 * Feeds the readers of what comes from outside with what never was: npm run fuzz -- [TARGET…] [--seconds N] [--seed N].
 * Only a CooperError may come out, in bounded time and memory. Inputs that show otherwise are kept in --crashes.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runFuzz } from "../test/fuzz/run-fuzz.ts";
import { TARGETS } from "../test/fuzz/targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    crashes: { type: "string", default: "fuzz-crashes" },
  },
});
const unknown = positionals.find((name) => !Object.hasOwn(TARGETS, name));
if (unknown !== undefined) {
  console.error(`There is no target ${unknown}; there are ${Object.keys(TARGETS).join(", ")}`);
  process.exit(2);
}
console.log(`seed ${values.seed}, ${values.seconds} seconds for each target`);
let failed = false;
for (const target of positionals.length > 0 ? positionals : Object.keys(TARGETS)) {
  const milliseconds = Number(values.seconds) * 1000;
  const { executions, refused, crashes } = await runFuzz({
    target,
    seed: Number(values.seed),
    milliseconds,
    executions: Number.MAX_SAFE_INTEGER,
  });
  console.log(`${target.padEnd(16)} ${executions} executions, ${refused} refused, ${crashes.length} crashes`);
  for (const [i, { input, problem }] of crashes.entries()) {
    failed = true;
    mkdirSync(values.crashes, { recursive: true });
    const file = join(values.crashes, `${target}-${values.seed}-${i}`);
    writeFileSync(file, Buffer.from(input, "base64"));
    console.log(`  ${file}: ${problem}`);
  }
}
process.exit(failed ? 1 : 0);
