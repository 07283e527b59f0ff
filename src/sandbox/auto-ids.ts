/**
 * Ids that nobody else in the store has while a command runs (--userns auto): from the ranges of the user `containers` in
 * /etc/subuid and /etc/subgid. Who has which is in files that their processes lock, so that a killed one's are free again.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { flock, LOCK } from "../base/file-calls.ts";
import { type IdRange, subordinateRanges } from "../base/subordinate-ids.ts";
import type { AutoIds, IdMap, IdMaps } from "./command-ids.ts";

/** Whose ranges they are, as `root-auto-userns-user` of containers-storage.conf(5) has it. */
const OWNER = "containers";

/** Maps, until release(). Error: `unsupported` where there are not enough ids that are free. */
export function takeAutoIds(
  { size, uids = [], gids = [] }: AutoIds & { size: number },
  runtimeDir: string,
  files = { user: "/etc/subuid", group: "/etc/subgid" },
): { maps: IdMaps; release(): void } {
  const directory = join(runtimeDir, "auto-ids");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const everybody = openSync(join(directory, "lock"), "a", 0o600);
  try {
    flock(everybody, LOCK.EXCLUSIVE); // for as long as it takes to read some small files
    const others = takenMaps(directory);
    const maps = {
      uids: autoMap(
        files.user,
        size,
        uids,
        others.flatMap((taken) => taken.uids),
      ),
      gids: autoMap(
        files.group,
        size,
        gids,
        others.flatMap((taken) => taken.gids),
      ),
    };
    return { maps, release: note(directory, maps) };
  } finally {
    closeSync(everybody);
  }
}

/** What others have; the notes of those that have ended are removed. */
function takenMaps(directory: string): IdMaps[] {
  const names = readdirSync(directory).filter((name) => name.startsWith("taken-"));
  return names.flatMap((name) => {
    const path = join(directory, name);
    const fd = openSync(path, "r");
    try {
      const isFree = flock(fd, LOCK.EXCLUSIVE | LOCK.NONBLOCKING);
      if (!isFree) return [JSON.parse(readFileSync(fd, "utf8")) as IdMaps];
      rmSync(path);
      return [];
    } finally {
      closeSync(fd);
    }
  });
}

let notes = 0;

function note(directory: string, maps: IdMaps): () => void {
  const path = join(directory, `taken-${process.pid}-${notes++}`);
  const fd = openSync(path, "w", 0o600);
  flock(fd, LOCK.EXCLUSIVE);
  writeFileSync(fd, JSON.stringify(maps));
  return () => {
    rmSync(path, { force: true });
    closeSync(fd);
  };
}

/** Ids from 0 on, as many as asked for: those that were given, and free ones for the rest. */
function autoMap(file: string, size: number, given: readonly IdMap[], taken: readonly IdMap[]): IdMap[] {
  const ranges = subordinateRanges(file, { name: OWNER });
  const outside = (map: IdMap): IdRange => ({ first: map.outside, count: map.count });
  const inside = (map: IdMap): IdRange => ({ first: map.inside, count: map.count });
  const free = without(ranges, [...taken, ...given].map(outside));
  const wanted = without([{ first: 0, count: size }], given.map(inside));
  const [needed, there] = [wanted, free].map((list) => list.reduce((sum, { count }) => sum + count, 0));
  if (needed! > there!) {
    const [why, hint] =
      ranges.length === 0
        ? [
            "it has no line for that name",
            `Add ${OWNER}:2147483647:2147483648, or a range that nobody else has`,
          ]
        : [
            `${there} of its ids are free`,
            "Name a smaller number (--userns auto:size=1024), or give it another range",
          ];
    throw new CooperError("unsupported", `Cannot find ${needed} ids of ${OWNER} in ${file}: ${why}`, {
      hint,
    });
  }
  return [...given, ...laidOver(wanted, free)];
}

/** Ranges without what lies in others. */
function without(ranges: readonly IdRange[], others: readonly IdRange[]): IdRange[] {
  return others.reduce<IdRange[]>(
    (left, other) =>
      left.flatMap(({ first, count }) => {
        const [start, end] = [other.first, other.first + other.count];
        const parts = [
          { first, count: Math.min(count, start - first) },
          { first: Math.max(first, end), count: Math.min(count, first + count - end) },
        ];
        return parts.filter((part) => part.count > 0);
      }),
    [...ranges],
  );
}

/** The first ids of some ranges for those of others, in their order. */
function laidOver(wanted: IdRange[], free: IdRange[]): IdMap[] {
  const maps: IdMap[] = [];
  const left = free.map((range) => ({ ...range }));
  for (let { first, count } of wanted) {
    while (count > 0) {
      const from = left[0]!;
      const taken = Math.min(count, from.count);
      maps.push({ inside: first, outside: from.first, count: taken });
      first += taken;
      count -= taken;
      from.first += taken;
      from.count -= taken;
      if (from.count === 0) left.shift();
    }
  }
  return maps;
}
