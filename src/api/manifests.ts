/** Lists of images (manifest lists, image indexes) of a store, as `buildah manifest` makes them. */
import type {
  ArtifactOptions,
  ManifestAddOptions,
  ManifestAnnotateOptions,
  ManifestCreateOptions,
  ManifestEntryEdits,
  ManifestInfo,
  ManifestPushOptions,
  PushResult,
  Store,
} from "../api-types.ts";
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { storeArtifact } from "../image/artifact.ts";
import { findEntries, type FoundEntries, imageEntry, entryDigest } from "../image/index-entries.ts";
import { pushIndexAlone } from "../image/move-image.ts";
import { parseMapping } from "../oci/annotations.ts";
import { hostPlatform } from "../oci/platform.ts";
import { normaliseName } from "../oci/reference.ts";
import type { Descriptor, ImageIndex, Platform } from "../oci/types.ts";
import { findImageByText } from "../store/images.ts";
import {
  changeIndex,
  createIndex,
  deleteIndex,
  findIndexByText,
  type IndexRecord,
  readIndex,
} from "../store/indexes.ts";
import { namesOf } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import { push } from "./move.ts";
import { registrySettings } from "./registry-options.ts";
import { filesOf } from "./store.ts";

const EMPTY: ImageIndex = { schemaVersion: 2, manifests: [] };

/** Makes a list, with images in it if any are named. Throws `exists` when the name is taken, unless told otherwise. */
export async function createManifest(
  store: Store,
  name: string,
  options: ManifestCreateOptions = {},
): Promise<ManifestInfo> {
  const files = filesOf(store);
  if (options.amend && options.replace)
    throw new CooperError("usage", "A list cannot be amended and replaced at once");
  const full = normaliseName(name);
  const found: FoundEntries[] = [];
  const { images = [], ...request } = options;
  for (const image of images) found.push(await findEntries(files, image, entryRequest(request)));
  const entries = found.flatMap((one) => one.entries);
  const instances = found.flatMap((one) => one.instances);
  const fill = (index: ImageIndex) => annotated(withEntries(index, entries), options.annotations ?? []);
  for (;;) {
    const there = options.amend ? amendable(files, full) : undefined;
    if (there !== undefined) return infoOf(files, changeIndex(files, there.id, fill, instances));
    try {
      return infoOf(files, createIndex(files, fill(EMPTY), instances, [full], options.replace));
    } catch (error) {
      // Another process has made it meanwhile: what that put in stays.
      if (!options.amend || !(error instanceof CooperError) || error.code !== "exists") throw error;
    }
  }
}

/** The list of a name; one that holds the image when the name is that of an image, as Buildah has it. */
function amendable(files: StoreFiles, name: string): IndexRecord | undefined {
  const list = findIndexByText(files, name);
  if (list !== undefined) return list;
  const image = findImageByText(files, name);
  if (image === undefined) return undefined;
  const { entries, instances } = imageEntry(files, name, image);
  return createIndex(files, withEntries(EMPTY, entries), instances, [name], true);
}

function entryRequest(options: Omit<ManifestCreateOptions, "images">) {
  const { all, onEvent, signal } = options;
  return { all, onEvent, signal, registry: registrySettings(options) };
}

/** The list with these entries at its end; one that is there already moves there. */
function withEntries(index: ImageIndex, entries: Descriptor[]): ImageIndex {
  const fresh = new Map(entries.map((entry) => [entry.digest, entry]));
  const kept = index.manifests.filter(({ digest }) => !fresh.has(digest));
  return { ...index, manifests: [...kept, ...fresh.values()] };
}

function annotated<T extends { annotations?: Record<string, string> }>(holder: T, texts: string[]): T {
  return texts.length === 0
    ? holder
    : { ...holder, annotations: { ...holder.annotations, ...parseMapping(texts, "annotation") } };
}

