/** Finds what the sources of a COPY or ADD name, inside the root that they are looked up in and nowhere else. */
import type { BigIntStats } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { cleanPath, compilePattern, hasWildcards } from "../dockerfile/pattern.ts";
import { PatternList } from "../dockerfile/pattern-list.ts";
import { nearName } from "../dockerfile/suggest.ts";
import {
  listView,
  namesInView,
  resolveInView,
  type SourceView,
  statInView,
  type ViewEntry,
} from "./source-view.ts";

/** One thing to copy. */
export interface SourceMatch {
  /** The source as written. */
  pattern: string;
  /** Last component of the path by which it was found: the name that a file gets inside a directory. */
  name: string;
  /** Path in the view with all symbolic links followed; "" is the root. */
  path: string;
  stat: BigIntStats;
  /** With `parents`: what below `path` is copied. */
  include: PatternList | undefined;
  /** With `parents` and without wildcards: nothing copied means that the source does not exist. */
  required: boolean;
}

export interface MatchOptions {
  /** Whether `*`, `?`, `[` and `\` are special; otherwise sources are names. */
  wildcards: boolean;
  /** COPY --parents: the directories of a source are kept, from the root or from `/./` on. */
  parents: boolean;
  /** What the view is, for errors: "the build context", "stage base". */
  label: string;
}

/**
 * Everything that the sources name, in the order of the sources and, for each pattern, of the names' bytes. A source
 * that is or leads through symbolic links is followed. A pattern that matches nothing gives nothing (so does BuildKit);
 * a source without wildcards that does not exist throws `not-found`, a malformed pattern `invalid`.
 */
export function matchSources(
  view: SourceView,
  sources: readonly string[],
  options: MatchOptions,
): SourceMatch[] {
  return sources.flatMap((source) => matchSource(view, source, options));
}

function matchSource(view: SourceView, source: string, options: MatchOptions): SourceMatch[] {
  if (!options.parents) return expand(view, source, source, options).map((found) => toMatch(source, found));
  const { base, below } = splitAtPivot(source);
  const include = new PatternList([below]);
  const required = !options.wildcards || !(hasWildcards(base) || hasWildcards(below));
  return expand(view, base, source, options).map((found) => ({
    ...toMatch(source, found),
    include,
    required,
  }));
}

/** `a/./b/c` keeps `b/c` of what is in `a`; without the pivot all of it is kept. */
function splitAtPivot(source: string): { base: string; below: string } {
  const pivot = source.indexOf("/./");
  const base = pivot === -1 ? "/" : source.slice(0, pivot);
  const below = pivot === -1 ? source : source.slice(pivot + "/./".length);
  return { base, below: cleanPath(`/${below}`).slice(1) };
}

interface Found extends ViewEntry {
  name: string;
}

function toMatch(pattern: string, { name, path, stat }: Found): SourceMatch {
  return { pattern, name, path, stat, include: undefined, required: false };
}

function expand(view: SourceView, path: string, written: string, options: MatchOptions): Found[] {
  const parts = cleanPath(`/${path}`).slice(1).split("/");
  const first = options.wildcards ? parts.findIndex(hasWildcards) : -1;
  if (first === -1) return [lookUp(view, parts.join("/"), written, options)];
  const prefix = parts.slice(0, first).join("/");
  const start = lookUp(view, prefix, written, options);
  const pattern = parts.slice(first).join("/");
  return matchBelow(view, start, pattern).map((match) => {
    const name = match.slice(match.lastIndexOf("/") + 1);
    const entry = resolveInView(view, match);
    if (entry === undefined) throw notFound(view, match, written, options);
    return { ...entry, name };
  });
}

function lookUp(view: SourceView, path: string, written: string, options: MatchOptions): Found {
  const entry = resolveInView(view, path);
  if (entry === undefined) throw notFound(view, path, written, options);
  return { ...entry, name: path.slice(path.lastIndexOf("/") + 1) };
}

/** Paths below a directory that a pattern matches. What is below a match is not looked at, nor are links followed. */
function matchBelow(view: SourceView, start: ViewEntry, pattern: string): string[] {
  const test = compilePattern(pattern);
  // Only a class can match a slash, and so paths deeper than the pattern.
  const depth = pattern.includes("[^") ? Number.POSITIVE_INFINITY : pattern.split("/").length;
  const skip = start.path === "" ? 0 : start.path.length + 1;
  const found: string[] = [];
  const walk = (directory: string, level: number) => {
    for (const { path, stat } of listView(view, directory)) {
      if (test(path.slice(skip))) found.push(path);
      else if (stat.isDirectory() && level < depth) walk(path, level + 1);
    }
  };
  if (start.stat.isDirectory()) walk(start.path, 1);
  return found;
}

/** The error for a source that does not exist, with what may have been meant. */
export function notFound(
  view: SourceView,
  path: string,
  written: string,
  options: { label: string },
): CooperError {
  const shown = path === cleanPath(`/${written}`).slice(1) ? written : `${written} (/${path})`;
  const hint = missingHint(view, path, written, options.label);
  return new CooperError(
    "not-found",
    `Cannot copy ${shown}: not found in ${options.label}`,
    hint === undefined ? {} : { hint },
  );
}

function missingHint(view: SourceView, path: string, written: string, label: string): string | undefined {
  const { ignore } = view;
  if (ignore !== undefined && statInView(view, path) !== undefined && ignore.ignores(path))
    return `It exists, but ${ignore.origin} excludes it`;
  const slash = path.lastIndexOf("/");
  const directory = resolveInView(view, path.slice(0, Math.max(slash, 0)));
  if (directory?.stat.isDirectory() !== true)
    return slash > 0 ? `/${path.slice(0, slash)} is no directory in ${label}` : undefined;
  const names = namesInView(view, directory.path);
  const near = nearName(path.slice(slash + 1), names);
  const root = written.startsWith("/") ? "/" : "";
  return near === undefined ? undefined : `Did you mean ${root}${path.slice(0, slash + 1)}${near}?`;
}
