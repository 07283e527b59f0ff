#!/usr/bin/env bun
/** The program: everything is loaded only when the command line asks for it. */
import { exitNow } from "../base/process-calls.ts";
import { exitStatusOf, FAILURE } from "./exit-status.ts";
import { writeErr } from "./output.ts";
import { execute, printText, readRequest } from "./run-command.ts";
import { type Cancellation, catchSignals } from "./signals.ts";

async function main(argv: string[]): Promise<number> {
  if (argv[0] === "__sandbox-init") return sandboxInit(argv.slice(1));
  let cancellation: Cancellation | undefined;
  let verbose = false;
  try {
    const request = await readRequest(argv);
    if (request.kind === "text") {
      printText(request);
      return 0;
    }
    verbose = ["debug", "trace"].includes(request.globals.logLevel);
    const status = await execute(request, () => {
      cancellation = catchSignals();
      return cancellation;
    });
    return cancellation?.status() ?? status;
  } catch (error) {
    // For a program that runs this one.
    if (process.env.COOPER_ERRORS === "json") {
      writeErr((await import("./raw-json.ts")).errorJson(error));
      return cancellation?.status() ?? exitStatusOf(error);
    }
    const [{ renderError }, { hasColour }] = await Promise.all([
      import("./render-error.ts"),
      import("./progress.ts"),
    ]);
    writeErr(renderError(error, { verbose, colour: hasColour() }));
    return cancellation?.status() ?? exitStatusOf(error);
  }
}

/** The first process of the built-in chroot isolation is this program too: it prepares itself from a file, then becomes RUN. */
async function sandboxInit(args: string[]): Promise<number> {
  const { runSandboxInit } = await import("../index.ts");
  return await runSandboxInit(args[0] ?? "");
}

// Output is synchronous and the store needs no farewell: the runtime's would close the database, which syncs it.
main(process.argv.slice(2)).then(exitNow, (error) => {
  writeErr(`Error: ${error instanceof Error ? error.message : String(error)}\n`);
  exitNow(FAILURE);
});
