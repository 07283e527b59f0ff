/**
 * Referrers in a registry (OCI distribution spec v1.1): its API for them ("Listing Referrers"), or, where it has none, an
 * index under a tag made of the subject's digest ("Referrers Tag Schema").
 */
import { type Digest, digestOf } from "../../base/digest.ts";
import { CooperError } from "../../base/errors.ts";
import { MEDIA } from "../../oci/media-types.ts";
import { MAX_DOCUMENT_BYTES, parseIndex } from "../../oci/schema.ts";
import type { Descriptor, ImageIndex } from "../../oci/types.ts";
import { EMPTY_INDEX, referrersTag } from "../layout-index.ts";
import { nextPage } from "./list-tags.ts";
import { readManifest } from "./registry-source.ts";
import { type Call, discard, type Session } from "./session.ts";

const MAX_PAGES = 100;

/** What a registry has no such API answers with. */
const ABSENT = [400, 404, 405, 501];

/** Manifests that the registry lists for a subject; they are not verified. */
export async function listReferrers(session: Session, subject: Digest): Promise<Descriptor[]> {
  return (await fromApi(session, subject)) ?? (await readTag(session, subject)).manifests;
}

async function fromApi(session: Session, subject: Digest): Promise<Descriptor[] | undefined> {
  const doing = `Cannot list the referrers of ${subject}`;
  const found: Descriptor[] = [];
  let next: string | URL | undefined = `referrers/${subject}`;
  for (let pages = 0; next !== undefined; pages++) {
    if (pages === MAX_PAGES)
      throw new CooperError("invalid", `${session.describe(doing)}: there are more than ${MAX_PAGES} pages`);
    const headers = { Accept: MEDIA.ociIndex };
    const accept = pages === 0 ? [200, ...ABSENT] : [200];
    const call: Call = { method: "GET", to: next, doing, accept, headers };
    const { response, bytes } = await session.read(call, MAX_DOCUMENT_BYTES);
    const isIndex = response.headers.get("content-type")?.startsWith(MEDIA.ociIndex) ?? false;
    // A page for people, of a server that answers everything, is no list.
    if (response.status !== 200 || (pages === 0 && !isIndex)) return undefined;
    found.push(...parseIndex(bytes ?? new Uint8Array(), session.describe(doing)).manifests);
    const link = nextPage(response.headers.get("link") ?? "");
    next = link === undefined ? undefined : await session.resolve(link, doing);
  }
  return found;
}

async function readTag(session: Session, subject: Digest): Promise<ImageIndex> {
  try {
    const { bytes } = await readManifest(session, referrersTag(subject));
    return parseIndex(bytes, `${referrersTag(subject)} of ${session.endpoint.repository}`);
  } catch (error) {
    if (error instanceof CooperError && error.code === "not-found") return EMPTY_INDEX;
    throw error;
  }
}

/** Adds a manifest to the index under the tag of its subject, for a registry that does not do so itself. */
export async function noteReferrer(session: Session, subject: Digest, referrer: Descriptor): Promise<void> {
  const index = await readTag(session, subject);
  if (index.manifests.some(({ digest }) => digest === referrer.digest)) return;
  const bytes = Buffer.from(JSON.stringify({ ...index, manifests: [...index.manifests, referrer] }));
  const tag = referrersTag(subject);
  const response = await session.send({
    method: "PUT",
    to: `manifests/${tag}`,
    doing: `Cannot write manifest ${tag} (${digestOf(bytes)})`,
    accept: [200, 201, 202],
    headers: { "Content-Type": MEDIA.ociIndex },
    body: bytes,
  });
  await discard(response);
}
