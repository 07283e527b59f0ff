/** Copies an index with all that it lists. */
import { type Digest, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { isMarkedZstd, markCompression, markedLast } from "../oci/compression-mark.ts";
import { isIndexType, MEDIA } from "../oci/media-types.ts";
import { choosePlatform, formatPlatform } from "../oci/platform.ts";
import type { Descriptor, ImageFormat, ImageIndex } from "../oci/types.ts";
import {
  asIs,
  type CopyJob,
  copyManifest,
  type FoundRoot,
  readRoot,
  requireShallow,
  writeDocument,
} from "./copy-manifest.ts";
import { type CopiedEntry, copyVariants, platformKey } from "./compression-variants.ts";
import { formatOf, isContainerImage } from "./plan-layers.ts";

/** BuildKit's mark on an attestation: the digest of the manifest that it speaks of. */
const ATTESTED = "vnd.docker.reference.digest";

export interface CopiedIndex {
  root: Descriptor;
  /** Manifests below it, as written. */
  instances: Descriptor[];
}

/**
 * Copies every entry of an index, in order, and the index; its bytes stay the same when no entry changes. Attestations
 * stay as they are and follow the images that they speak of to their new digests; Docker's lists have no place for them.
 */
export async function copyInstances(job: CopyJob, found: FoundRoot, depth = 0): Promise<CopiedIndex> {
  if (found.root.kind !== "index") throw new CooperError("internal", "A manifest was copied as an index");
  requireShallow(job, depth);
  const { mediaType } = found.root;
  const index = depth === 0 ? chosenEntries(job, found.root.index) : found.root.index;
  const isWhole = index === found.root.index;
  const from = formatOf(mediaType);
  const to = job.wish.format === "keep" ? from : job.wish.format;
  const written: Descriptor[] = [];
  const instances: Descriptor[] = [];
  const images: CopiedEntry[] = [];
  for (const entry of index.manifests) {
    const known = isAttestation(entry) ? undefined : job.copied.get(entry.digest);
    if (known !== undefined) {
      // Lists that name a list a thousand times, several levels deep, have more paths than anyone can walk.
      const again = { ...entry, mediaType: known.mediaType, digest: known.digest, size: known.size };
      written.push(again);
      if (!isIndexType(known.mediaType)) instances.push(again);
      continue;
    }
    const child = await readRoot(job, entry);
    if (child.root.kind === "index") {
      const copied = await copyInstances(job, child, depth + 1);
      instances.push(...copied.instances);
      written.push(copied.root);
    } else if (isAttestation(entry) || !isContainerImage(child.root.manifest)) {
      if (from !== to && to === "docker") {
        job.onEvent({
          type: "warning",
          message: `${entry.digest} of ${job.source.name} is left out: Docker's format holds images only`,
        });
        continue;
      }
      written.push(await copyManifest(asIs(job), child, false));
    } else {
      const copied = await copyManifest(job, child, false);
      images.push({ found: child, written: copied });
      instances.push(copied);
      written.push(copied);
    }
  }
  const variants = await copyVariants(job, images);
  instances.push(...variants);
  const root = await writeIndex(job, found, index, isWhole, { written, variants, from, to });
  return { root, instances };
}

/** The index with what was asked for alone: images for some platforms, and the attestations of these or none. */
function chosenEntries(job: CopyJob, whole: ImageIndex): ImageIndex {
  const index = job.attestations
    ? whole
    : withEntries(
        whole,
        whole.manifests.filter((entry) => !isAttestation(entry)),
      );
  if (job.onlyPlatforms === undefined) return index;
  const chosen = job.onlyPlatforms.flatMap((platform) => {
    const entry = choosePlatform(index.manifests, platform);
    if (entry !== undefined) return [entry.digest, otherCompression(index, entry)?.digest];
    throw new CooperError("not-found", `${job.source.name} has no image for ${formatPlatform(platform)}`);
  });
  const kept = new Set<string | undefined>(chosen);
  const manifests = index.manifests.filter(
    (entry) => kept.has(entry.digest) || (isAttestation(entry) && kept.has(entry.annotations?.[ATTESTED])),
  );
  return withEntries(index, manifests);
}

/** The entry of the same platform for those who cannot read zstd, or for those who can. */
function otherCompression(index: ImageIndex, entry: Descriptor): Descriptor | undefined {
  const key = platformKey(entry);
  return index.manifests.find((one) => isMarkedZstd(one) !== isMarkedZstd(entry) && platformKey(one) === key);
}

/** The same object where nothing is left out: its bytes can stay. */
function withEntries(index: ImageIndex, manifests: Descriptor[]): ImageIndex {
  return manifests.length === index.manifests.length ? index : { ...index, manifests };
}

function isAttestation(entry: Descriptor): boolean {
  return entry.annotations?.[ATTESTED] !== undefined;
}

interface IndexCopy {
  /** What its entries became. */
  written: Descriptor[];
  /** Entries that come to them. */
  variants: Descriptor[];
  from: ImageFormat;
  to: ImageFormat;
}

async function writeIndex(
  job: CopyJob,
  found: FoundRoot,
  index: ImageIndex,
  isWhole: boolean,
  { written, variants, from, to }: IndexCopy,
): Promise<Descriptor> {
  const isSame =
    isWhole &&
    from === to &&
    variants.length === 0 &&
    written.length === index.manifests.length &&
    written.every((entry, i) => entry.digest === index.manifests[i]!.digest);
  if (isSame) {
    return await writeDocument(job, found, found.descriptor, found.bytes);
  }
  const renamed = new Map<string, Digest>(
    written.length === index.manifests.length
      ? written.map((entry, i) => [index.manifests[i]!.digest, entry.digest])
      : [],
  );
  const mediaType = to === "docker" ? MEDIA.dockerList : MEDIA.ociIndex;
  const entries = [...written, ...variants].map((entry) => entryOf(entry, renamed, to));
  const manifests = to === "docker" ? entries : markedLast(entries.map((entry) => marked(job, entry)));
  const document: ImageIndex =
    to === "docker"
      ? { schemaVersion: 2, mediaType, manifests }
      : { ...index, schemaVersion: 2, mediaType, manifests };
  const bytes = Buffer.from(JSON.stringify(document));
  const descriptor: Descriptor = {
    ...found.descriptor,
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  };
  return await writeDocument(job, found, descriptor, bytes);
}

function marked({ compressions }: CopyJob, entry: Descriptor): Descriptor {
  const compression = compressions.get(entry.digest);
  return compression === undefined ? entry : markCompression(entry, compression);
}

function entryOf(entry: Descriptor, renamed: Map<string, Digest>, to: ImageFormat): Descriptor {
  const { annotations, ...rest } = entry;
  if (annotations === undefined || (to === "docker" && !isIndexType(entry.mediaType))) return rest;
  const attested = renamed.get(annotations[ATTESTED] ?? "");
  return {
    ...rest,
    annotations: attested === undefined ? annotations : { ...annotations, [ATTESTED]: attested },
  };
}