/**
 * Adds an image to a list: one of the store, or of any transport (a plain name that the store does not know is one in a
 * registry). Returns the id of the list and the digest of the (last) entry. Throws `not-found`, `invalid`.
 */
export async function addToManifest(
  store: Store,
  list: string,
  image: string,
  options: ManifestAddOptions = {},
): Promise<ManifestInfo & { digest: Digest }> {
  const files = filesOf(store);
  const record = requireList(files, list);
  const wanted = wantedPlatform(options);
  const found = await findEntries(files, image, {
    ...entryRequest(options),
    ...(wanted === undefined ? {} : { platform: wanted }),
  });
  const entries = found.entries.map((entry) => edited(entry, options));
  const last = entries.at(-1);
  if (last === undefined) throw new CooperError("invalid", `${image} is an empty list`);
  const changed = changeIndex(files, record.id, (index) => withEntries(index, entries), found.instances);
  return { ...infoOf(files, changed), digest: last.digest };
}

/**
 * Adds files to a list as one artifact, with what the options say of it. Returns the id of the list and the digest of the
 * artifact's manifest. Throws `not-found`.
 */
export async function addArtifactToManifest(
  store: Store,
  list: string,
  files: string[],
  options: ArtifactOptions = {},
): Promise<ManifestInfo & { digest: Digest }> {
  const here = filesOf(store);
  const record = requireList(here, list);
  const { subject } = options;
  const { entries } = await storeArtifact(here, {
    files,
    artifactType: options.artifactType,
    config: options.config,
    configType: options.configType,
    layerType: options.layerType,
    titles: options.titles ?? true,
    annotations: parseMapping(options.artifactAnnotations ?? [], "annotation"),
    subject: subject === undefined ? undefined : await subjectOf(here, subject),
  });
  const entry = edited(entries[0]!, options);
  const changed = changeIndex(here, record.id, (index) => withEntries(index, [entry]));
  return { ...infoOf(here, changed), digest: entry.digest };
}

function wantedPlatform({ os, arch, variant }: ManifestEntryEdits): Platform | undefined {
  if (os === undefined && arch === undefined && variant === undefined) return undefined;
  const host = hostPlatform();
  return {
    os: os ?? host.os,
    architecture: arch ?? host.architecture,
    ...(variant === undefined ? {} : { variant }),
  };
}

/** What the caller says about an entry comes before what its config says. */
function edited(entry: Descriptor, edits: ManifestEntryEdits): Descriptor {
  const { os, arch, variant, osVersion, osFeatures, features } = edits;
  const platform = {
    ...entry.platform,
    ...(arch === undefined ? {} : { architecture: arch }),
    ...(os === undefined ? {} : { os }),
    ...(osVersion === undefined ? {} : { "os.version": osVersion }),
    ...(osFeatures === undefined ? {} : { "os.features": osFeatures }),
    ...(variant === undefined ? {} : { variant }),
    // Docker's lists have it, the OCI specification reserves the name.
    ...(features === undefined ? {} : { features }),
  };
  const hasPlatform = Object.keys(platform).length > 0;
  const complete = { ...(hasPlatform ? { architecture: "", os: "", ...platform } : {}) } as Platform;
  return annotated(hasPlatform ? { ...entry, platform: complete } : entry, edits.annotations ?? []);
}

/** Changes what a list says about one of its entries, named by digest or as an image; or with `index` the list itself. */
export async function annotateManifest(
  store: Store,
  list: string,
  instance: string | undefined,
  options: ManifestAnnotateOptions = {},
): Promise<ManifestInfo & { digest?: Digest }> {
  const files = filesOf(store);
  const record = requireList(files, list);
  if (options.index || options.subject !== undefined) {
    const subject = options.subject === undefined ? undefined : await subjectOf(files, options.subject);
    const change = (index: ImageIndex) => ({
      ...annotated(index, options.annotations ?? []),
      ...(subject === undefined ? {} : { subject }),
    });
    return infoOf(files, changeIndex(files, record.id, change));
  }
  if (instance === undefined) throw new CooperError("usage", "An entry of the list must be named");
  const digest = await entryDigest(files, instance, registrySettings(options));
  const changed = changeIndex(files, record.id, (index) => {
    requireEntry(index, digest, list);
    const manifests = index.manifests.map((entry) =>
      entry.digest === digest ? edited(entry, options) : entry,
    );
    return { ...index, manifests };
  });
  return { ...infoOf(files, changed), digest };
}

