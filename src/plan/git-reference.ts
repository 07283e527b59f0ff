/** Git repositories as sources of ADD: `https://host/repo.git#ref:dir`, `git@host:repo`, and the query form (Dockerfile reference, "ADD"). */
import { CooperError } from "../base/errors.ts";
import { nearHint } from "../dockerfile/suggest.ts";
import { absolutePath } from "./container-path.ts";
import { parseGoBool } from "./go-bool.ts";

export interface GitReference {
  /** What `git fetch` takes: without fragment and query. */
  remote: string;
  ref: string | undefined;
  subdir: string | undefined;
  /** Commit that the ref must have. */
  checksum: string | undefined;
  keepGitDir: boolean | undefined;
  submodules: boolean;
}

const URL_FORM = /^([a-zA-Z0-9]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;
const SCP_FORM = /^[a-zA-Z0-9\-_]+@[a-zA-Z0-9.-]+:(.*?)(?:\?(.*?))?(?:#(.*))?$/s;

/**
 * The repository that a source names, or undefined when it is a path or an ordinary URL: http and https URLs are
 * repositories when their path ends in `.git`. Throws `invalid` for a repository with a malformed query.
 */
export function parseGitReference(source: string): GitReference | undefined {
  const url = URL_FORM.exec(source);
  if (url !== null) {
    const [, scheme, host, path, query, fragment] = url;
    const protocol = scheme!.toLowerCase();
    if (!["http", "https", "ssh", "git"].includes(protocol)) return undefined;
    if (protocol.startsWith("http") && !decode(path!).endsWith(".git")) return undefined;
    return complete(`${scheme}://${host}${path}`, query, decode(fragment ?? ""));
  }
  const scp = SCP_FORM.exec(source);
  if (scp === null || source.startsWith("./") || source.startsWith("../")) return undefined;
  return complete(source.slice(0, source.length - suffixLength(scp)), scp[2], scp[3] ?? "");
}

function suffixLength(scp: RegExpExecArray): number {
  return (scp[2] === undefined ? 0 : scp[2].length + 1) + (scp[3] === undefined ? 0 : scp[3].length + 1);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function complete(remote: string, query: string | undefined, fragment: string): GitReference {
  const colon = fragment.indexOf(":");
  const ref = colon === -1 ? fragment : fragment.slice(0, colon);
  if (ref.startsWith("-")) throw badRef(ref);
  const git: GitReference = {
    remote,
    ref: ref === "" ? undefined : ref,
    subdir: colon === -1 ? undefined : cleanSubdir(fragment.slice(colon + 1)),
    checksum: undefined,
    keepGitDir: undefined,
    submodules: true,
  };
  if (query !== undefined && query !== "") applyQuery(git, new URLSearchParams(query));
  return git;
}

function cleanSubdir(path: string): string | undefined {
  const clean = absolutePath(path).slice(1);
  return clean === "" ? undefined : clean;
}

const KEYS = [
  "ref",
  "tag",
  "branch",
  "subdir",
  "checksum",
  "commit",
  "keep-git-dir",
  "submodules",
  "mtime",
  "fetch-by-commit",
];

function applyQuery(git: GitReference, query: URLSearchParams): void {
  for (const key of new Set(query.keys())) {
    const values = query.getAll(key);
    const value = values[0]!;
    if (!KEYS.includes(key)) throw bad(`the query has an unknown key "${key}"`, nearHint(key, KEYS));
    if (values.length > 1) throw bad(`the query gives "${key}" more than once`);
    const isSwitch = key === "keep-git-dir" || key === "submodules" || key === "fetch-by-commit";
    if (value === "" && !isSwitch) throw bad(`the query's "${key}" has no value`);
    applyKey(git, key, value);
  }
}

function applyKey(git: GitReference, key: string, value: string): void {
  switch (key) {
    case "ref":
      setRef(git, value);
      return;
    case "tag":
      setRef(git, value.startsWith("refs/tags/") ? value : `refs/tags/${value}`);
      return;
    case "branch":
      setRef(git, value.startsWith("refs/heads/") ? value : `refs/heads/${value}`);
      return;
    case "subdir":
      if (git.subdir !== undefined && git.subdir !== value) throw bad("it names two directories");
      git.subdir = value;
      return;
    case "checksum":
    case "commit":
      git.checksum = value;
      return;
    case "keep-git-dir":
      git.keepGitDir = value === "" || queryBool(key, value);
      return;
    case "submodules":
      git.submodules = value === "" || queryBool(key, value);
      return;
    case "mtime":
      if (value !== "checkout" && value !== "commit")
        throw bad(`mtime cannot be "${value}"`, "It can be checkout or commit");
      return;
    default:
      queryBool(key, value === "" ? "true" : value);
  }
}

function queryBool(key: string, value: string): boolean {
  const bool = parseGoBool(value);
  if (bool === undefined) throw bad(`${key} takes true or false, not "${value}"`);
  return bool;
}

function setRef(git: GitReference, ref: string): void {
  if (git.ref !== undefined && git.ref !== ref) throw bad(`it names two refs, ${git.ref} and ${ref}`);
  if (ref.startsWith("-")) throw badRef(ref);
  git.ref = ref;
}

/** git would take it for an option (git-check-ref-format(1) forbids it). */
const badRef = (ref: string) => bad(`a ref cannot begin with a dash, as "${ref}" does`);

function bad(why: string, hint?: string): CooperError {
  return new CooperError(
    "invalid",
    `The git source is malformed: ${why}`,
    hint === undefined ? {} : { hint },
  );
}
