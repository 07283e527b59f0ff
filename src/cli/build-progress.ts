/** Where the progress of `build` goes: to the terminal or a log file, and always to the log that a failure leaves. */
import { closeSync, openSync } from "node:fs";
import { CooperError, wrapError } from "../base/errors.ts";
import type { BuildEvent } from "../index.ts";
import { writeAll, writeErr } from "./output.ts";
import {
  openTerminal,
  parseProgress,
  type Progress,
  type ProgressMode,
  settledMode,
  wishedProgress,
} from "./progress.ts";
import { plainRenderer } from "./render-build.ts";

export interface BuildProgressOptions {
  /** --progress as it was given, if it was. */
  progress: string | undefined;
  quiet: boolean;
  logFile: string | undefined;
  /** In place of the log file one for each platform that events are about, by its name. */
  splitLog: boolean;
  warnings: boolean;
}

export interface BuildProgress extends Progress {
  mode: Exclude<ProgressMode, "auto">;
  /** The one that everything is in. */
  logFile: string | undefined;
}

/** With a log file the output goes there and, unless another kind of progress was asked for, nowhere else, as in Buildah. */
export async function openBuildProgress(options: BuildProgressOptions): Promise<BuildProgress> {
  const { progress, quiet, logFile, splitLog, warnings } = options;
  const asked =
    progress === undefined ? wishedProgress(process.env.COOPER_PROGRESS) : parseProgress(progress);
  const silent = logFile !== undefined && (progress === undefined || asked === "plain" || asked === "auto");
  const mode = quiet || silent ? "quiet" : settledMode(asked);
  const shown = await open(mode, warnings);
  const openLog = splitLog ? splitLogFile : openLogFile;
  const logged = logFile === undefined ? nothing : openLog(logFile, warnings);
  const end = () => {
    shown.end();
    logged.end();
  };
  return {
    logFile: splitLog ? undefined : logFile,
    mode: quiet ? "quiet" : settledMode(asked),
    onEvent: (event) => {
      shown.onEvent(event);
      logged.onEvent(event);
    },
    end,
    [Symbol.dispose]: end,
  };
}

const nothing: Progress = { onEvent: () => {}, end: () => {}, [Symbol.dispose]: () => {} };

async function open(mode: BuildProgress["mode"], warnings: boolean): Promise<Progress> {
  switch (mode) {
    case "quiet":
      return nothing;
    case "tty":
      return openTerminal({ warnings });
    case "rawjson":
      return (await import("./raw-json.ts")).rawJson({ warnings });
    case "plain":
      return plainRenderer(writeErr, { warnings });
  }
}

function openLogFile(path: string, warnings: boolean): Progress {
  let fd: number | undefined;
  try {
    fd = openSync(path, "w");
  } catch (error) {
    throw wrapError(`Cannot write the log ${path}`, error);
  }
  const renderer = plainRenderer((data) => writeAll(fd!, data), { warnings });
  const end = () => {
    if (fd === undefined) return;
    renderer.end();
    closeSync(fd);
    fd = undefined;
  };
  return { onEvent: renderer.onEvent, end, [Symbol.dispose]: end };
}

/** `PATH_OS_ARCHITECTURE[_VARIANT]` for each platform; what is about none of them is in all. */
function splitLogFile(path: string, warnings: boolean): Progress {
  const logs = new Map<string, Progress>();
  const common: BuildEvent[] = [];
  const logOf = (platform: string): Progress => {
    let log = logs.get(platform);
    if (log === undefined) {
      log = openLogFile(`${path}_${platform.replaceAll("/", "_")}`, warnings);
      for (const event of common) log.onEvent(event);
      logs.set(platform, log);
    }
    return log;
  };
  const end = () => {
    for (const log of logs.values()) log.end();
  };
  return {
    onEvent: (event) => {
      const platform = platformOfEvent(event);
      if (platform !== undefined) return logOf(platform).onEvent(event);
      common.push(event);
      for (const log of logs.values()) log.onEvent(event);
    },
    end,
    [Symbol.dispose]: end,
  };
}

/** What an event of a build for several platforms is about. */
function platformOfEvent(event: BuildEvent): string | undefined {
  if ("step" in event) return event.step?.platform;
  return "platform" in event ? event.platform : undefined;
}

/** `FILE_OS_ARCHITECTURE` with --logsplit. Throws `usage` where there is no file. */
export function logFileName(
  file: string | undefined,
  split: boolean,
  platform: string | undefined,
): string | undefined {
  if (!split) return file;
  if (file === undefined) throw new CooperError("usage", "--logsplit needs --logfile");
  const host = `linux/${process.arch === "x64" ? "amd64" : process.arch}`;
  const [os, architecture] = (platform ?? host).split("/");
  return `${file}_${os}_${architecture}`;
}
