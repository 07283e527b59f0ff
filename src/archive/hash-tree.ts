/**
 * Content digests of what a COPY, ADD or bind mount takes in, for cache keys. Covered are names, types, modes, owners (as
 * far as the copy keeps them), link targets, device numbers, extended attributes, which names are hard links of each
 * other, and contents; not covered are modification times, and of a directory whose contents are copied its own metadata,
 * which is not copied either (`itself`).
 */
import { type Digest, Digester } from "../base/digest.ts";
import { inTurns, type Work } from "../base/turns.ts";
import { PatternList } from "../dockerfile/pattern-list.ts";
import type { SourceRequest } from "./copy-tree.ts";
import {
  describeMetadata,
  encodeRecord,
  FileGroup,
  type HashOptions,
  type HashSettings,
} from "./hash-entries.ts";
import { matchSources, notFound, type SourceMatch } from "./match-sources.ts";
import { type SourceView, viewOf } from "./source-view.ts";
import { type StatCache, timeNs } from "./stat-cache.ts";
import { type WalkedEntry, walkSource } from "./walk-sources.ts";

/** Digest of everything that copyFiles would copy. Throws what copyFiles throws for missing sources and bad patterns. */
export function* hashSources(
  request: SourceRequest,
  options: HashOptions = {},
  cache?: StatCache,
): Work<Digest> {
  const settings: HashSettings = { options, cache, since: timeNs() };
  const view = viewOf(request.sourceRoot, request.ignore);
  const label = request.label ?? request.sourceRoot;
  const exclude = request.exclude === undefined ? undefined : new PatternList(request.exclude);
  const hash = new Digester();
  for (const match of matchSources(view, request.sources, { ...request, label })) {
    const wanted = yield* hashMatch(hash, view, match, exclude, settings);
    if (wanted === 0 && match.required) throw notFound(view, match.pattern, match.pattern, { label });
  }
  return hash.digest();
}

/** The same, others having their turns meanwhile. */
export async function hashInTurns(
  request: SourceRequest,
  options: HashOptions,
  { cache, signal }: { cache?: StatCache | undefined; signal?: AbortSignal | undefined },
): Promise<Digest> {
  return await inTurns(hashSources(request, options, cache), signal, cache?.during);
}

function* hashMatch(
  hash: Digester,
  view: SourceView,
  match: SourceMatch,
  exclude: PatternList | undefined,
  settings: HashSettings,
): Work<number> {
  const { options } = settings;
  // As they come: a context may have more files than memory has room for.
  const record = (fields: string[]) => hash.update(encodeRecord(fields));
  const linked = new Map<string, string>();
  const isTree = match.stat.isDirectory();
  // A file may get its name from the source; a tree does not.
  record(isTree ? ["tree"] : ["single", match.name]);
  const group = new FileGroup(settings, record);
  const visitor = {
    *enter(entry: WalkedEntry, wanted: boolean): Work<void> {
      yield* group.end();
      if (entry.path === "" && options.itself !== true) return;
      record([wanted ? "directory" : "parent", entry.path, ...describeMetadata(entry, options)]);
    },
    leave: () => group.end(),
    file(entry: WalkedEntry): Work<void> | undefined {
      const first = firstName(entry, linked);
      if (first === undefined) return group.add(entry);
      record(["link", entry.path, first]);
      return undefined;
    },
  };
  const wanted = yield* walkSource(view, match, { exclude, avoid: undefined }, visitor);
  yield* group.end();
  return wanted;
}

/** The name under which a file was met before; undefined for one that has no other. */
function firstName({ stat, path }: WalkedEntry, linked: Map<string, string>): string | undefined {
  if (stat.nlink === 1n || !stat.isFile()) return undefined;
  const key = `${stat.dev}:${stat.ino}`;
  const first = linked.get(key);
  if (first === undefined) linked.set(key, path);
  return first;
}
