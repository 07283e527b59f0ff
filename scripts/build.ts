/**
 * Makes the command line as one file: dist/cooper for this machine; with `--all` or `--target NAME`, dist/cooper-NAME for
 * other platforms.
 */
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { hostTarget, REPOSITORY, runtimeFor, type Target, targetsOf } from "./targets.ts";

/** Path of the program for a target, when it is built. */
export function builtFor(target: Target): string {
  return join(REPOSITORY, "dist", `cooper-${target.name}`);
}

/** Compiles into `output`, for `target` with its `runtime`, or for the Bun that runs this. */
export async function compile(
  output: string,
  target?: Target,
  runtime = target === undefined ? process.execPath : runtimeFor(target),
): Promise<void> {
  const unfinished = `${output}.${process.pid}`;
  mkdirSync(join(REPOSITORY, "dist"), { recursive: true });
  // The bundler puts the target's `process.arch` in place of the name; without `target` that would be this machine's.
  const foreign =
    target === undefined
      ? {}
      : { target: `bun-${target.name}` as Bun.Build.CompileTarget, executablePath: runtime };
  try {
    const result = await Bun.build({
      // Beside the program, each worker's file; paths in the compiled file are relative to `root`.
      entrypoints: [
        "cli/main.ts",
        "archive/compress-worker.ts",
        "archive/hash-worker.ts",
        "sandbox/owner-worker.ts",
      ].map((file) => join(REPOSITORY, "src", file)),
      root: join(REPOSITORY, "src"),
      // Stack traces in reports stay readable: syntax and white space are shortened, names are not.
      minify: { whitespace: true, syntax: true, identifiers: false },
      bytecode: true,
      // In pieces, so that a command loads the code that it runs and no other: `config` starts in three quarters of the time.
      format: "esm",
      splitting: true,
      target: "bun",
      compile: { outfile: unfinished, autoloadDotenv: false, autoloadBunfig: false, ...foreign },
    });
    if (!result.success) throw new AggregateError(result.logs, `Cannot compile ${output}`);
    // Whoever runs it meanwhile has the old one or the new one.
    renameSync(unfinished, output);
  } finally {
    rmSync(unfinished, { force: true });
  }
  console.log(`${relative(REPOSITORY, output)}: ${(statSync(output).size / 1e6).toFixed(0)} MB`);
}

/** The program for a target. For this machine's the runtime is at hand. */
export async function buildFor(target: Target): Promise<string> {
  const output = builtFor(target);
  await compile(output, target.name === hostTarget().name ? undefined : target);
  return output;
}

if (import.meta.main) {
  try {
    const argv = process.argv.slice(2);
    if (argv.length === 0) await compile(join(REPOSITORY, "dist/cooper"));
    else for (const target of targetsOf(argv)) await buildFor(target);
  } catch (error) {
    console.error(
      error instanceof AggregateError ? error.errors.join("\n") : `build: ${(error as Error).message}`,
    );
    process.exitCode = 1;
  }
}
