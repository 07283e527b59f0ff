/**
 * `.dockerignore` and its kin: which paths of a build context exist for a build. The reading of the file is that of
 * github.com/moby/patternmatcher/ignorefile, the judgement that of BuildKit's walk of a context (see pattern-list.ts).
 * Which file applies is decided elsewhere. An ignored Dockerfile, or ignore file, can still be read by the builder;
 * it is only COPY, ADD and mounts that do not see it.
 */
import type { Location } from "../base/errors.ts";
import { PatternList, type PatternState } from "./pattern-list.ts";
import { cleanPath } from "./pattern.ts";
import { trim } from "./spaces.ts";

/** Judges paths of a context: relative, cleaned, separated by slashes ("src/a.c"). */
export interface IgnoreMatcher {
  /** Where the patterns come from, for hints: the file's name. */
  readonly origin: string;
  /** Whether any pattern begins with `!`. */
  readonly hasExceptions: boolean;
  /**
   * Whether a path does not exist for the build. An ignored directory still exists when something below it does; see
   * mayUnignoreBelow. Fast when paths come directory by directory.
   */
  ignores(path: string): boolean;
  /** Whether an ignored directory must be walked, because an exception could apply below it. */
  mayUnignoreBelow(directory: string): boolean;
}

/**
 * Reads an ignore file. `text` is its content as a name (base/path-bytes.ts: decodeName), `file` its path for errors.
 * Throws `invalid` with the file and line for a
 * malformed pattern; the matcher itself does so for one that is malformed in a way that Docker too finds late.
 */
export function parseIgnoreFile(text: string, file: string): IgnoreMatcher {
  const patterns: string[] = [];
  const locations: Location[] = [];
  for (const [index, line] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    const pattern = readLine(line);
    if (pattern === undefined) continue;
    patterns.push(pattern);
    locations.push({ file, line: index + 1 });
  }
  return ignoreMatcher(patterns, file, locations);
}

/** Pattern of a line, or undefined for comments and blank lines. A comment starts in the first column. */
function readLine(line: string): string | undefined {
  if (line.startsWith("#")) return undefined;
  const text = trim(line);
  if (text === "") return undefined;
  const exception = text.startsWith("!");
  const path = exception ? trim(text.slice(1)) : text;
  if (path === "") return "!";
  const clean = cleanPath(path);
  // Leading slashes mean the context's root, as does their absence.
  const relative = clean.length > 1 && clean.startsWith("/") ? clean.slice(1) : clean;
  return exception ? `!${relative}` : relative;
}

/** A matcher for patterns in the form that parseIgnoreFile makes them. Throws `invalid`. */
export function ignoreMatcher(
  patterns: readonly string[],
  origin: string,
  locations: readonly Location[] = [],
): IgnoreMatcher {
  const list = new PatternList(patterns, locations);
  const directories = new Map<string, PatternState>();

  function judge(path: string): PatternState {
    const slash = path.lastIndexOf("/");
    return list.step(path, slash <= 0 ? undefined : judgeDirectory(path.slice(0, slash)));
  }

  function judgeDirectory(path: string): PatternState {
    let state = directories.get(path);
    if (state === undefined) {
      state = judge(path);
      directories.set(path, state);
    }
    return state;
  }

  return {
    origin,
    hasExceptions: list.hasExceptions,
    ignores: (path) => path !== "" && path !== "." && judge(path).matched,
    mayUnignoreBelow: (directory) => list.mayExceptBelow(directory),
  };
}
