/** Files, here-documents and downloads on their way into a container's root: the one engine of COPY, ADD, copy and add. */
import { chmodSync, createReadStream, mkdirSync, linkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decompress, isTarArchive } from "../archive/compression.ts";
import { parseChmod } from "../archive/copy-chmod.ts";
import { type CopyTreeOptions, copyFiles } from "../archive/copy-tree.ts";
import { extractArchive } from "../archive/extract-archive.ts";
import { matchSources } from "../archive/match-sources.ts";
import { openFileInRoot } from "../archive/pinned-root.ts";
import { hostPath, type PathFilter, viewOf } from "../archive/source-view.ts";
import { setTimes } from "../base/file-calls.ts";
import { fsPath } from "../base/path-bytes.ts";
import { fileIds, fileOwnership } from "../base/process-ids.ts";
import { inTurns } from "../base/turns.ts";
import { lookupOwner } from "./user.ts";

/** Where things go and what they become there. */
export interface Placement {
  /** Root of the container, mounted. */
  root: string;
  /** Absolute in the container; a trailing slash is meaningful. */
  destination: string;
  /** `user[:group]`, for everything, members of unpacked archives included. */
  chown: string | undefined;
  /** Without chown: whether files keep their owners and capabilities, or become root's as those of a context do. */
  keepOwners: boolean;
  chmod: string | undefined;
  link: boolean;
  parents: boolean;
  exclude: string[];
  wildcards: boolean;
  /** Unpack sources that are tar archives, compressed or not. */
  unpack: boolean;
  /** Time of everything in place of its own, in nanoseconds since 1970; members of unpacked archives included. */
  mtimeNs?: bigint;
  /** Whether a directory stands for its contents. */
  directoryContents: boolean;
  signal: AbortSignal | undefined;
}

/** Files as they are, root's; what is left to say is where they go. */
export const PLAIN_PLACEMENT: Omit<Placement, "root" | "destination" | "signal"> = {
  chown: undefined,
  keepOwners: false,
  chmod: undefined,
  link: false,
  parents: false,
  exclude: [],
  wildcards: false,
  unpack: false,
  directoryContents: true,
};

/** Files of a directory of the host, as patterns. */
export interface FileSources {
  root: string;
  /** What `root` is, for errors. */
  label: string;
  patterns: string[];
  ignore: PathFilter | undefined;
}

function treeOptions(placement: Placement): CopyTreeOptions {
  const owner = placement.chown === undefined ? undefined : lookupOwner(placement.root, placement.chown);
  return {
    blockDevices: "character",
    ownership: fileOwnership(),
    ...(placement.keepOwners ? { owner } : { owner: owner ?? { uid: 0, gid: 0 }, capabilities: false }),
    ...(placement.chmod === undefined ? {} : { chmod: parseChmod(placement.chmod) }),
    timestamp: placement.mtimeNs,
  };
}

/** Copies files, unpacking archives where that is asked for. Throws `not-found` for sources that do not exist. */
export async function placeFiles(sources: FileSources, placement: Placement): Promise<void> {
  const options = treeOptions(placement);
  const archives = placement.unpack ? await findArchives(sources, placement) : new Set<string>();
  // Of several sources the later one wins, archive or not.
  if (archives.size > 0 && sources.patterns.length > 1) {
    for (const pattern of sources.patterns) await placeFiles({ ...sources, patterns: [pattern] }, placement);
    return;
  }
  const unpacked: { file: string; directory: string }[] = [];
  const work = copyFiles(
    {
      sourceRoot: sources.root,
      label: sources.label,
      sources: sources.patterns,
      wildcards: placement.wildcards,
      parents: placement.parents,
      ignore: sources.ignore,
      exclude: placement.exclude,
      destinationRoot: placement.root,
      destination: placement.destination,
      directoryContents: placement.directoryContents,
      link: placement.link,
      unpack: (file, makeDestination) => {
        if (!archives.has(file)) return false;
        unpacked.push({ file, directory: makeDestination() });
        return true;
      },
    },
    options,
  );
  await inTurns(work, placement.signal);
  for (const { file, directory } of unpacked) await unpackInto(sources.root, file, directory, placement);
}

/** Host paths of the sources that are archives; deciding that takes reading their beginnings. */
async function findArchives(sources: FileSources, placement: Placement): Promise<Set<string>> {
  const view = viewOf(sources.root, sources.ignore);
  const matches = matchSources(view, sources.patterns, {
    wildcards: placement.wildcards,
    parents: placement.parents,
    label: sources.label,
  });
  const archives = new Set<string>();
  for (const match of matches) {
    if (match.stat.isFile() && (await isTarArchive(hostPath(view, match.path))))
      archives.add(hostPath(view, match.path));
  }
  return archives;
}

async function unpackInto(
  sourceRoot: string,
  file: string,
  directory: string,
  placement: Placement,
): Promise<void> {
  const inSource = sourceRoot === "/" ? file : file.slice(sourceRoot.replace(/\/+$/, "").length);
  const inRoot = directory.slice(placement.root.length) || "/";
  const owner = placement.chown === undefined ? undefined : lookupOwner(placement.root, placement.chown);
  const fd = openFileInRoot(sourceRoot, inSource, () => file);
  await extractArchive(
    decompress(createReadStream("", { fd, highWaterMark: 1 << 20 }), file),
    placement.root,
    inRoot,
    {
      ids: fileIds(),
      ...(owner === undefined ? {} : { owner }),
      ...(placement.mtimeNs === undefined ? {} : { mtimeNs: placement.mtimeNs }),
      ...(placement.signal === undefined ? {} : { signal: placement.signal }),
    },
  );
}

/** A file that Cooper makes itself, from a here-document or a download. */
export interface MadeFile {
  name: string;
  /** Bytes, or the path of a file that holds them, on the disk of the directory that it is put in place from. */
  content: Uint8Array | { file: string };
  mode: number;
  /** Nanoseconds since 1970; undefined for now. */
  mtimeNs: bigint | undefined;
}

/** Puts a made file in place, as if it were a file of that name in a context. `directory` is free and on a quiet disk. */
export async function placeMadeFile(file: MadeFile, placement: Placement, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  try {
    const path = join(directory, file.name);
    if (file.content instanceof Uint8Array) writeFileSync(fsPath(path), file.content);
    else linkSync(file.content.file, fsPath(path));
    chmodSync(fsPath(path), file.mode);
    if (file.mtimeNs !== undefined) setTimes(path, file.mtimeNs);
    await placeFiles(
      { root: directory, label: "the build", patterns: [file.name], ignore: undefined },
      { ...placement, wildcards: false, parents: false },
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
