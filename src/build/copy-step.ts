/** COPY and ADD: where they find what they read, and the copying. */
import { encodeName } from "../base/path-bytes.ts";
import { download, type Download } from "../container/download.ts";
import { type FileSources, type Placement, placeFiles, placeMadeFile } from "../container/place-files.ts";
import type { CopyOp, CopySource } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { fetchGit } from "./fetch-git.ts";
import { ignoreOf, openOrigin, originRoot } from "./origins.ts";
import { mountStage, type StageState } from "./stage-state.ts";

type Of<K extends CopySource["kind"]> = Extract<CopySource, { kind: K }>;

export const isPath = (source: CopySource): source is Of<"path"> => source.kind === "path";

/** Where a COPY or ADD finds the files that its patterns name. */
export async function fileSources(build: Build, op: CopyOp, patterns: string[]): Promise<FileSources> {
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

/** Each URL is fetched once, for all stages and platforms. */
export function downloaded(build: Build, source: Of<"url">, checksum: string | undefined): Promise<Download> {
  const key = JSON.stringify([source, checksum]);
  const known = build.downloads.get(key);
  if (known !== undefined) return known;
  const got = download(source.url, build.store.session.path("download"), checksum, build.signal);
  build.downloads.set(key, got);
  return got;
}
