/** What a step reads beside its own text and the files before it, as digests for its cache key. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseChmod } from "../archive/copy-chmod.ts";
import type { SourceRequest } from "../archive/copy-tree.ts";
import type { HashOptions } from "../archive/hash-entries.ts";
import { hashInTurns } from "../archive/hash-tree.ts";
import { type Digest, digestOf } from "../base/digest.ts";
import { wrapError } from "../base/errors.ts";
import { encodeName } from "../base/path-bytes.ts";
import type { RunSettings } from "../container/run-settings.ts";
import type { CopyOp, MountOp, Op, Origin, RunOp } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { downloaded, fileSources, isPath } from "./copy-step.ts";
import { fetchGit } from "./fetch-git.ts";
import { ignoreOf, openOrigin, originKey, originRoot } from "./origins.ts";
import { secretInputs } from "./secrets.ts";

/** Digests of inputs, for keys of this store and, where they are asked for, for those that all machines compute alike. */
export interface Inputs {
  /** What each digest is of, for people; not part of any key. */
  names: string[];
  digests: Digest[];
  portable(): Promise<Digest[]>;
}

export interface StepInputs {
  /** Found without reading more than files of contexts: a stage or an image counts as a whole. */
  quick: Inputs;
  /**
   * The same, where of stages and images only those files count that the step reads. Undefined where it reads none of
   * them. Mounts what it reads: to be asked when `quick` is not known.
   */
  exact: (() => Promise<Inputs>) | undefined;
}

interface Input {
  name: string;
  quick: Digest;
  /** `quick` for all machines, where that is something else. */
  portable?: () => Promise<Digest>;
  exact?: () => Promise<Digest>;
}

const input = (name: string, text: string): Input => ({ name, quick: digestOf(text) });

/** Everything that a step reads. Downloads happen here: their content decides about the cache. */
export async function stepInputs(build: Build, op: Op): Promise<StepInputs> {
  const inputs =
    op.kind === "copy" ? await copyInputs(build, op) : op.kind === "run" ? await runInputs(build, op) : [];
  const exact = async () => {
    const read: Input[] = [];
    for (const one of inputs)
      read.push(one.exact === undefined ? one : { name: one.name, quick: await one.exact() });
    return digestsOf(read);
  };
  return {
    quick: digestsOf(inputs),
    exact: inputs.some((one) => one.exact !== undefined) ? exact : undefined,
  };
}

function digestsOf(inputs: Input[]): Inputs {
  return {
    names: inputs.map((one) => one.name),
    digests: inputs.map((one) => one.quick),
    portable: () => Promise.all(inputs.map((one) => one.portable?.() ?? one.quick)),
  };
}

async function copyInputs(build: Build, op: CopyOp): Promise<Input[]> {
  const inputs: Input[] = [];
  const patterns = op.sources.filter(isPath).map((source) => source.pattern);
  if (patterns.length > 0) inputs.push(await filesInput(build, op, patterns));
  for (const source of op.sources) {
    if (source.kind === "inline")
      inputs.push({ name: "here-document", quick: digestOf(encodeName(source.content)) });
    if (source.kind === "git")
      inputs.push(input("commit of the git repository", (await fetchGit(build, source)).commit));
    if (source.kind === "url") {
      const { digest, suggestedName } = await downloaded(build, source, op.checksum);
      inputs.push(input("download", `${digest} ${suggestedName ?? source.name}`));
    }
  }
  return inputs;
}

/** Owners of a context's files are not kept, those of stages are. */
const CONTEXT: HashOptions = { owner: { uid: 0, gid: 0 }, capabilities: false };

async function filesInput(build: Build, op: CopyOp, patterns: string[]): Promise<Input> {
  const chmod = op.chmod === undefined ? {} : { chmod: parseChmod(op.chmod) };
  const request = async (): Promise<SourceRequest> => {
    const { root, label, ignore } = await fileSources(build, op, patterns);
    return {
      sourceRoot: root,
      ...(label === undefined ? {} : { label }),
      sources: patterns,
      wildcards: true,
      parents: op.parents,
      ignore,
      exclude: op.exclude,
    };
  };
  const owner = op.chown === undefined ? {} : { owner: { uid: 0, gid: 0 } };
  const name = `files of ${originName(build, op.from)}`;
  const key = await originKey(build, op.from);
  if (key === undefined)
    return {
      name,
      quick: await hashInTurns(
        await request(),
        { ...CONTEXT, ...chmod },
        { cache: build.fileDigests, signal: build.signal },
      ),
    };
  // Without the stat cache: the numbers of a mount's device and inodes are another mount's later.
  const portable = async () => digestOf(await key.portable());
  return {
    name,
    quick: digestOf(key.local),
    portable,
    exact: async () => hashInTurns(await request(), { ...owner, ...chmod }, { signal: build.signal }),
  };
}

