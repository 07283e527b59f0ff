/** The --mount flags of RUN: what each becomes in this process's mount namespace, and how it goes away again. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { copyTree } from "../archive/copy-tree.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { digestHex, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { MNT, MS, mount, umount } from "../base/libc.ts";
import { encodeName, fsPath } from "../base/path-bytes.ts";
import type { MountOp, RunOp } from "../plan/types.ts";
import type { RunMount } from "../sandbox/types.ts";
import { type FileLock, lockFile } from "../store/locks.ts";
import { overlay } from "../store/overlay.ts";
import type { Build } from "./build-image.ts";
import { originRoot } from "./origins.ts";

type Of<T extends MountOp["type"]> = Extract<MountOp, { type: T }>;

export interface PreparedMounts {
  mounts: RunMount[];
  /** Secrets asked for as variables, `KEY=value`. */
  env: string[];
  dispose(): void;
}

/** Prepares all mounts of a RUN. Nothing that a secret holds reaches the container's tree. */
export async function prepareMounts(build: Build, op: RunOp): Promise<PreparedMounts> {
  const undo: (() => void)[] = [];
  const prepared: PreparedMounts = {
    mounts: [],
    env: [],
    dispose: () => {
      for (const action of undo.splice(0).reverse()) action();
    },
  };
  try {
    for (const wanted of op.mounts) await prepareMount(build, wanted, prepared, undo);
    if (op.script !== undefined) prepared.mounts.push(scriptMount(build, op.script, undo));
    return prepared;
  } catch (error) {
    prepared.dispose();
    throw error;
  }
}

async function prepareMount(
  build: Build,
  wanted: MountOp,
  prepared: PreparedMounts,
  undo: (() => void)[],
): Promise<void> {
  switch (wanted.type) {
    case "bind":
      prepared.mounts.push(await bindMount(build, wanted, undo));
      return;
    case "cache":
      prepared.mounts.push(await cacheMount(build, wanted, undo));
      return;
    case "tmpfs":
      prepared.mounts.push({
        type: "tmpfs",
        target: wanted.target,
        ...(wanted.size === undefined ? {} : { size: wanted.size }),
      });
      return;
    case "secret":
      secretMount(build, wanted, prepared, undo);
      return;
    case "ssh":
      if (wanted.required)
        throw new CooperError("unsupported", "RUN --mount=type=ssh is not supported in this version");
  }
}

async function bindMount(build: Build, wanted: Of<"bind">, undo: (() => void)[]): Promise<RunMount> {
  const root = await originRoot(build, wanted.from);
  const source = resolveInRoot(root, wanted.source);
  if (!existsSync(fsPath(source))) {
    throw new CooperError("not-found", `The source "${wanted.source}" of a bind mount does not exist`);
  }
  if (wanted.readOnly) return { type: "bind", source, target: wanted.target, readOnly: true };
  return { type: "bind", source: writableCopy(build, source, undo), target: wanted.target };
}

/** What the command writes into a bind mount is thrown away: it writes into an overlay. */
function writableCopy(build: Build, source: string, undo: (() => void)[]): string {
  const directory = build.store.session.path("bind");
  const lower = join(directory, "lower/diff");
  mkdirSync(lower, { recursive: true, mode: 0o755 });
  mount(source, lower, undefined, MS.BIND | MS.REC);
  const tree = { directory: join(directory, "tree"), lowers: [lower] };
  overlay.prepare(tree);
  undo.push(() => {
    overlay.unmount(tree, true);
    umount(lower, MNT.DETACH);
    rmSync(directory, { recursive: true, force: true });
  });
  return overlay.mount(tree);
}

async function cacheMount(build: Build, wanted: Of<"cache">, undo: (() => void)[]): Promise<RunMount> {
  const id = digestHex(digestOf(wanted.id)).slice(0, 32);
  const parent = join(build.store.root, "cache-mounts");
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const lock = await lockCache(build, wanted, join(parent, `${id}.lock`));
  // A private cache that somebody uses already: this command gets one of its own, which goes with the session.
  const directory = lock === undefined ? build.store.session.path("cache") : join(parent, id);
  if (lock !== undefined) undo.push(() => lock[Symbol.dispose]());
  if (!existsSync(directory)) await fillCache(build, wanted, directory);
  return { type: "bind", source: directory, target: wanted.target, readOnly: wanted.readOnly };
}

function lockCache(build: Build, wanted: Of<"cache">, path: string): Promise<FileLock> {
  return lockFile(path, wanted.sharing === "shared" ? "shared" : "exclusive", build.signal);
}

async function fillCache(build: Build, wanted: Of<"cache">, directory: string): Promise<void> {
  if (wanted.from !== undefined) {
    const root = await originRoot(build, wanted.from);
    copyTree(resolveInRoot(root, wanted.source), directory, {});
    return;
  }
  mkdirSync(directory, { mode: wanted.mode });
  chmodSync(directory, wanted.mode);
  chownSync(directory, wanted.uid, wanted.gid);
}

function secretMount(
  build: Build,
  wanted: Of<"secret">,
  prepared: PreparedMounts,
  undo: (() => void)[],
): void {
  const value = secretValue(build, wanted.id);
  if (value === undefined) {
    if (!wanted.required) return;
    throw new CooperError("not-found", `The build has no secret "${wanted.id}"`, {
      hint: `Give it with --secret id=${wanted.id},src=FILE`,
    });
  }
  if (wanted.env !== undefined) prepared.env.push(`${wanted.env}=${value.toString("utf8")}`);
  if (wanted.env !== undefined && wanted.target === undefined) return;
  const directory = build.store.session.path("secret");
  mkdirSync(directory, { mode: 0o700 });
  mount("tmpfs", directory, "tmpfs", MS.NOSUID | MS.NODEV, "size=1m,mode=700");
  undo.push(() => {
    umount(directory, MNT.DETACH);
    rmSync(directory, { recursive: true, force: true });
  });
  const file = join(directory, "secret");
  writeFileSync(file, value, { mode: 0o600 });
  chownSync(file, wanted.uid, wanted.gid);
  chmodSync(file, wanted.mode);
  prepared.mounts.push({
    type: "bind",
    source: file,
    target: wanted.target ?? `/run/secrets/${basename(wanted.id)}`,
    readOnly: true,
  });
}

function secretValue(build: Build, id: string): Buffer | undefined {
  const secret = build.request.secrets.find((candidate) => candidate.id === id);
  if (secret === undefined) return undefined;
  if (secret.kind === "file") return readFileSync(secret.source);
  const value = process.env[secret.source];
  return value === undefined ? undefined : Buffer.from(value);
}

/** A here-document that begins with `#!` is a script of its own. */
function scriptMount(build: Build, script: NonNullable<RunOp["script"]>, undo: (() => void)[]): RunMount {
  const file = build.store.session.path("script");
  writeFileSync(file, encodeName(script.content), { mode: 0o755 });
  chmodSync(file, 0o755);
  undo.push(() => rmSync(file, { force: true }));
  return { type: "bind", source: file, target: `/dev/pipes/${script.name}`, readOnly: true };
}
