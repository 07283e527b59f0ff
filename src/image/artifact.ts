/** Files as an artifact: a manifest whose layers they are (image-spec manifest.md, "Guidelines for Artifact Usage"). */
import { createReadStream, statSync } from "node:fs";
import { basename } from "node:path";
import { digestOf } from "../base/digest.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { MEDIA } from "../oci/media-types.ts";
import type { Descriptor, Manifest } from "../oci/types.ts";
import { type StoreFiles, storeBytes, storeStream } from "../store/store.ts";
import type { FoundEntries } from "./index-entries.ts";

export interface ArtifactRequest {
  /** Paths of the host. */
  files: string[];
  artifactType: string | undefined;
  /** Path of its config; without one it is empty. */
  config: string | undefined;
  configType: string | undefined;
  /** Of every file; by default each file's name decides. */
  layerType: string | undefined;
  /** Whether files keep their names, in annotations. */
  titles: boolean;
  annotations: Record<string, string>;
  subject: Descriptor | undefined;
}

/** Manifest.md's type for a config that says nothing, and what Buildah calls an artifact of no type. */
const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";
const UNKNOWN_TYPE = "application/vnd.unknown.artifact.v1";
const TITLE = "org.opencontainers.image.title";

/** Brings the files into the store, held by this session; gives the entry for an index. Throws `not-found`. */
export async function storeArtifact(store: StoreFiles, request: ArtifactRequest): Promise<FoundEntries> {
  const { artifactType = UNKNOWN_TYPE, annotations, subject } = request;
  const layers: Descriptor[] = [];
  for (const file of request.files) {
    const layer = await storeFile(store, file, request.layerType ?? typeOf(file));
    layers.push(request.titles ? { ...layer, annotations: { [TITLE]: basename(file) } } : layer);
  }
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    artifactType,
    config: await configOf(store, request),
    layers,
    ...(subject === undefined ? {} : { subject }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  storeBytes(store, bytes);
  const entry = { mediaType: MEDIA.ociManifest, digest: digestOf(bytes), size: bytes.length, artifactType };
  return { entries: [entry], instances: [] };
}

async function configOf(
  store: StoreFiles,
  { config, configType = EMPTY_TYPE }: ArtifactRequest,
): Promise<Descriptor> {
  if (config !== undefined) return await storeFile(store, config, configType);
  const empty = Buffer.from("{}");
  storeBytes(store, empty);
  return {
    mediaType: configType,
    digest: digestOf(empty),
    size: empty.length,
    data: empty.toString("base64"),
  };
}

async function storeFile(store: StoreFiles, path: string, mediaType: string): Promise<Descriptor> {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    throw new CooperError("not-found", `Cannot add ${path}: there is no such file`);
  try {
    return { mediaType, ...(await storeStream(store, createReadStream(path))) };
  } catch (error) {
    throw wrapError(`Cannot add ${path}`, error);
  }
}

/** By the end of the name, without what it says of the encoding. */
const typeOf = (path: string) => Bun.file(path).type.replace(/;.*/, "") || "application/octet-stream";