async function subjectOf(files: StoreFiles, text: string): Promise<Descriptor> {
  const { entries } = await findEntries(files, text);
  const { mediaType, digest, size } = entries[0]!;
  return { mediaType, digest, size };
}

function requireEntry(index: ImageIndex, digest: Digest, list: string): void {
  if (index.manifests.some((entry) => entry.digest === digest)) return;
  const there = index.manifests.map((entry) => entry.digest).join(", ");
  throw new CooperError("not-found", `The list ${list} has no entry ${digest}`, {
    hint: there === "" ? "it is empty" : `it has ${there}`,
  });
}

/** The document of a list of the store. Throws `not-found`; `invalid` when the name is that of an image. */
export async function inspectManifest(store: Store, list: string): Promise<ImageIndex> {
  const files = filesOf(store);
  return readIndex(files, requireList(files, list));
}

/** Whether a list of that name is in the store. Throws `invalid` when it is an image. */
export async function manifestExists(store: Store, list: string): Promise<boolean> {
  const files = filesOf(store);
  if (findIndexByText(files, list) !== undefined) return true;
  if (findImageByText(files, list) !== undefined) throw notAList(list);
  return false;
}

/** Takes an entry, named by digest or as an image, out of a list. */
export async function removeFromManifest(
  store: Store,
  list: string,
  instance: string,
): Promise<ManifestInfo & { digest: Digest }> {
  const files = filesOf(store);
  const record = requireList(files, list);
  const digest = await entryDigest(files, instance);
  const changed = changeIndex(files, record.id, (index) => {
    requireEntry(index, digest, list);
    return { ...index, manifests: index.manifests.filter((entry) => entry.digest !== digest) };
  });
  return { ...infoOf(files, changed), digest };
}

/** Removes a list with all of its names; images that it lists stay where they have names. */
export async function removeManifest(
  store: Store,
  list: string,
): Promise<{ untagged: string[]; deleted: string[] }> {
  const files = filesOf(store);
  const record = requireList(files, list);
  const untagged = namesOf(files.db, record.id);
  deleteIndex(files, record.id);
  return { untagged, deleted: [record.id] };
}

/** Sends a list with its images (or, with `all: false`, alone: its images must be there already). */
export async function pushManifest(
  store: Store,
  list: string,
  destination: string,
  options: ManifestPushOptions = {},
): Promise<PushResult> {
  const files = filesOf(store);
  const { remove, all = true, ...rest } = options;
  const record = requireList(files, list);
  const result = all
    ? await push(store, list, destination, { ...rest, all: true })
    : await pushIndexAlone(files, list, destination, {
        compression: "keep",
        format: "keep",
        registry: registrySettings(rest),
        onEvent: rest.onEvent,
        signal: rest.signal,
      });
  if (remove) deleteIndex(files, record.id);
  return result;
}

/** A list by name or id. Throws `not-found`, or `invalid` when it is an image. */
function requireList(files: StoreFiles, text: string): IndexRecord {
  const record = findIndexByText(files, text);
  if (record !== undefined) return record;
  if (findImageByText(files, text) !== undefined) throw notAList(text);
  throw new CooperError("not-found", `${text}: no such list of images in the store`, {
    hint: "make one with: cooper manifest create",
  });
}

function notAList(text: string): CooperError {
  return new CooperError("invalid", `${text} is an image, not a list of images`);
}

function infoOf(files: StoreFiles, record: IndexRecord): ManifestInfo {
  return { id: record.id, names: namesOf(files.db, record.id) };
}
