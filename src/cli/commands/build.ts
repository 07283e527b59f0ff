import { CooperError, errorWithLog, withHint } from "../../base/errors.ts";
import { isTerminal } from "../../base/terminals.ts";
import type { BuildLog, BuildOptions, BuildReport, BuildResult, EventSink, StepLabel } from "../../index.ts";
import { BUILD_FLAGS } from "../build-flags.ts";
import { type BuildContext, buildOptions } from "../build-options.ts";
import { writeMetadata } from "../build-output.ts";
import {
  type BuildProgress,
  type BuildProgressOptions,
  logFileName,
  openBuildProgress,
} from "../build-progress.ts";
import { defineCommand, onStore } from "../command.ts";
import { exitStatusOf } from "../exit-status.ts";
import { writeIdFile } from "../id-file.ts";
import { writeResult } from "../json-flag.ts";
import { writeErr, writeOut } from "../output.ts";
import { showsWarnings } from "../progress.ts";
import { plainRenderer } from "../render-build.ts";
import { renderChecks } from "../render-checks.ts";
import type { ReportFile } from "../report/report-file.ts";

/** buildah-build(1) */
export const command = defineCommand({
  name: "build",
  aliases: ["bud", "build-using-dockerfile"],
  summary: "Build an image from a Dockerfile",
  usage: "[CONTEXT]",
  args: { max: 1 },
  flags: BUILD_FLAGS,
  unsupported: ["cw", "decryption-key", "layer-label", "sign-by"],
  details: [
    "CONTEXT is a directory, a tar archive, a git repository (URL#REF:DIRECTORY), an http(s) URL of an archive or a Dockerfile, or - for one of both on standard input; by default the one of --file, else the current one. The Dockerfile is Containerfile or Dockerfile there. Steps and output go to standard error; the image's ID alone to standard output. For several platforms the build is done for each of them, what is the same for all (stages FROM --platform=$BUILDPLATFORM) once; the ID is that of the list of images, which push --all and manifest push send.",
  ],
  examples: [
    "cooper build -t localhost/app .",
    "cooper bud --layers --build-arg VERSION=2 -f Dockerfile.dev .",
    "id=$(cooper bud -q .)",
    "cooper bud --platform linux/amd64,linux/arm64 -t reg.example.com/app .",
    "cooper bud --secret id=token,env=TOKEN,cache-salt -t localhost/app .",
    "cooper bud --sbom syft-spdx --sbom-output app.spdx.json -t localhost/app .",
    "cooper bud --report build.html -t localhost/app .",
    "cooper bud --cache-from reg.example.com/cache --cache-to reg.example.com/cache .",
  ],
  namespace: onStore,
  async run(context) {
    const { flags } = context;
    const options = buildOptions(context);
    if (flags.check && flags.report !== undefined)
      throw new CooperError("usage", "--report cannot be given with --check, which builds nothing");
    if (flags.check) return check(context, options);
    if (flags["debug-shell"]) requireTerminal();
    using progress = await openBuildProgress({
      // A question that a command asks is to be seen as it is.
      progress: flags.progress ?? (flags.stdin ? "plain" : undefined),
      quiet: flags.quiet,
      ...logOf(flags, options),
      warnings: showsWarnings(context.globals.logLevel),
    });
    const reportFile = flags.report === undefined ? undefined : await openReportFile(flags.report);
    let report: BuildReport | undefined;
    if (reportFile !== undefined) options.onReport = (made) => (report = made);
    let result: BuildResult;
    try {
      result = await buildWithLog(context, options, progress);
    } catch (error) {
      progress.end();
      if (report !== undefined) await reportFile?.write(report);
      // Where it was interrupted says nothing.
      if (context.signal.aborted && progress.mode !== "rawjson") throw context.signal.reason;
      if (progress.mode === "rawjson") {
        writeErr((await import("../raw-json.ts")).errorJson(error));
        return exitStatusOf(error);
      }
      // Otherwise it has been seen already.
      if (progress.mode === "quiet" && error instanceof CooperError && error.output !== undefined)
        writeErr(withNewline(error.output));
      throw progress.mode === "tty" && isTerminal(0) ? withShellHint(error, flags["debug-shell"]) : error;
    }
    progress.end();
    if (report !== undefined) await reportFile?.write(report);
    if (progress.mode === "plain" || progress.mode === "tty")
      for (const name of result.names) writeErr(`Successfully tagged ${name}\n`);
    if (flags["metadata-file"] !== undefined) writeMetadata(flags["metadata-file"], result);
    // As in Buildah, the ID goes to one or the other; to neither where the output of the build itself goes.
    if (flags.iidfile !== undefined) writeIdFile(flags.iidfile, `sha256:${result.imageId}`);
    else if (!options.outputs?.some(({ destination }) => destination === "-"))
      writeResult(flags.json, result, [result.imageId]);
    return 0;
  },
});

function logOf(
  { logfile, logsplit }: BuildContext["flags"],
  { platforms = [] }: BuildOptions,
): Pick<BuildProgressOptions, "logFile" | "splitLog"> {
  if (logsplit && platforms === "all")
    throw new CooperError("usage", "--logsplit needs platforms that are named: --all-platforms has none");
  const splitLog = logsplit && platforms.length > 1;
  const logFile = logFileName(logfile, logsplit, platforms[0]);
  return { logFile: splitLog ? logfile : logFile, splitLog };
}

/** A RUN that fails leaves the whole log of the build behind: in the file that was named, else in one of the store. */
async function buildWithLog(
  { api, store }: BuildContext,
  options: BuildOptions,
  progress: BuildProgress,
): Promise<BuildResult> {
  const { build, openBuildLog } = await api();
  const opened = await store();
  using log = await openBuildLog(opened);
  const lines = plainRenderer((data) => log.write(data), { warnings: true });
  const onEvent: EventSink = (event) => {
    progress.onEvent(event);
    if (event.type === "debug-shell" && event.open) writeErr(debugShellNotice(event.step));
    lines.onEvent(event);
  };
  try {
    return await build(opened, { ...options, onEvent });
  } catch (error) {
    if (!(error instanceof CooperError) || error.code !== "run-failed") throw error;
    lines.end();
    const file = progress.logFile ?? keptLog(log);
    throw file === undefined ? error : errorWithLog(error, file);
  }
}

/** What failed is told also where its log finds no room. */
function keptLog(log: BuildLog): string | undefined {
  try {
    return log.keep();
  } catch {
    return undefined;
  }
}

async function openReportFile(path: string): Promise<ReportFile> {
  const { openReport } = await import("../report/report-file.ts");
  return openReport(path, "--report");
}

/** Exits as `docker build --check` does. */
async function check({ api, store }: BuildContext, options: BuildOptions): Promise<number> {
  const { checkBuild } = await api();
  const warnings = await checkBuild(await store(), options);
  writeOut(renderChecks(warnings));
  return warnings.length === 0 ? 0 : 1;
}

function requireTerminal(): void {
  if (isTerminal(0) && isTerminal(1)) return;
  throw new CooperError("usage", "--debug-shell needs a terminal on standard input and output");
}

/** Where somebody is there to use it, and nothing better is known. */
function withShellHint(error: unknown, hadShell: boolean | undefined): unknown {
  const isPlain = error instanceof CooperError && error.code === "run-failed" && error.hint === undefined;
  return isPlain && !hadShell
    ? withHint(error, "--debug-shell opens a shell there, with the files as they were before")
    : error;
}

function debugShellNotice({ index, total }: StepLabel): string {
  return `A shell with the files as before step ${index}/${total}. Leave it to end the build.\n`;
}

function withNewline(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}
