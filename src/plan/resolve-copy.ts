/** COPY and ADD, expanded (Dockerfile reference, "COPY", "ADD"). */
import { posix } from "node:path";
import { parseDigest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { withoutCredentials } from "../base/public-url.ts";
import type { AddInstruction, CopyInstruction } from "../dockerfile/instruction.ts";
import { destinationPath } from "./container-path.ts";
import { type GitReference, parseGitReference } from "./git-reference.ts";
import { copyOrigin } from "./origins.ts";
import { expandBodyIn, expandIn, type StageWalk } from "./stage-walk.ts";
import type { CopyOp, CopySource } from "./types.ts";

/** The op and its line in the history. Throws `invalid`. */
export function resolveCopy(
  walk: StageWalk,
  instruction: CopyInstruction | AddInstruction,
): { op: CopyOp; createdBy: string } {
  const expandIf = (text: string | undefined) =>
    text === undefined ? undefined : expandIn(walk, text) || undefined;
  const chown = expandIf(instruction.chown);
  const chmod = expandIf(instruction.chmod);
  const checksum = instruction.kind === "add" ? expandIf(instruction.checksum) : undefined;
  const words = instruction.sources.map((source) => expandIn(walk, source));
  const destination = expandIn(walk, instruction.destination);
  const inline = instruction.inline.map(({ name, content, expand }): CopySource => {
    return { kind: "inline", name, content: expand ? expandBodyIn(walk, content) : content };
  });
  if (chmod !== undefined) checkMode(chmod);
  const options = optionsOf(instruction, checksum);
  if (checksum !== undefined) checkChecksumUse(words);
  const sources = words.map((word) => sourceOf(word, options));
  const op: CopyOp = {
    kind: "copy",
    add: instruction.kind === "add",
    from:
      instruction.kind === "copy"
        ? copyOrigin(instruction.from, walk.table, walk.escapeToken)
        : { kind: "context", name: undefined },
    sources: [...sources, ...inline],
    destination: destinationPath(walk.config.WorkingDir ?? "/", destination),
    chown,
    chmod,
    link: instruction.link,
    parents: instruction.kind === "copy" && instruction.parents,
    exclude: instruction.exclude,
    checksum: sources.some((source) => source.kind === "url") ? checksum : undefined,
    keepGitDir: options.keepGitDir === true,
    unpack: instruction.kind === "add" ? instruction.unpack : false,
  };
  return { op, createdBy: historyLine(op, words, destination) };
}

interface SourceOptions {
  add: boolean;
  keepGitDir: boolean | undefined;
  checksum: string | undefined;
}

function optionsOf(
  instruction: CopyInstruction | AddInstruction,
  checksum: string | undefined,
): SourceOptions {
  const add = instruction.kind === "add";
  return { add, keepGitDir: add ? instruction.keepGitDir : undefined, checksum };
}

/**
 * `RUN --parents --chown=… SOURCES DESTINATION # buildkit`: other flags are not in the history, nor are passwords of URLs, as in
 * BuildKit's.
 */
function historyLine(op: CopyOp, words: string[], destination: string): string {
  const parts = [op.add ? "ADD" : "COPY"];
  if (op.parents) parts.push("--parents");
  if (op.chown !== undefined) parts.push(`--chown=${op.chown}`);
  if (op.chmod !== undefined) parts.push(`--chmod=${op.chmod}`);
  parts.push(...words.map(withoutCredentials));
  for (const source of op.sources) if (source.kind === "inline") parts.push(`<<${source.name}`);
  parts.push(destination, "# buildkit");
  return parts.join(" ");
}

const CLAUSE = /^[augo]*(?:[-+=][rwxXstugo]*)+$/;

/** Octal up to 07777, or symbolic as in chmod(1). */
function checkMode(text: string): void {
  if (/^[0-7]+$/.test(text) && Number.parseInt(text, 8) <= 0o7777) return;
  if (!/^\d/.test(text) && text.split(",").every((clause) => CLAUSE.test(clause))) return;
  throw new CooperError("invalid", `Invalid mode "${text}" of --chmod`, {
    hint: "Give an octal mode from 0 to 07777, or a symbolic one such as u=rwX,go=rX",
  });
}

function isUrl(word: string): boolean {
  return word.startsWith("http://") || word.startsWith("https://");
}

function checkChecksumUse(words: string[]): void {
  const [only] = words;
  if (words.length !== 1 || only === undefined)
    throw new CooperError("invalid", "--checksum goes with exactly one source");
  if (isUrl(only) || parseGitReference(only) !== undefined) return;
  throw new CooperError(
    "invalid",
    `--checksum needs an http(s) URL or a git repository as its source, not "${only}"`,
  );
}

function sourceOf(word: string, options: SourceOptions): CopySource {
  const git = parseGitReference(word);
  if (git !== undefined) return gitSource(word, git, options);
  if (!isUrl(word)) return { kind: "path", pattern: word };
  if (!options.add) throw new CooperError("invalid", `COPY cannot fetch "${word}"`, { hint: "ADD can" });
  if (options.checksum !== undefined) parseDigest(options.checksum);
  return { kind: "url", url: word, name: fileNameOf(word) };
}

/** The last part of the URL's path; the name that BuildKit gives a file without one when there is none. */
function fileNameOf(url: string): string {
  const path = /^[a-z]+:\/\/[^/?#]*([^?#]*)/.exec(url)![1]!;
  let decoded = path;
  try {
    decoded = decodeURIComponent(path);
  } catch {}
  const name = posix.basename(decoded);
  return name === "" || name === "." || name === ".." ? "__unnamed__" : name;
}

function gitSource(url: string, git: GitReference, options: SourceOptions): CopySource {
  if (!options.add)
    throw new CooperError("invalid", `COPY cannot fetch the git repository "${url}"`, { hint: "ADD can" });
  const { keepGitDir, checksum } = options;
  if (keepGitDir !== undefined && git.keepGitDir !== undefined && keepGitDir !== git.keepGitDir) {
    throw new CooperError("invalid", `--keep-git-dir and the query of "${url}" contradict each other`);
  }
  if (checksum !== undefined && git.checksum !== undefined && checksum !== git.checksum) {
    throw new CooperError("invalid", `--checksum and the query of "${url}" name different commits`);
  }
  return {
    kind: "git",
    url,
    remote: git.remote,
    ref: git.ref,
    subdir: git.subdir,
    checksum: git.checksum ?? checksum,
    keepGitDir: git.keepGitDir ?? keepGitDir ?? false,
    submodules: git.submodules,
  };
}
