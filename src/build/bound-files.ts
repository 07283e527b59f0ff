/** What a bind mount of a directory of the host shows: what BuildKit's copy of a context would hold. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyFiles } from "../archive/copy-tree.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { hostPath, listView, resolveInView, type SourceView, viewOf } from "../archive/source-view.ts";
import { CooperError } from "../base/errors.ts";
import { inTurns } from "../base/turns.ts";
import { listXattrs } from "../base/xattrs.ts";
import { fsPath, readNames } from "../base/path-bytes.ts";
import type { Origin } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { ignoreOf, openOrigin, originRoot } from "./origins.ts";

/**
 * Host path of the files that a mount of `source` shows. A context is shown as it is where that is what the build sees;
 * where an ignore file hides something, or files belong to somebody else than root, a copy is shown that lives as long
 * as the session. Throws `not-found`.
 */
export async function boundFiles(build: Build, from: Origin, source: string): Promise<string> {
  const root = await originRoot(build, from);
  const open = await openOrigin(build, from);
  if (open.kind !== "directory") return existing(resolveInRoot(root, source), source);
  const view = viewOf(root, ignoreOf(open));
  const entry = resolveInView(view, source);
  if (entry === undefined) throw missing(source);
  const isPlain = entry.stat.isDirectory()
    ? isRootsOwn(entry.stat) && isAsBuildsSee(view, entry.path)
    : isRootsOwn(entry.stat) && !hasCapability(hostPath(view, entry.path));
  return isPlain ? hostPath(view, entry.path) : copyOf(build, view, entry.path, entry.stat.isDirectory());
}

function existing(path: string, source: string): string {
  if (!existsSync(fsPath(path))) throw missing(source);
  return path;
}

function missing(source: string): CooperError {
  return new CooperError("not-found", `The source "${source}" of a bind mount does not exist`);
}

const isRootsOwn = (stat: { uid: bigint; gid: bigint }) => stat.uid === 0n && stat.gid === 0n;

/** BuildKit loses file capabilities on the way from a context. */
const hasCapability = (path: string) => listXattrs(path).includes("security.capability");

function isAsBuildsSee(view: SourceView, directory: string): boolean {
  const entries = listView(view, directory);
  if (view.ignore !== undefined && entries.length !== readNames(hostPath(view, directory)).length)
    return false;
  return entries.every(({ path, stat }) => {
    if (!isRootsOwn(stat)) return false;
    if (stat.isDirectory()) return isAsBuildsSee(view, path);
    return !(stat.isFile() && (Number(stat.mode) & 0o111) !== 0 && hasCapability(hostPath(view, path)));
  });
}

/** Made by the same walk as COPY's; each mounted source of a context is copied once per build. */
async function copyOf(build: Build, view: SourceView, path: string, isDirectory: boolean): Promise<string> {
  const key = `${view.root}\0${path}`;
  const known = build.boundCopies.get(key);
  if (known !== undefined) return known;
  const directory = build.store.session.path("bound");
  mkdirSync(directory, { mode: 0o755 });
  const destination = isDirectory ? "/tree" : "/file";
  const work = copyFiles(
    {
      sourceRoot: view.root,
      label: "the build context",
      sources: [path === "" ? "." : path],
      wildcards: false,
      parents: false,
      ignore: view.ignore,
      destinationRoot: directory,
      destination,
    },
    { owner: { uid: 0, gid: 0 }, capabilities: false, blockDevices: "character" },
  );
  await inTurns(work, build.signal);
  const copy = join(directory, destination);
  build.boundCopies.set(key, copy);
  return copy;
}
