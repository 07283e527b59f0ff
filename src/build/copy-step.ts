/** COPY and ADD: what they read, for the cache, and the copying itself. */
import { parseChmod } from "../archive/copy-chmod.ts";
import { hashSources } from "../archive/hash-tree.ts";
import type { SourceRequest } from "../archive/copy-tree.ts";
import { type Digest, digestOf } from "../base/digest.ts";
import { encodeName } from "../base/path-bytes.ts";
import { download, type Download } from "../container/download.ts";
import { type FileSources, type Placement, placeFiles, placeMadeFile } from "../container/place-files.ts";
import type { CopyOp, CopySource } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { fetchGit } from "./fetch-git.ts";
import { ignoreOf, openOrigin, originKey, originRoot } from "./origins.ts";
import { mountStage, type StageState } from "./stage-state.ts";

type Of<K extends CopySource["kind"]> = Extract<CopySource, { kind: K }>;

const isPath = (source: CopySource): source is Of<"path"> => source.kind === "path";

/** Digests of everything that a COPY or ADD reads. Downloads happen here: their content decides about the cache. */
export async function copyInputs(build: Build, op: CopyOp): Promise<Digest[]> {
  const inputs: Digest[] = [];
  const patterns = op.sources.filter(isPath).map((source) => source.pattern);
  if (patterns.length > 0) inputs.push(await filesDigest(build, op, patterns));
  for (const source of op.sources) {
    if (source.kind === "inline") inputs.push(digestOf(encodeName(source.content)));
    if (source.kind === "url") inputs.push((await downloaded(build, source, op.checksum)).digest);
    if (source.kind === "git") inputs.push(digestOf((await fetchGit(build, source)).commit));
  }
  return inputs;
}

/** A stage or image is known by its key; files of a directory are hashed. */
async function filesDigest(build: Build, op: CopyOp, patterns: string[]): Promise<Digest> {
  const key = await originKey(build, op.from);
  if (key !== undefined) return digestOf(key);
  const files = await fileSources(build, op, patterns);
  const request: SourceRequest = {
    sourceRoot: files.root,
    label: files.label,
    sources: files.patterns,
    wildcards: true,
    parents: op.parents,
    ignore: files.ignore,
    exclude: op.exclude,
  };
  return hashSources(
    request,
    {
      owner: { uid: 0, gid: 0 },
      capabilities: false,
      ...(op.chmod === undefined ? {} : { chmod: parseChmod(op.chmod) }),
    },
    build.fileDigests,
  );
}

async function fileSources(build: Build, op: CopyOp, patterns: string[]): Promise<FileSources> {
  const root = await originRoot(build, op.from);
  const open = await openOrigin(build, op.from);
  const ignore = open.kind === "directory" ? ignoreOf(open) : undefined;
  return { root, label: labelOf(build, op), patterns, ignore };
}

function labelOf(build: Build, op: CopyOp): string {
  switch (op.from.kind) {
    case "stage":
      return `stage ${build.plan.stages[op.from.stage]?.name ?? op.from.stage}`;
    case "image":
      return `image ${op.from.reference}`;
    case "context":
      return op.from.name === undefined ? "the build context" : `build context ${op.from.name}`;
    case "scratch":
      return "scratch";
  }
}

/** Copies into the stage's tree. */
export async function executeCopy(build: Build, stage: StageState, op: CopyOp): Promise<void> {
  const root = mountStage(build.store, build.request, stage);
  const placement = await placementOf(build, root, op);
  const patterns = op.sources.filter(isPath).map((source) => source.pattern);
  if (patterns.length > 0) await placeFiles(await fileSources(build, op, patterns), placement);
  for (const source of op.sources) await placeOther(build, op, source, placement);
}

async function placementOf(build: Build, root: string, op: CopyOp): Promise<Placement> {
  const fromDirectory = (await openOrigin(build, op.from)).kind === "directory";
  return {
    root,
    destination: op.destination,
    chown: op.chown,
    keepOwners: !fromDirectory,
    chmod: op.chmod,
    link: op.link,
    parents: op.parents,
    exclude: op.exclude,
    wildcards: true,
    unpack: op.unpack ?? op.add,
    directoryContents: true,
    signal: build.signal,
  };
}

async function placeOther(build: Build, op: CopyOp, source: CopySource, placement: Placement): Promise<void> {
  const directory = build.store.session.path("made");
  switch (source.kind) {
    case "path":
      return;
    case "inline": {
      const content = encodeName(source.content);
      const made = { name: source.name, content, mode: 0o644, mtimeNs: undefined };
      return placeMadeFile(made, { ...placement, keepOwners: false, unpack: false }, directory);
    }
    case "url": {
      const got = await downloaded(build, source, op.checksum);
      const made = {
        name: got.suggestedName ?? source.name,
        content: { file: got.file },
        mode: 0o600,
        mtimeNs: got.mtimeNs,
      };
      return placeMadeFile(made, { ...placement, keepOwners: false, unpack: op.unpack === true }, directory);
    }
    case "git": {
      const { path } = await fetchGit(build, source);
      const files = { root: path, label: source.url, patterns: ["."], ignore: undefined };
      return placeFiles(files, { ...placement, keepOwners: false, unpack: false });
    }
  }
}

/** Each URL is fetched once per build and step. */
function downloaded(build: Build, source: Of<"url">, checksum: string | undefined): Promise<Download> {
  const known = build.downloads.get(source);
  if (known !== undefined) return known;
  const got = download(source.url, build.store.session.path("download"), checksum, build.signal);
  build.downloads.set(source, got);
  return got;
}

/** Digest of what a bind mount of a directory shows. */
export async function mountDigest(build: Build, from: CopyOp["from"], source: string): Promise<Digest> {
  const root = await originRoot(build, from);
  const open = await openOrigin(build, from);
  const ignore = open.kind === "directory" ? ignoreOf(open) : undefined;
  const request = { sourceRoot: root, sources: [source], wildcards: false, parents: false, ignore };
  return hashSources(request, { owner: { uid: 0, gid: 0 }, capabilities: false }, build.fileDigests);
}
