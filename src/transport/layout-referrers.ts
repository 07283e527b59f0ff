/** Referrers in an OCI layout: an index under the tag of their subject, as in a registry without the API for them. */
import { type Digest, digestOf } from "../base/digest.ts";
import { MEDIA } from "../oci/media-types.ts";
import { parseIndex, parseManifestOrIndex } from "../oci/schema.ts";
import type { Descriptor, ImageIndex } from "../oci/types.ts";
import { EMPTY_INDEX, findReferrers, putImage, REF_NAME, referrersTag } from "./layout-index.ts";

type Read = (descriptor: Descriptor) => Uint8Array;

/** What index.json says that has this subject: in the index of that tag, or, as oras writes it, as an entry without name. */
export async function referrersIn(
  index: ImageIndex,
  subject: Digest,
  read: (descriptor: Descriptor) => Uint8Array | Promise<Uint8Array>,
  where: string,
): Promise<Descriptor[]> {
  const entry = findReferrers(index, subject);
  const what = `${referrersTag(subject)} of ${where}`;
  const found = entry === undefined ? [] : [...parseIndex(await read(entry), what).manifests];
  for (const one of index.manifests) {
    if (one.annotations?.[REF_NAME] !== undefined || found.some(({ digest }) => digest === one.digest))
      continue;
    const root = parseManifestOrIndex(await read(one), `${one.digest} of ${where}`, one.mediaType);
    const document = root.kind === "index" ? root.index : root.manifest;
    if (document.subject?.digest === subject) found.push(one);
  }
  return found;
}

/** index.json with these referrers beside what it had. `read`: indexes that are there already. */
export function putReferrers(
  index: ImageIndex,
  referrers: Map<Digest, Descriptor[]>,
  blobs: { read?: Read; write: (descriptor: Descriptor, bytes: Uint8Array) => void },
): ImageIndex {
  let result = index;
  for (const [subject, added] of referrers) {
    const entry = findReferrers(index, subject);
    const there =
      entry === undefined || blobs.read === undefined
        ? EMPTY_INDEX
        : parseIndex(blobs.read(entry), referrersTag(subject));
    const all = new Map([...there.manifests, ...added].map((one) => [one.digest, one]));
    const bytes = Buffer.from(JSON.stringify({ ...there, manifests: [...all.values()] }));
    const descriptor = { mediaType: MEDIA.ociIndex, digest: digestOf(bytes), size: bytes.length };
    blobs.write(descriptor, bytes);
    result = putImage(result, descriptor, referrersTag(subject));
  }
  return result;
}
