/**
 * Walks what a COPY or ADD takes from one source, entry by entry. Copying and hashing both do so through this module,
 * so that a cache key covers exactly what would be copied.
 */
import type { BigIntStats } from "node:fs";
import type { Work } from "../base/turns.ts";
import type { PatternList, PatternState } from "../dockerfile/pattern-list.ts";
import type { SourceMatch } from "./match-sources.ts";
import type { Pins } from "./pinned-root.ts";
import { hostPath, listView, type SourceView } from "./source-view.ts";

export interface WalkedEntry {
  /** Host path. */
  source: string;
  /** Path relative to what is copied; "" is that itself. */
  path: string;
  stat: BigIntStats;
  /** How system calls reach `source`. */
  pins: Pins;
}

/** What a system call on an entry is given; one that follows no link at the end. */
export function reach({ source, stat, pins }: WalkedEntry): string {
  return stat.isDirectory() ? pins.directory(source) : pins.entry(source);
}

export interface WalkVisitor {
  /**
   * A directory, before its entries. `wanted` is false for one that only leads to something wanted (--parents): it is
   * made when it is missing. Called late for these, when the first wanted thing below them is met.
   */
  enter(entry: WalkedEntry, wanted: boolean): Work<void> | undefined;
  /** The same directory after its entries; not called for one that was never entered. */
  leave(entry: WalkedEntry, wanted: boolean): Work<void> | undefined;
  /** Anything else. What takes long is work that may be left in between. */
  file(entry: WalkedEntry): Work<void> | undefined;
}

export interface WalkOptions {
  /** COPY --exclude: judges paths relative to what is copied, never what is copied itself. */
  exclude: PatternList | undefined;
  /** A directory that is not entered: the destination, should it lie inside the source. */
  avoid: { dev: bigint; ino: bigint } | undefined;
}

interface Frame {
  entry: WalkedEntry;
  wanted: boolean;
  entered: boolean;
}

/** So many entries are walked before the work may be left. */
const ENTRIES = 64;

/** Walks a source depth first, by the bytes of names. Returns how many wanted entries there were. */
export function* walkSource(
  view: SourceView,
  match: SourceMatch,
  options: WalkOptions,
  visitor: WalkVisitor,
): Work<number> {
  const { pins } = view;
  const top: WalkedEntry = { source: hostPath(view, match.path), path: "", stat: match.stat, pins };
  if (!match.stat.isDirectory()) {
    yield* visitor.file(top) ?? [];
    return 1;
  }
  const { include } = match;
  const { exclude, avoid } = options;
  const frames: Frame[] = [];
  // The top itself is wanted without being judged; with --parents it is no part of what the source names.
  let wantedCount = include === undefined ? 1 : 0;
  let met = 0;
  function* enterAll(): Work<void> {
    for (const frame of frames) {
      if (frame.entered) continue;
      yield* visitor.enter(frame.entry, frame.wanted) ?? [];
      frame.entered = true;
    }
  }
  function* directory(
    entry: WalkedEntry,
    wanted: boolean,
    inView: string,
    includeState: PatternState | undefined,
    excludeState: PatternState | undefined,
  ): Work<void> {
    const frame: Frame = { entry, wanted, entered: false };
    frames.push(frame);
    if (wanted) yield* enterAll();
    const skip = inView === "" ? 0 : inView.length + 1;
    for (const { path: childInView, stat } of listView(view, inView)) {
      const name = childInView.slice(skip);
      const path = entry.path === "" ? name : `${entry.path}/${name}`;
      const child: WalkedEntry = {
        source: `${entry.source === "/" ? "" : entry.source}/${name}`,
        path,
        stat,
        pins,
      };
      const childInclude = include?.step(path, includeState);
      const childExclude = exclude?.step(path, excludeState);
      const excluded = childExclude?.matched === true;
      const childWanted = !excluded && childInclude?.matched !== false;
      if (childWanted) wantedCount++;
      if (++met % ENTRIES === 0) yield;
      if (!stat.isDirectory()) {
        if (!childWanted) continue;
        if (frame.entered !== true) yield* enterAll();
        yield* visitor.file(child) ?? [];
        continue;
      }
      if (excluded && !exclude!.hasExceptions) continue;
      if (childInclude?.matched === false && !include!.mayMatchBelow(path)) continue;
      if (stat.ino === avoid?.ino && stat.dev === avoid.dev) continue;
      yield* directory(child, childWanted, childInView, childInclude, childExclude);
    }
    frames.pop();
    if (frame.entered) yield* visitor.leave(entry, wanted) ?? [];
  }
  yield* directory(top, true, match.path, undefined, undefined);
  return wantedCount;
}
