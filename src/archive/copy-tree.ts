/**
 * COPY and ADD of files, as BuildKit does them (solver/llbsolver/file and fsutil/copy): where things go, what is made
 * on the way, and who owns it. Everything is synchronous and stays inside the two roots, whatever happens in them meanwhile.
 */
import { CooperError } from "../base/errors.ts";
import { setTimes } from "../base/file-calls.ts";
import { PatternList } from "../dockerfile/pattern-list.ts";
import { type Destination, linkDestination, plainDestination } from "./copy-destination.ts";
import { applyToPath, metadataOf } from "./copy-metadata.ts";
import { type CopyCount, treeWriter, type WriterOptions } from "./copy-writer.ts";
import { matchSources, notFound, type SourceMatch } from "./match-sources.ts";
import { asIs, type Pins, pinRoot } from "./pinned-root.ts";
import { hostPath, type PathFilter, type SourceView, viewOf } from "./source-view.ts";
import { walkSource } from "./walk-sources.ts";
import { statusOf } from "../base/path-bytes.ts";
import { atOnce, type Work } from "../base/turns.ts";

/** Which files are meant; hashSources takes the same. */
export interface SourceRequest {
  /** Host path of the directory that sources are looked up in and that no link leads out of. */
  sourceRoot: string;
  /** What that is, for errors ("the build context", "stage base"); the path itself when absent. */
  label?: string | undefined;
  /** Relative to sourceRoot, whether or not they start with a slash. */
  sources: readonly string[];
  /** Whether `*`, `?`, `[a-z]`, `\` are special in sources. */
  wildcards: boolean;
  /** COPY --parents: keep the directories of a source, from the root or from `/./` on. `**` is special then. */
  parents: boolean;
  /** Hides paths of sourceRoot: a .dockerignore. */
  ignore?: PathFilter | undefined;
  /** --exclude: patterns relative to each source. */
  exclude?: readonly string[] | undefined;
}

export interface CopyRequest extends SourceRequest {
  /** Host path of the root that is written to. */
  destinationRoot: string;
  /** Absolute within destinationRoot. Ending in `/` or `/.` it is a directory, which is made when missing. */
  destination: string;
  /** Whether a directory stands for its contents, as in Dockerfiles (true when absent), or goes into the destination. */
  directoryContents?: boolean | undefined;
  /**
   * COPY --link: links in the destination are not followed and what is in the way is replaced, as if the files were a
   * layer of their own; directories on the way get the mode and owner of new ones even where they exist. Together with
   * a chmod it means nothing, as in BuildKit's Dockerfile frontend.
   */
  link?: boolean | undefined;
  /**
   * ADD: offered each source that is a regular file (host path), returns whether it was an archive and is unpacked.
   * `makeDestination` makes the destination a directory and gives its host path.
   */
  unpack?: ((file: string, makeDestination: () => string) => boolean) | undefined;
}

export type CopyTreeOptions = Omit<WriterOptions, "replace">;

/**
 * Copies files into a root. All sources are found before anything is written. Throws `not-found` for a source without
 * wildcards that does not exist, `invalid` for a malformed pattern and where a directory meets a file.
 */
export function* copyFiles(request: CopyRequest, options: CopyTreeOptions = {}): Work<CopyCount> {
  using sourcePins = pinRoot(request.sourceRoot);
  using pins = pinRoot(request.destinationRoot);
  const view = viewOf(request.sourceRoot, request.ignore, sourcePins);
  const label = request.label ?? request.sourceRoot;
  const link = request.link === true && options.chmod === undefined;
  const job: CopyJob = {
    request,
    options: { ...options, replace: link },
    view,
    exclude: request.exclude === undefined ? undefined : new PatternList(request.exclude),
    place: (link ? linkDestination : plainDestination)(request.destinationRoot, options, pins),
    pins,
    made: [],
    count: { copied: 0, bytes: 0 },
  };
  for (const match of matchSources(view, request.sources, { ...request, label })) {
    const wanted = yield* copyMatch(job, match);
    if (wanted === 0 && match.required) throw notFound(view, match.pattern, match.pattern, { label });
  }
  // Last, because making an entry changes the time of its directory.
  if (options.timestamp !== undefined)
    for (const directory of job.made.reverse()) setTimes(pins.directory(directory), options.timestamp);
  return job.count;
}

