/** Which files are the Dockerfile, and their text. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { CooperError, wrapError } from "../base/errors.ts";
import { findProgram, runProcess } from "../base/process.ts";
import { download } from "../container/download.ts";
import type { Fetching } from "./fetch-git.ts";

export interface DockerfileText {
  text: Uint8Array;
  /** For messages, and for what lies beside it; `-` for standard input. */
  file: string;
}

/** The files asked for, or those of the context: Containerfile before Dockerfile. */
export async function readDockerfiles(
  fetching: Fetching,
  asked: string[],
  context: { directory: string | undefined; local: boolean },
): Promise<DockerfileText[]> {
  if (asked.length === 0) return [await readOne(fetching, defaultFile(context.directory ?? process.cwd()))];
  const files: DockerfileText[] = [];
  for (const name of asked) {
    const isElsewhere = name === "-" || /^https?:\/\//i.test(name);
    files.push(await readOne(fetching, isElsewhere ? name : findFile(name, context)));
  }
  return files;
}

function findFile(name: string, context: { directory: string | undefined; local: boolean }): string {
  const base = context.directory ?? process.cwd();
  // A context that was fetched has its Dockerfile with it.
  const candidates = context.local
    ? [resolve(name), resolve(base, name)]
    : [resolve(base, name), resolve(name)];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw new CooperError("not-found", `There is no Dockerfile ${[...new Set(candidates)].join(" or ")}`);
  return statSync(found).isDirectory() ? defaultFile(found) : found;
}

function defaultFile(directory: string): string {
  const found = ["Containerfile", "Dockerfile"]
    .map((name) => join(directory, name))
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new CooperError("not-found", `There is no Containerfile or Dockerfile in ${directory}`, {
    hint: "name it with -f",
  });
}

async function readOne(fetching: Fetching, file: string): Promise<DockerfileText> {
  try {
    if (file === "-") return { text: new Uint8Array(await Bun.stdin.arrayBuffer()), file: "-" };
    if (/^https?:\/\//i.test(file)) {
      const got = await download(file, fetching.session.path("download"), undefined, fetching.signal);
      return { text: readFileSync(got.file), file };
    }
    const text = readFileSync(file);
    return { text: file.endsWith(".in") ? await preprocessed(fetching, text, file) : text, file };
  } catch (error) {
    throw wrapError(`Cannot read ${file}`, error);
  }
}

/** As in Buildah: the C preprocessor, which leaves comments that look like its own directives to fail. */
async function preprocessed(fetching: Fetching, text: Uint8Array, file: string): Promise<Uint8Array> {
  const cpp = findProgram("cpp");
  if (cpp === undefined) {
    throw new CooperError("unsupported", `${basename(file)} goes through cpp, which this host lacks`, {
      hint: "Install cpp, or name the file without .in",
    });
  }
  const argv = [
    cpp,
    "-E",
    "-P",
    "-iquote",
    dirname(file),
    "-traditional",
    "-undef",
    ...(fetching.cppFlags ?? []),
    "-",
  ];
  const { exitCode, stdout, stderr } = await runProcess(argv, { stdin: text, signal: fetching.signal });
  if (exitCode === 0) return stdout;
  throw new CooperError("invalid", `cpp failed: ${Buffer.from(stderr).toString().trim()}`);
}

/** `DOCKERFILE.containerignore`, `DOCKERFILE.dockerignore`, else the context's own. */
export function findIgnoreFile(
  given: string | undefined,
  dockerfile: string,
  context: string | undefined,
): string | undefined {
  if (given !== undefined) {
    if (!existsSync(given)) throw new CooperError("not-found", `The ignore file ${given} does not exist`);
    return resolve(given);
  }
  if (context === undefined) return undefined;
  const own = dockerfile === "-" ? [] : [`${dockerfile}.containerignore`, `${dockerfile}.dockerignore`];
  return [...own, join(context, ".containerignore"), join(context, ".dockerignore")].find((path) =>
    existsSync(path),
  );
}
