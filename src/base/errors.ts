/** The one error class of Cooper and how foreign failures become it. */

/** What went wrong, for programs: stable words that callers may switch on. */
export type ErrorCode =
  | "usage" // the caller asked for something malformed: a flag, an argument, an API option
  | "invalid" // input from outside is malformed: a Dockerfile, an archive, a manifest, a config file
  | "not-found" // a named thing does not exist
  | "exists" // a name is taken
  | "in-use" // a thing cannot be removed or changed because something depends on it
  | "denied" // the host or a remote refuses for lack of permission
  | "unsupported" // the host, or Cooper, cannot do this; the message says which
  | "integrity" // bytes do not match their digest or size
  | "run-failed" // a command in a container ended with a non-zero status
  | "cancelled" // the caller's AbortSignal, or a signal to the process
  | "system" // a system call or a helper program failed
  | "internal"; // a defect of Cooper itself

/** A place in a text file, one-based lines, for excerpts. */
export interface Location {
  file: string;
  /** First line, counted from 1. */
  line: number;
  /** Last line, inclusive; the first line when absent. */
  endLine?: number;
}

export interface ErrorDetail {
  /** What the reader can do about it; a sentence without a full stop. */
  hint?: string;
  location?: Location;
  cause?: unknown;
  /** Exit status of the command that failed, for `run-failed`. */
  exitCode?: number;
  /** The last lines that the command wrote, for `run-failed`. */
  output?: string;
  /** Path of a file with all that was written until then. */
  log?: string;
}

/**
 * Every failure that Cooper reports. The message says what was being done, to what, and why it failed:
 * sentence case, no final period. The CLI alone renders it.
 */
export class CooperError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly location: Location | undefined;
  readonly exitCode: number | undefined;
  readonly output: string | undefined;
  readonly log: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "CooperError";
    this.code = code;
    this.hint = detail.hint;
    this.location = detail.location;
    this.exitCode = detail.exitCode;
    this.output = detail.output;
    this.log = detail.log;
  }
}

/** Text of any thrown value. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "SQLiteError") return `the store's database failed: ${error.message}`;
  // A name behind an open directory says nothing to a reader (archive/pinned-root.ts).
  return error.message.replace(/ '\/proc\/self\/fd\/[^']*'(?: -> '[^']*')?/g, "");
}

/** The `code` of a failed system call ("ENOENT"…), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof CooperError) return errnoOf(error.cause);
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** Whether there was no room for what was written: the file system's answer, or the database's. */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof CooperError) return isDiskFull(error.cause);
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT" || code === "SQLITE_FULL";
}

/** What an error knows beside its message, to be given to the one that takes its place. */
function detailOf(error: CooperError): ErrorDetail {
  return {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.location === undefined ? {} : { location: error.location }),
    ...(error.exitCode === undefined ? {} : { exitCode: error.exitCode }),
    ...(error.output === undefined ? {} : { output: error.output }),
    ...(error.log === undefined ? {} : { log: error.log }),
  };
}

/** The same failure with what the reader can do about it. */
export function withHint(error: CooperError, hint: string): CooperError {
  return new CooperError(error.code, error.message, { ...detailOf(error), hint, cause: error.cause });
}

/**
 * Adds what was being done to a failure that does not know it: `Cannot read /x: permission denied`. A CooperError keeps
 * its code and all that it knows.
 */
export function wrapError(doing: string, error: unknown, code: ErrorCode = "system"): CooperError {
  const message = `${doing}: ${messageOf(error)}`;
  if (!(error instanceof CooperError)) return new CooperError(code, message, { cause: error });
  return new CooperError(error.code, message, { ...detailOf(error), cause: error });
}

/** The text as a sentence begins. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The same error with a place in a file, unless it already has one. */
export function locateError(error: unknown, location: Location): CooperError {
  if (!(error instanceof CooperError))
    return new CooperError("system", sentence(messageOf(error)), { location, cause: error });
  if (error.location !== undefined) return error;
  return new CooperError(error.code, error.message, {
    ...detailOf(error),
    location,
    cause: error.cause ?? error,
  });
}

/** The same error with the path of the whole log. */
export function errorWithLog(error: unknown, log: string): CooperError {
  const known = error instanceof CooperError ? error : wrapError("Build", error);
  return new CooperError(known.code, known.message, { ...detailOf(known), log, cause: known.cause ?? known });
}
