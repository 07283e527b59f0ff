/** The --mount flags of RUN: what each becomes in this process's mount namespace, and how it goes away again. */
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolveInRoot } from "../archive/rooted-path.ts";
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { encodeName } from "../base/path-bytes.ts";
import {
  beginCache,
  cacheIdentity,
  type CacheMount,
  fillCache,
  ownCache,
  takeCache,
} from "../container/cache-mounts.ts";
import { mkdirInContainer } from "../container/mkdir.ts";
import { secretMount } from "../container/secret.ts";
import { imageBind } from "../container/writable-copy.ts";
import type { MountOp, RunOp } from "../plan/types.ts";
import { mayBeShifted } from "../sandbox/command-ids.ts";
import { commandsHaveMounts } from "../sandbox/mount-namespace.ts";
import type { RunMount } from "../sandbox/types.ts";
import type { Build } from "./build-image.ts";
import { boundFiles } from "./bound-files.ts";
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
export async function prepareMounts(build: Build, op: RunOp, rootfs: string): Promise<PreparedMounts> {
  const undo: (() => void)[] = [];
  const prepared: PreparedMounts = {
    mounts: [],
    env: [],
    dispose: () => {
      for (const action of undo.splice(0).reverse()) action();
    },
  };
  try {
    for (const path of op.volumes ?? []) prepared.mounts.push(volumeMount(build, rootfs, path, undo));
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
    case "secret": {
      const { mounts, env } = secretMount(build.store, wanted, secretValue(build, wanted.id), undo);
      prepared.mounts.push(...mounts);
      prepared.env.push(...env);
      return;
    }
    case "ssh":
      prepared.mounts.push(...[await sshMount(build, wanted, undo)].filter((made) => made !== undefined));
  }
}

async function bindMount(build: Build, wanted: Of<"bind">, undo: (() => void)[]): Promise<RunMount> {
  const source = await boundFiles(build, wanted.from, wanted.source);
  const { target, readOnly } = wanted;
  return imageBind(build.store, { source, target, readOnly }, build.request.run.ids, undo);
}

async function cacheMount(build: Build, wanted: CacheMount, undo: (() => void)[]): Promise<RunMount> {
  const { store, signal } = build;
  const identity = await cacheName(build, wanted, (key) => key.local);
  const taken = await takeCache(store, { identity, sharing: wanted.sharing }, signal);
  undo.push(taken.release);
  const remote = taken.isFirst ? await remoteMount(build, wanted, taken.name) : undefined;
  await fillCache(store, taken.directory, async (filling) => {
    const restored = remote === undefined ? undefined : await restore(build, remote, filling);
    if (restored !== undefined) ownCache(filling, wanted);
    else beginCache(filling, wanted, wanted.from && (await originRoot(build, wanted.from)));
    return restored?.keep;
  });
  const { target, readOnly } = wanted;
  return { type: "bind", source: taken.directory, target, readOnly, lend: true, ofImage: true };
}

/** Notes that a step uses a mount that remote caches may have, and are to get. */
async function remoteMount(build: Build, wanted: CacheMount, name: string): Promise<MountRecord | undefined> {
  if (build.remote === undefined) return undefined;
  const { mountKey } = await import("./remote-mounts.ts");
  const key = mountKey(await cacheName(build, wanted, (key) => key.portable()));
  const record = { key, name, id: wanted.id };
  build.remote.mounts.set(name, record);
  return record;
}

async function cacheName(
  build: Build,
  wanted: CacheMount,
  choose: (key: OriginKey) => Digest | Promise<Digest>,
): Promise<string> {
  const namespace = build.request.buildArgs.BUILDKIT_CACHE_MOUNT_NS ?? "";
  const named = namespace === "" ? wanted : { ...wanted, id: `${namespace}/${wanted.id}` };
  if (wanted.from === undefined) return cacheIdentity(named);
  const key = await originKey(build, wanted.from);
  return cacheIdentity(named, key === undefined ? wanted.from : await choose(key));
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

/** What is written below a volume is thrown away; its directory is made as Buildah makes it. */
function volumeMount(build: Build, rootfs: string, path: string, undo: (() => void)[]): RunMount {
  if (!commandsHaveMounts())
    throw new CooperError(
      "unsupported",
      `Cannot leave the volume ${path} as it is (--compat-volumes): this host refuses mounts`,
    );
  mkdirInContainer(rootfs, path, "");
  const source = resolveInRoot(rootfs, path);
  const { ids } = build.request.run;
  if (mayBeShifted(ids)) return imageBind(build.store, { source, target: path, readOnly: false }, ids, undo);
  const directory = build.store.session.path("volume");
  undo.push(() => rmSync(directory, { recursive: true, force: true }));
  const overlay = { upper: join(directory, "upper"), work: join(directory, "work") };
  return { type: "bind", source, target: path, overlay };
}

/** A here-document that begins with `#!` is a script of its own. */
function scriptMount(build: Build, script: NonNullable<RunOp["script"]>, undo: (() => void)[]): RunMount {
  const file = build.store.session.path("script");
  writeFileSync(file, encodeName(script.content), { mode: 0o755 });
  chmodSync(file, 0o755);
  undo.push(() => rmSync(file, { force: true }));
  return { type: "bind", source: file, target: `/dev/pipes/${script.name}`, readOnly: true, ofImage: true };
}
