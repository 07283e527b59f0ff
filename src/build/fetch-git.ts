/** Git repositories as sources of ADD, through the host's git. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { findProgram, runProcess } from "../base/process.ts";
import { withoutCredentials } from "../base/public-url.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import type { Session } from "../store/session.ts";
import type { CopySource } from "../plan/types.ts";
import type { Build } from "./build-image.ts";

type GitSource = Extract<CopySource, { kind: "git" }>;

export interface GitCheckout {
  /** Directory whose content is copied. */
  path: string;
  commit: string;
}

/** Where fetched things are put, and what ends the fetching. */
export interface Fetching {
  session: Session;
  signal: AbortSignal;
  /** Whether a context from git keeps its .git. */
  keepGitDir?: boolean;
  /** For Dockerfiles that go through the C preprocessor. */
  cppFlags?: readonly string[];
}

/** Checks a repository out, once per build and source. */
export function fetchGit(build: Build, source: GitSource): Promise<GitCheckout> {
  const key = JSON.stringify(source);
  const known = build.checkouts.get(key);
  if (known !== undefined) return known;
  const checkout = checkOut({ session: build.store.session, signal: build.signal }, source);
  build.checkouts.set(key, checkout);
  return checkout;
}

/** Checks a repository out into the session's directory. Throws `not-found`, `unsupported`, `integrity`. */
export async function checkOut(build: Fetching, source: Omit<GitSource, "kind">): Promise<GitCheckout> {
  const shown = withoutCredentials(source.url);
  if (findProgram("git") === undefined) {
    throw new CooperError("unsupported", `Cannot fetch ${shown}: there is no git on this host`);
  }
  const directory = build.session.path("git");
  const git = (...args: string[]) => runGit(build, source, directory, args);
  await runGit(build, source, undefined, ["init", "-q", directory]);
  const ref = source.ref ?? "HEAD";
  // A commit id that the server does not offer by itself is found in the whole history.
  const direct =
    (await tryGit(build, source, directory, ["fetch", "-q", "--depth=1", "origin", ref])) ||
    // Servers of plain files know no depth.
    (await tryGit(build, source, directory, ["fetch", "-q", "origin", ref]));
  if (!direct) await git("fetch", "-q", "--tags", "origin");
  await git("checkout", "-q", "--detach", direct ? "FETCH_HEAD" : ref);
  if (source.submodules) await git("submodule", "update", "-q", "--init", "--recursive", "--depth=1");
  const commit = (await git("rev-parse", "HEAD")).trim();
  if (source.checksum !== undefined && !commit.startsWith(source.checksum)) {
    throw new CooperError("integrity", `The checksum of ${shown} does not match: its commit is ${commit}`);
  }
  if (!source.keepGitDir) rmSync(join(directory, ".git"), { recursive: true, force: true });
  const path = source.subdir === undefined ? directory : resolveInRoot(directory, source.subdir);
  if (!existsSync(path)) throw new CooperError("not-found", `${shown} has no directory ${source.subdir}`);
  return { path, commit };
}

/** No prompt, no configuration of the user's, no protocol that executes or reads what is not meant. */
const ENVIRONMENT = {
  GIT_TERMINAL_PROMPT: "0",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_ALLOW_PROTOCOL: "http:https:git:ssh",
};

/**
 * What the remote is, for this command and those that it starts: a URL may hold a password, which is for no argument, where
 * every user of the host could read it, nor for the `.git` that may be kept.
 */
const remoteIn = ({ remote }: Pick<GitSource, "remote">) => ({
  GIT_CONFIG_COUNT: "2",
  GIT_CONFIG_KEY_0: "remote.origin.url",
  GIT_CONFIG_VALUE_0: remote,
  GIT_CONFIG_KEY_1: "remote.origin.fetch",
  GIT_CONFIG_VALUE_1: "+refs/heads/*:refs/remotes/origin/*",
});

function start(
  build: Fetching,
  source: Pick<GitSource, "remote">,
  directory: string | undefined,
  args: string[],
) {
  const where = directory === undefined ? [] : ["-C", directory];
  // Modes of a checkout are git's, whatever the caller's umask.
  return runProcess(["sh", "-c", 'umask 022; exec git "$@"', "git", ...where, ...args], {
    env: { ...process.env, ...ENVIRONMENT, ...remoteIn(source) },
    signal: build.signal,
  });
}

async function tryGit(
  build: Fetching,
  source: Pick<GitSource, "remote">,
  directory: string,
  args: string[],
): Promise<boolean> {
  return (await start(build, source, directory, args)).exitCode === 0;
}

async function runGit(
  build: Fetching,
  source: Omit<GitSource, "kind">,
  directory: string | undefined,
  args: string[],
): Promise<string> {
  const { exitCode, stdout, stderr } = await start(build, source, directory, args);
  if (exitCode === 0) return Buffer.from(stdout).toString();
  const said = Buffer.from(stderr).toString().trim().split("\n").at(-1) ?? "";
  throw new CooperError("not-found", withoutCredentials(`Cannot fetch ${source.url}: ${said}`));
}
