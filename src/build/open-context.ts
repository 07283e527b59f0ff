/** A build context by where it is: a directory, an archive, a git repository, a URL, standard input. */
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { resolve } from "node:path";
import { decompress, isTarArchive } from "../archive/compression.ts";
import { extractArchive } from "../archive/extract-archive.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { fileIds } from "../base/process-ids.ts";
import { download } from "../container/download.ts";
import { parseGitReference } from "../plan/git-reference.ts";
import { checkOut, type Fetching } from "./fetch-git.ts";

export interface OpenedContext {
  /** Absolute path; undefined when a Dockerfile was all there was. */
  directory: string | undefined;
  /** A Dockerfile that came in place of an archive. */
  dockerfile: Uint8Array | undefined;
  /** Whether the directory is the user's own, rather than a copy in the session. */
  local: boolean;
}

/** Whether a place is something else than a path of this host. */
export function isRemoteContext(text: string): boolean {
  return text === "-" || isHttp(text) || gitContext(text) !== undefined;
}

const isHttp = (text: string) => /^https?:\/\//i.test(text);

function gitContext(text: string) {
  // As Buildah and Docker take it, without a scheme.
  return parseGitReference(/^github\.com\//.test(text) ? `https://${text}` : text);
}

/** Opens it. Throws `not-found` for what is not there. */
export async function openContextSource(fetching: Fetching, text: string): Promise<OpenedContext> {
  if (text === "-") return fromFile(fetching, await saveInput(fetching), "standard input");
  const git = gitContext(text);
  if (git !== undefined) {
    const { path } = await checkOut(fetching, {
      ...git,
      url: text,
      keepGitDir: git.keepGitDir ?? fetching.keepGitDir ?? false,
    });
    return { directory: path, dockerfile: undefined, local: false };
  }
  if (isHttp(text)) {
    const { file } = await download(text, fetching.session.path("download"), undefined, fetching.signal);
    return fromFile(fetching, file, text);
  }
  const path = resolve(text);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new CooperError("not-found", `The build context ${text} does not exist`);
  if (stat.isDirectory()) return { directory: path, dockerfile: undefined, local: true };
  if (await isTarArchive(path)) return unpacked(fetching, path, text);
  throw new CooperError("invalid", `The build context ${text} is neither a directory nor a tar archive`);
}

/** An archive is unpacked; anything else is a Dockerfile, as with `docker build -`. */
async function fromFile(fetching: Fetching, file: string, shown: string): Promise<OpenedContext> {
  try {
    if (await isTarArchive(file)) return await unpacked(fetching, file, shown);
    return { directory: undefined, dockerfile: readFileSync(file), local: false };
  } finally {
    rmSync(file, { force: true });
  }
}

async function unpacked(fetching: Fetching, file: string, shown: string): Promise<OpenedContext> {
  const directory = fetching.session.path("context");
  mkdirSync(directory, { mode: 0o755 });
  try {
    // Files of a context are root's in the image, whoever packed them.
    await extractArchive(
      decompress(createReadStream(file, { highWaterMark: 1 << 20 }), "it"),
      directory,
      "/",
      {
        owner: { uid: 0, gid: 0 },
        ids: fileIds(),
        signal: fetching.signal,
      },
    );
  } catch (error) {
    throw wrapError(`Cannot unpack the build context ${shown}`, error);
  }
  return { directory, dockerfile: undefined, local: false };
}

async function saveInput(fetching: Fetching): Promise<string> {
  const file = fetching.session.path("input");
  const fd = openSync(file, "wx", 0o600);
  try {
    for await (const chunk of Bun.stdin.stream()) {
      fetching.signal.throwIfAborted();
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    }
  } finally {
    closeSync(fd);
  }
  return file;
}