async function runInputs(build: Build, op: RunOp): Promise<Input[]> {
  const { run, buildArgs } = build.request;
  const inputs: Input[] = [];
  for (const wanted of op.mounts) inputs.push(...(await mountInputs(build, wanted)));
  const settings = settingsInput({
    ...run,
    // The flag of RUN goes before the build's.
    ...(op.network === "default" ? {} : { network: op.network }),
  });
  if (settings !== undefined) inputs.push(input("flags of the build", settings));
  // Nobody knows what comes in before it does.
  if (build.request.stdin) inputs.push(input("standard input", randomUUID()));
  const { BUILDKIT_SANDBOX_HOSTNAME: hostname } = buildArgs;
  if (hostname !== undefined && hostname !== "") inputs.push(input("host name", `hostname ${hostname}`));
  return inputs;
}

async function mountInputs(build: Build, wanted: MountOp): Promise<Input[]> {
  switch (wanted.type) {
    case "tmpfs":
      return [];
    case "secret":
      return secretInputs(build, wanted.id).map(({ name, text }) => input(name, text));
    case "ssh":
      return [
        input(
          `whether there is an SSH agent ${wanted.id}`,
          `ssh ${build.request.ssh.some(({ id }) => id === wanted.id)}`,
        ),
      ];
    case "bind":
      return [await mountInput(build, wanted.target, wanted.from, wanted.source)];
    case "cache": {
      const { BUILDKIT_CACHE_MOUNT_NS: namespace } = build.request.buildArgs;
      const named =
        namespace === undefined || namespace === ""
          ? []
          : [input("name space of cache mounts", `namespace ${namespace}`)];
      return wanted.from === undefined
        ? named
        : [...named, await mountInput(build, wanted.target, wanted.from, wanted.source)];
    }
  }
}

/** What a mount shows. The whole of a stage or image is not read: it is hardly ever what another one was. */
async function mountInput(build: Build, target: string, from: Origin, source: string): Promise<Input> {
  const name = `files of ${originName(build, from)} mounted at ${target}`;
  const isWhole = /^[./]*$/.test(source);
  const content = async (options: HashOptions, cache?: Build["fileDigests"]) => {
    const sourceRoot = await originRoot(build, from);
    const open = await openOrigin(build, from);
    const ignore = open.kind === "directory" ? ignoreOf(open) : undefined;
    const request = { sourceRoot, sources: [source], wildcards: false, parents: false, ignore };
    return hashInTurns(request, { ...options, itself: !isWhole }, { cache, signal: build.signal });
  };
  const key = await originKey(build, from);
  if (key === undefined) return { name, quick: await content(CONTEXT, build.fileDigests) };
  const { local: quick, portable } = key;
  return isWhole ? { name, quick, portable } : { name, quick, portable, exact: () => content({}) };
}

function originName(build: Build, origin: Origin): string {
  switch (origin.kind) {
    case "scratch":
      return "nothing";
    case "stage":
      return `stage ${build.plan.stages[origin.stage]?.name ?? origin.stage}`;
    case "image":
      return origin.reference;
    case "context":
      return origin.name === undefined ? "the context" : `the context ${origin.name}`;
  }
}

/**
 * What flags of the command line change in how commands run, as text; undefined when nothing. The isolation is not in
 * it: it is how a command is run and not what it sees. Nor is the host's containers.conf, which belongs to the machine,
 * nor what is in volumes: they are what the host has at the time.
 */
export function settingsInput(settings: RunSettings): string | undefined {
  // How it is isolated and how much it may use do not change what it leaves.
  const { isolation, runtime, runtimeFlags, noPivot, limits, seccomp, capAdd, capDrop, ...rest } = settings;
  const asked = Object.entries({
    ...rest,
    capAdd: capAdd?.toSorted(),
    capDrop: capDrop?.toSorted(),
    seccomp: seccomp === undefined || seccomp === "unconfined" ? seccomp : profileDigest(seccomp),
  });
  const given = asked.filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
  return given.length === 0 ? undefined : `settings ${JSON.stringify(given)}`;
}

function profileDigest(path: string): Digest {
  try {
    return digestOf(readFileSync(path));
  } catch (error) {
    throw wrapError(`Cannot read the seccomp profile ${path}`, error);
  }
}