interface CopyJob {
  request: CopyRequest;
  options: WriterOptions;
  view: SourceView;
  exclude: PatternList | undefined;
  place: Destination;
  /** Of the root that is written to. */
  pins: Pins;
  /** Directories made on the way. */
  made: string[];
  count: CopyCount;
}

/** Copies one source; returns how many entries of it were wanted. */
function* copyMatch(job: CopyJob, match: SourceMatch): Work<number> {
  const { request, view, exclude, place, count } = job;
  const unpacked =
    match.stat.isFile() &&
    request.unpack?.(hostPath(view, match.path), () => ensureUnpackDirectory(job)) === true;
  if (unpacked) {
    count.copied++;
    return 1;
  }
  const target = placeMatch(job, match);
  const top = place.resolve("/");
  const shown = (host: string) => (top === "/" || host === top ? host : host.slice(top.length));
  const writer = treeWriter(target, job.options, count, shown, job.pins);
  return yield* walkSource(view, match, { exclude, avoid: statusOf(top) }, writer);
}

/**
 * Host path that a source goes to; the directory that holds it exists afterwards, and for the contents of a directory
 * it exists itself.
 */
function placeMatch(job: CopyJob, match: SourceMatch): string {
  const { place } = job;
  const { destination, directoryContents = true } = job.request;
  const isDirectory = match.stat.isDirectory();
  ensureDirectory(job, /\/\.?$/.test(destination) ? destination : parentOf(destination));
  let target = place.resolve(destination);
  const kind = place.kindOf(target);
  const goesInside = isDirectory ? !directoryContents && kind !== "missing" : kind === "directory";
  if (goesInside && match.name !== "") target = `${target === "/" ? "" : target}/${match.name}`;
  // A link at the end of the destination may lead to where no parent exists.
  const top = place.resolve("/");
  const inRoot = target === top ? "/" : target.slice(top === "/" ? 0 : top.length);
  ensureDirectory(job, isDirectory && directoryContents && kind === "missing" ? inRoot : parentOf(inRoot));
  return target;
}

function ensureDirectory(job: CopyJob, path: string): string {
  job.made.push(...job.place.makeDirectories(path));
  return job.place.resolve(path);
}

/** What an archive is unpacked into has mode 0755 whatever --chmod says. */
function ensureUnpackDirectory(job: CopyJob): string {
  if (job.options.replace === true) return ensureDirectory(job, job.request.destination);
  const { chmod: _, ...options } = job.options;
  const place = plainDestination(job.request.destinationRoot, options, job.pins);
  job.made.push(...place.makeDirectories(job.request.destination));
  return place.resolve(job.request.destination);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/**
 * Copies one tree, a directory or anything else, onto `destination`, a host path whose parent exists. An existing
 * directory there keeps its own metadata but for the modification time; everything else is as in copyFiles.
 */
export function copyTree(source: string, destination: string, options: CopyTreeOptions = {}): CopyCount {
  const stat = statusOf(source);
  if (stat === undefined) throw new CooperError("not-found", `Cannot copy ${source}: it does not exist`);
  const count: CopyCount = { copied: 0, bytes: 0 };
  const view = viewOf(source, undefined);
  const match = { pattern: source, name: "", path: "", stat, include: undefined, required: false };
  const writer = treeWriter(destination, options, count, (path) => path, asIs);
  atOnce(walkSource(view, match, { exclude: undefined, avoid: statusOf(destination) }, writer));
  return count;
}

/**
 * Copies one entry that is no directory, onto nothing, with everything that belongs to it and an OWNER_XATTR as it is.
 * Hard links are the caller's business.
 */
export function copyNode(source: string, destination: string): void {
  copyTree(source, destination, { ownership: "verbatim" });
}

/** Gives a path the owner, mode, extended attributes and times of another of the same type, exactly. */
export function copyMetadata(source: string, destination: string): void {
  const stat = statusOf(source);
  if (stat === undefined) throw new CooperError("not-found", `Cannot copy ${source}: it does not exist`);
  const options: CopyTreeOptions = { ownership: "verbatim" };
  applyToPath(destination, metadataOf({ source, path: "", stat, pins: asIs }, options), options);
}
