/** The --mount flags of RUN: what each becomes in this process's mount namespace, and how it goes away again. */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { copyTree } from "../archive/copy-tree.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { type Digest, digestHex, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { MNT, MS, mount, umount } from "../base/mounts.ts";
import { encodeName, fsPath } from "../base/path-bytes.ts";
import { fileOwnership, giveAway } from "../base/process-ids.ts";
import type { MountOp, RunOp } from "../plan/types.ts";
import { commandsHaveMounts } from "../sandbox/mount-namespace.ts";
import type { RunMount } from "../sandbox/types.ts";
import { type FileLock, lockFile, tryLock } from "../store/locks.ts";
import { overlay } from "../store/overlay.ts";
import type { Build } from "./build-image.ts";
import { boundFiles, writableFile } from "./bound-files.ts";
import { type OriginKey, originKey, originRoot } from "./origins.ts";
import type { MountRecord } from "./remote-cache.ts";
import { secretValue } from "./secrets.ts";
import { sshMount } from "./ssh-agent.ts";

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
      prepared.mounts.push(...[await sshMount(build, wanted, undo)].filter((made) => made !== undefined));
  }
}

async function bindMount(build: Build, wanted: Of<"bind">, undo: (() => void)[]): Promise<RunMount> {
  const source = await boundFiles(build, wanted.from, wanted.source);
  const { target } = wanted;
  if (wanted.readOnly) return { type: "bind", source, target, readOnly: true };
  const isDirectory = statSync(fsPath(source)).isDirectory();
  return {
    type: "bind",
    source: isDirectory ? writableCopy(build, source, undo) : writableFile(build, source),
    target,
    lend: true,
  };
}

/** What the command writes into a bind mount is thrown away: it writes into an overlay, or into a copy. */
function writableCopy(build: Build, source: string, undo: (() => void)[]): string {
  const directory = build.store.session.path("bind");
  if (!commandsHaveMounts()) {
    copyTree(source, directory, { ownership: "verbatim" });
    undo.push(() => rmSync(directory, { recursive: true, force: true }));
    return directory;
  }
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
  const parent = join(build.store.root, "cache-mounts");
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const id = digestHex(digestOf(await cacheName(build, wanted, (key) => key.local))).slice(0, 32);
  const { name, lock } = await takeCache(build, wanted, parent, id);
  undo.push(() => lock[Symbol.dispose]());
  const directory = join(parent, name);
  const remote = name === id ? await remoteMount(build, wanted, name) : undefined;
  if (!existsSync(directory)) await fillCache(build, wanted, directory, remote);
  return { type: "bind", source: directory, target: wanted.target, readOnly: wanted.readOnly, lend: true };
}

/** Notes that a step uses a mount that remote caches may have, and are to get. */
async function remoteMount(
  build: Build,
  wanted: Of<"cache">,
  name: string,
): Promise<MountRecord | undefined> {
  if (build.remote === undefined) return undefined;
  const { mountKey } = await import("./remote-mounts.ts");
  const key = mountKey(await cacheName(build, wanted, (key) => key.portable()));
  const record = { key, name, id: wanted.id };
  build.remote.mounts.set(name, record);
  return record;
}

/** As in BuildKit, a cache that begins with files is another one than the cache of the same id that begins empty. */
async function cacheName(
  build: Build,
  wanted: Of<"cache">,
  choose: (key: OriginKey) => Digest | Promise<Digest>,
): Promise<string> {
  const namespace = build.request.buildArgs.BUILDKIT_CACHE_MOUNT_NS ?? "";
  const id = namespace === "" ? wanted.id : `${namespace}/${wanted.id}`;
  if (wanted.from !== undefined) {
    const key = await originKey(build, wanted.from);
    return JSON.stringify([id, key === undefined ? wanted.from : await choose(key), wanted.source]);
  }
  const { uid, gid, mode } = wanted;
  if (uid === 0 && gid === 0 && mode === 0o755) return id;
  return JSON.stringify([id, uid, gid, mode]);
}

interface TakenCache {
  name: string;
  lock: FileLock;
}

/** A private cache that a command uses already is left to it: the next one of the id that is free is taken. */
async function takeCache(build: Build, wanted: Of<"cache">, parent: string, id: string): Promise<TakenCache> {
  if (wanted.sharing !== "private") {
    const mode = wanted.sharing === "shared" ? "shared" : "exclusive";
    return { name: id, lock: await lockFile(join(parent, `${id}.lock`), mode, build.signal) };
  }
  for (let number = 0; ; number++) {
    const name = number === 0 ? id : `${id}.${number}`;
    const lock = tryLock(join(parent, `${name}.lock`), "exclusive");
    if (lock !== undefined) return { name, lock };
  }
}

/** Filled beside and renamed: several commands may begin to share a cache at once, and any may be killed. */
async function fillCache(
  build: Build,
  wanted: Of<"cache">,
  directory: string,
  remote: MountRecord | undefined,
): Promise<void> {
  const filling = build.store.session.path("cache");
  const restored = remote === undefined ? undefined : await restore(build, remote, filling);
  if (restored === undefined && wanted.from !== undefined) {
    const root = await originRoot(build, wanted.from);
    copyTree(resolveInRoot(root, wanted.source), filling, { ownership: fileOwnership() });
  } else {
    if (restored === undefined) mkdirSync(filling, { mode: wanted.mode });
    chmodSync(filling, wanted.mode);
    giveAway(filling, wanted);
  }
  try {
    renameSync(filling, directory);
    restored?.keep();
  } catch (error) {
    if (!existsSync(directory)) throw error;
    rmSync(filling, { recursive: true, force: true });
  }
}

/** Fills a cache from a remote one; keep() remembers what it was filled with. */
async function restore(
  build: Build,
  record: MountRecord,
  filling: string,
): Promise<{ keep(): void } | undefined> {
  const { keepBaseline, restoreMount } = await import("./remote-mounts.ts");
  const baseline = await restoreMount(build, build.remote!, record.key, filling);
  return baseline === undefined ? undefined : { keep: () => keepBaseline(build, record.name, baseline) };
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
  if (!commandsHaveMounts()) {
    throw new CooperError(
      "unsupported",
      `Cannot give the command a file with the secret "${wanted.id}": this host refuses mounts, and without a tmpfs it would be written to the disk`,
      { hint: `Give it as a variable: RUN --mount=type=secret,id=${wanted.id},env=NAME` },
    );
  }
  const directory = build.store.session.path("secret");
  mkdirSync(directory, { mode: 0o700 });
  mount("tmpfs", directory, "tmpfs", MS.NOSUID | MS.NODEV, "size=1m,mode=700");
  undo.push(() => {
    umount(directory, MNT.DETACH);
    rmSync(directory, { recursive: true, force: true });
  });
  const file = join(directory, "secret");
  writeFileSync(file, value, { mode: 0o600 });
  giveAway(file, wanted);
  chmodSync(file, wanted.mode);
  prepared.mounts.push({
    type: "bind",
    source: file,
    target: wanted.target ?? `/run/secrets/${basename(wanted.id)}`,
    readOnly: true,
  });
}

/** A here-document that begins with `#!` is a script of its own. */
function scriptMount(build: Build, script: NonNullable<RunOp["script"]>, undo: (() => void)[]): RunMount {
  const file = build.store.session.path("script");
  writeFileSync(file, encodeName(script.content), { mode: 0o755 });
  chmodSync(file, 0o755);
  undo.push(() => rmSync(file, { force: true }));
  return { type: "bind", source: file, target: `/dev/pipes/${script.name}`, readOnly: true };
}
