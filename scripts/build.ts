/** Makes dist/cooper: the command line as one file for this machine's platform. */
import { mkdirSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

const root = dirname(import.meta.dir);
const output = join(root, "dist", "cooper");
const unfinished = `${output}.${process.pid}`;

mkdirSync(dirname(output), { recursive: true });
const result = await Bun.build({
  // Beside the program, each worker's file; paths in the compiled file are relative to `root`.
  entrypoints: [join(root, "src/cli/main.ts"), join(root, "src/archive/compress-worker.ts")],
  root: join(root, "src"),
  // Stack traces in reports stay readable: syntax and white space are shortened, names are not.
  minify: { whitespace: true, syntax: true, identifiers: false },
  bytecode: true,
  // In pieces, so that a command loads the code that it runs and no other: `config` starts in three quarters of the time.
  format: "esm",
  splitting: true,
  target: "bun",
  compile: { outfile: unfinished, autoloadDotenv: false, autoloadBunfig: false },
});
if (!result.success) {
  for (const message of result.logs) console.error(message);
  process.exit(1);
}
// Whoever runs dist/cooper meanwhile has the old one or the new one.
renameSync(unfinished, output);
console.log(`dist/cooper: ${(statSync(output).size / 1e6).toFixed(0)} MB`);
