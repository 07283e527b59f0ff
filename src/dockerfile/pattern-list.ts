/**
 * Ordered lists of path patterns with exceptions, as .dockerignore, `--exclude` and `--parents` use them: the semantics
 * of github.com/moby/patternmatcher, which BuildKit matches with, its oddities included.
 */
import { CooperError, type Location, locateError } from "../base/errors.ts";
import { checkPattern, cleanPath } from "./pattern.ts";
import { compileExpression } from "./pattern-expression.ts";
import { trim } from "./spaces.ts";

interface Pattern {
  /** Starts with `!`: takes paths out of what the patterns before it match. */
  exception: boolean;
  /** The cleaned text, without `!`. */
  text: string;
  test: (path: string) => boolean;
}

/** What the patterns said of a directory, which those of its entries start from. */
export interface PatternState {
  /** Whether the list as a whole matches. */
  matched: boolean;
  /** Which patterns matched this path or one of its parents. */
  each: readonly boolean[];
}

/** Patterns in order; the last that applies decides. Paths are relative, cleaned and separated by slashes. */
export class PatternList {
  readonly #patterns: Pattern[];

  /**
   * Throws `invalid` for malformed patterns and for a lone `!`. Empty patterns are passed over. What only a comparison
   * would stumble on is thrown by the first one, and never for a pattern that is not asked. `locations` are where the
   * patterns are written.
   */
  constructor(patterns: readonly string[], locations: readonly Location[] = []) {
    this.#patterns = patterns.flatMap((pattern, index) => parsePattern(pattern, locations[index]));
  }

  /** Whether any pattern is an exception. */
  get hasExceptions(): boolean {
    return this.#patterns.some((pattern) => pattern.exception);
  }

  /**
   * Judges an entry of a directory whose own state is known; an entry at the top has no parent. A pattern that matched
   * the parent matches here too; one that was not asked there, because it could not have changed the outcome, is asked
   * about this path alone. This is how BuildKit walks a context.
   */
  step(path: string, parent: PatternState | undefined): PatternState {
    const each: boolean[] = [];
    let matched = false;
    for (const [index, pattern] of this.#patterns.entries()) {
      let hit = parent?.each[index] ?? false;
      if (!hit && pattern.exception === matched) hit = pattern.test(path);
      each.push(hit);
      if (hit) matched = !pattern.exception;
    }
    return { matched, each };
  }

  /** Judges a single path, each pattern asked about it and all of its parents. */
  matches(path: string): boolean {
    const prefixes = prefixesOf(path);
    let matched = false;
    for (const pattern of this.#patterns) {
      if (pattern.exception !== matched) continue;
      if (prefixes.some((prefix) => pattern.test(prefix))) matched = !pattern.exception;
    }
    return matched;
  }

  /** Whether an exception may apply to something below a directory that the list matches. */
  mayExceptBelow(directory: string): boolean {
    return this.#mayApplyBelow(directory, true);
  }

  /** Whether something below a directory that the list does not match may be matched. */
  mayMatchBelow(directory: string): boolean {
    return this.#mayApplyBelow(directory, false);
  }

  // Decided by the text before the first wildcard alone: every path that a pattern matches starts with it.
  #mayApplyBelow(directory: string, exception: boolean): boolean {
    const below = `${directory}/`;
    return this.#patterns.some((pattern) => {
      if (pattern.exception !== exception) return false;
      const fixed = /^[^*?[\\]*/.exec(pattern.text)![0];
      if (fixed.startsWith(below)) return true;
      return fixed.length < pattern.text.length && below.startsWith(fixed);
    });
  }
}

function prefixesOf(path: string): string[] {
  const prefixes = [path];
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
    prefixes.push(path.slice(0, at));
  return prefixes;
}

function parsePattern(written: string, location: Location | undefined): Pattern[] {
  const trimmed = trim(written);
  if (trimmed === "") return [];
  const clean = cleanPath(trimmed);
  const exception = clean.startsWith("!");
  const text = exception ? clean.slice(1) : clean;
  const locate = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw location === undefined ? error : locateError(error, location);
    }
  };
  locate(() => {
    if (text === "") throw new CooperError("invalid", 'Pattern "!" is malformed: it excepts nothing');
    checkPattern(text);
  });
  let compiled: ((path: string) => boolean) | undefined;
  const test = (path: string) => {
    compiled ??= locate(() => compileExpression(text));
    return compiled(path);
  };
  return [{ exception, text, test }];
}
