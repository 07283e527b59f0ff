/** Keys of the build cache: what a step's files depend on, and nothing else. */
import { type Digest, digestOf } from "../base/digest.ts";
import type { ImageConfig } from "../oci/types.ts";
import type { CopyOp, CopySource, MountOp, Op, Origin, RunOp, Step } from "./types.ts";

/** To be raised when what a key means changes, or what executing an op gives. */
const VERSION = 2;

/**
 * Key of the files after a step. `parent` is the key of the files before it; `inputs` are digests of everything that
 * it reads besides: sources of COPY and ADD with their modes and owners, contents of bind mounts and of caches that
 * begin as copies, what flags of the build change in how it runs (build/step-inputs.ts). Secrets count by id only,
 * proxies not at all.
 *
 * A step that only changes the config leaves the files as they were, and so the key: what RUN sees of the config is
 * in RUN's own op.
 */
export function stepKey(parent: Digest, step: Pick<Step, "op">, inputs: readonly Digest[] = []): Digest {
  const op = keyPart(step.op);
  if (op === undefined) return parent;
  return digestOf(["cooper step", VERSION, parent, canonical(op), ...inputs].join("\n"));
}

/** Key of a base image's files. They decide, not the manifest: in another format or compression it is the same base. */
export function imageKey({ os, architecture, variant, rootfs }: ImageConfig): Digest {
  return digestOf(JSON.stringify(["image", os, architecture, variant, rootfs.diff_ids]));
}

/** Key of no files, for a platform. */
export function scratchKey({ os, architecture, variant }: ImageConfig): Digest {
  return digestOf(`scratch ${os}/${architecture}/${variant ?? ""}`);
}

/**
 * Key of the files after a step that was executed or found. What was made counts (`identity`), not how: after a step that
 * was run anew nothing of what stood on it is still true, and where others would have made the same it still is. A step
 * that changed no file (null) counts by its own key: it may have left something in a cache mount.
 */
export function keyAfter(parent: Digest, step: Digest, identity: string | null): Digest {
  return identity === null ? step : digestOf(`${parent} ${identity}`);
}

/** What of an op can change the files; undefined when nothing can. */
export function keyPart(op: Op): object | undefined {
  switch (op.kind) {
    case "config":
      return undefined;
    case "mkdir":
      return op;
    case "copy":
      return copyPart(op);
    case "run":
      return runPart(op);
  }
}

/** Where the files come from, and what checks that they are the right ones, is nothing beside what they are. */
function copyPart(op: CopyOp): object {
  const { from: _from, checksum: _checksum, ...rest } = op;
  return { ...rest, sources: op.sources.map(sourcePart) };
}

function sourcePart(source: CopySource): unknown {
  if (source.kind === "url") return { kind: source.kind };
  // The repository's own files tell where it came from.
  if (source.kind !== "git" || source.keepGitDir) return source;
  const { url: _url, remote: _remote, ref: _ref, checksum: _checksum, ...rest } = source;
  return rest;
}

function runPart(op: RunOp): object {
  // `args` are in `env`.
  const { proxyEnv: _proxy, args: _args, env, mounts, ...rest } = op;
  return { ...rest, env: env.toSorted(), mounts: mounts.map(mountPart) };
}

function mountPart(mount: MountOp): unknown {
  if (mount.type === "bind") return { ...mount, from: undefined };
  if (mount.type === "cache") return { ...mount, from: originKind(mount.from) };
  return mount;
}

const originKind = (origin: Origin | undefined): string | undefined => origin?.kind;

/** JSON with the keys of objects in order and without undefined fields. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (item === null || typeof item !== "object" || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
