/** The remote caches of a build: where results are looked up, what was found, and what is to be exported at the end. */
import type { Digest } from "../base/digest.ts";
import { digestHex } from "../base/digest.ts";
import { CooperError, messageOf } from "../base/errors.ts";
import { type CacheEntry, parseCacheEntry } from "../oci/cache-entry.ts";
import { type CacheLocation, type CachePlace, openCachePlace } from "../transport/cache-place.ts";
import type { BuildRequest } from "./build-request.ts";
import type { PortableKey } from "./portable-key.ts";
import type { StageState } from "./stage-state.ts";

/** `--cache-from` */
export interface CacheSource {
  location: CacheLocation;
  /** Cache mounts too. */
  mounts: boolean;
}

/** `--cache-to` */
export interface CacheTarget {
  location: CacheLocation;
  mounts: boolean;
  /** `max`: the steps of all stages; `min`: those that the target stands on. */
  mode: "min" | "max";
  compression: "gzip" | "zstd";
  /** A failure is a warning. */
  ignoreErrors: boolean;
}

interface OpenSource {
  place: CachePlace;
  mounts: boolean;
  /** It failed once, and is not asked again. */
  isDown: boolean;
}

export interface RemoteHit {
  place: CachePlace;
  entry: CacheEntry;
}

/** A layer that an entry names and that is not here, under the id that stands for its snapshot. */
export interface PendingLayer {
  hit: RemoteHit;
  /** Keys of this store whose result it is. */
  keys: Set<Digest>;
  fetched: Promise<string> | undefined;
}

/** What a step gave, for the export. */
export interface StepRecord {
  /** Index of its stage. */
  stage: number;
  /** The instruction, for messages. */
  text: string;
  /** One, or, where it reads of other stages or images, one for all of them and one for what it reads. */
  keys: PortableKey[];
  state: StageState;
  /** Place of its snapshot in the state's `frozen`; undefined when it changed no file. */
  depth: number | undefined;
  /** It was run by this build. */
  isNew: boolean;
  created: number;
  /** Where it was found. */
  hit: RemoteHit | undefined;
}

/** A cache mount that a step of this build used. */
export interface MountRecord {
  key: Digest;
  /** In the store's cache-mounts/. */
  name: string;
  /** The mount's own name, for messages. */
  id: string;
}

export interface RemoteCache {
  sources: OpenSource[];
  /** Entries that were run before are not used: milliseconds since 1970. */
  notBefore: number;
  /** Each key is looked up once. */
  found: Map<string, Promise<RemoteHit | undefined>>;
  /** Entries that turned out to be broken: place and key. */
  rejected: Set<string>;
  pending: Map<string, PendingLayer>;
  steps: StepRecord[];
  mounts: Map<string, MountRecord>;
}

/** Opens what --cache-from names; undefined when the build has no remote cache at all. */
export async function openRemoteCache(request: BuildRequest): Promise<RemoteCache> {
  const settings = {
    ...request.registry,
    // A cache that cannot be reached is done without; nobody should wait long for that.
    retries: request.registry.retries ?? 1,
    signal: request.signal,
  };
  const sources = request.noCache ? [] : request.cacheFrom;
  const opened = sources.map(async ({ location, mounts }) => ({
    place: await openCachePlace(location, settings, "read"),
    mounts,
    isDown: false,
  }));
  return {
    sources: await Promise.all(opened),
    notBefore: request.cacheNotBefore,
    found: new Map(),
    rejected: new Set(),
    pending: new Map(),
    steps: [],
    mounts: new Map(),
  };
}

/** The entry of a key, from the first place that has it. Failures are warnings. */
export function lookUp(
  request: BuildRequest,
  remote: RemoteCache,
  key: Digest,
  kind: "step" | "mount",
): Promise<RemoteHit | undefined> {
  let found = remote.found.get(key);
  if (found === undefined) {
    found = lookUpAnew(request, remote, key, kind);
    remote.found.set(key, found);
  }
  return found;
}

async function lookUpAnew(
  request: BuildRequest,
  remote: RemoteCache,
  key: Digest,
  kind: "step" | "mount",
): Promise<RemoteHit | undefined> {
  for (const source of remote.sources) {
    if (source.isDown || remote.rejected.has(rejection(source.place, key))) continue;
    if (kind === "mount" && !source.mounts) continue;
    const entry = await readQuietly(request, source, key);
    if (entry === undefined || entry.created < remote.notBefore) continue;
    if (kind === "step" && entry.layers.length > 1) continue;
    return { place: source.place, entry };
  }
  return undefined;
}

async function readQuietly(
  request: BuildRequest,
  source: OpenSource,
  key: Digest,
): Promise<CacheEntry | undefined> {
  try {
    return await readEntry(source.place, key);
  } catch (error) {
    if (request.signal.aborted) throw error;
    const isEntrys = error instanceof CooperError && /^(?:invalid|integrity|unsupported)$/.test(error.code);
    if (isEntrys) warn(request, `${messageOf(error)}; the entry is not used`);
    else if (!source.isDown) warn(request, `${messageOf(error)}; the build goes on without this cache`);
    source.isDown ||= !isEntrys;
    return undefined;
  }
}

/** The entry that a place has for a key. Throws `invalid` for what is none. */
export async function readEntry(place: CachePlace, key: Digest): Promise<CacheEntry | undefined> {
  const bytes = await place.read(digestHex(key));
  return bytes === undefined ? undefined : parseCacheEntry(bytes, key, `${digestHex(key)} in ${place.name}`);
}

/** Notes that an entry is broken: from now on it is as if it were not there. */
export function reject(
  request: BuildRequest,
  remote: RemoteCache,
  { place, entry }: RemoteHit,
  error: unknown,
): void {
  const rejected = rejection(place, entry.key);
  if (remote.rejected.has(rejected)) return;
  remote.rejected.add(rejected);
  remote.found.delete(entry.key);
  warn(request, `An entry of the cache ${place.name} is not used: ${messageOf(error)}`);
}

const rejection = (place: CachePlace, key: Digest) => `${place.name} ${key}`;

export function warn({ onEvent }: BuildRequest, message: string): void {
  onEvent({ type: "warning", message });
}
