/** The index.json of an OCI layout: which of its images is meant, and how one is added (image-layout.md). */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { MEDIA } from "../oci/media-types.ts";
import type { Descriptor, ImageIndex } from "../oci/types.ts";
import type { ImageSelector } from "../oci/transport-reference.ts";

/** Annotation that holds the name of an image in its layout. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** Annotations that name an image in one place and say nothing elsewhere. */
const NAMING = new Set([REF_NAME, "io.containerd.image.name"]);

export const LAYOUT_FILE = '{"imageLayoutVersion":"1.0.0"}';
export const EMPTY_INDEX: ImageIndex = { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [] };

/** The name of the index that lists what has this subject (distribution spec v1.1, "Referrers Tag Schema"). */
export function referrersTag(subject: Digest): string {
  return subject.replace(":", "-");
}

/** Whether a name is that of such an index, and of no image. */
export function isReferrersTag(name: string | undefined): boolean {
  return name !== undefined && /^sha256-[0-9a-f]{64}$/.test(name);
}

/** The entry that lists the referrers of a subject. */
export function findReferrers(index: ImageIndex, subject: Digest): Descriptor | undefined {
  return index.manifests.find((entry) => nameOf(entry) === referrersTag(subject));
}

function nameOf(descriptor: Descriptor): string | undefined {
  return descriptor.annotations?.[REF_NAME];
}

/**
 * The image that is meant: by its name, by its number, else the only one, else the only one without a name. `where`
 * names the layout in errors. Throws `not-found`, or `usage` when it is not clear which. The descriptor keeps its name.
 */
export function selectImage(index: ImageIndex, selector: ImageSelector, where: string): Descriptor {
  const manifests =
    selector.reference === undefined && selector.index === undefined
      ? index.manifests.filter((entry) => !isReferrersTag(nameOf(entry)))
      : index.manifests;
  const names = manifests.map((m, i) => nameOf(m) ?? `@${i}`);
  if (selector.index !== undefined) {
    const chosen = manifests[selector.index];
    if (chosen === undefined) throw missing(`image @${selector.index}`, names, where);
    return chosen;
  }
  if (selector.reference !== undefined) {
    const chosen = manifests.find((m) => nameOf(m) === selector.reference);
    if (chosen === undefined) throw missing(`image named "${selector.reference}"`, names, where);
    return chosen;
  }
  if (manifests.length === 0) throw missing("image", names, where);
  const unnamed = manifests.filter((m) => nameOf(m) === undefined);
  const candidates = manifests.length === 1 ? manifests : unnamed;
  if (candidates.length !== 1) {
    throw new CooperError(
      "usage",
      `${where} holds ${manifests.length} images and it was not said which is meant`,
      {
        hint: `append one of ${names
          .slice(0, 10)
          .map((name) => `:${name}`)
          .join(", ")}`,
      },
    );
  }
  return candidates[0]!;
}

function missing(what: string, names: string[], where: string): CooperError {
  const there = names.length === 0 ? "it is empty" : `it holds ${names.slice(0, 10).join(", ")}`;
  return new CooperError("not-found", `${where} has no ${what}: ${there}`);
}

/** The index with an image under a name, in place of one that had it; without a name, of the one without. */
export function putImage(index: ImageIndex, image: Descriptor, name: string | undefined): ImageIndex {
  const others = index.manifests.filter((m) => nameOf(m) !== name);
  const bare = withoutName(image);
  const named =
    name === undefined ? bare : { ...bare, annotations: { ...bare.annotations, [REF_NAME]: name } };
  return { ...index, manifests: [...others, named] };
}

function withoutName(descriptor: Descriptor): Descriptor {
  const { annotations, ...rest } = descriptor;
  const kept = Object.entries(annotations ?? {}).filter(([key]) => !NAMING.has(key));
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}
