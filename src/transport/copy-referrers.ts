/** Copies what speaks of an image: manifests with a `subject` (OCI image spec v1.1, manifest.md). */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import type { Descriptor } from "../oci/types.ts";
import { copyInstances } from "./copy-index.ts";
import { asIs, type CopyJob, copyManifest, readRoot } from "./copy-manifest.ts";
import { describeReferrer } from "./describe-referrer.ts";

/** A source that names more than this is not followed. */
const MAX_REFERRERS = 1000;

/**
 * Copies the referrers of all that a job has copied, and theirs, as they are. Throws `unsupported` where a subject got
 * another digest, or the target has no place for referrers.
 */
export async function copyReferrers(job: CopyJob): Promise<void> {
  const { source, target } = job;
  let count = 0;
  // What is copied in here joins the map, and is visited in its turn.
  for (const [subject, written] of job.copied) {
    for (const referrer of (await source.referrers?.(subject)) ?? []) {
      if (++count > MAX_REFERRERS)
        throw new CooperError("invalid", `${source.name} names more than ${MAX_REFERRERS} referrers`);
      requireSame(job, subject, written);
      if (target.attach === undefined)
        throw new CooperError(
          "unsupported",
          `Cannot copy referrers to ${target.name}: it has no place for them`,
          {
            hint: "copy to a registry, an OCI layout or an OCI archive",
          },
        );
      const copied = await copyReferrer(job, subject, referrer);
      if (copied !== undefined) target.attach(subject, copied);
    }
  }
}

function requireSame({ source }: CopyJob, subject: Digest, written: Descriptor): void {
  if (written.digest === subject) return;
  throw new CooperError(
    "unsupported",
    `Cannot copy the referrers of ${subject} in ${source.name}: it became ${written.digest}, of which they do not speak`,
    { hint: "ask for no other format or compression, or leave --referrers away" },
  );
}

/** Its descriptor as a list of referrers has it; undefined for one that speaks of something else. */
async function copyReferrer(
  job: CopyJob,
  subject: Digest,
  referrer: Descriptor,
): Promise<Descriptor | undefined> {
  const { mediaType, digest, size } = referrer;
  const child = await readRoot(job, { mediaType, digest, size });
  const document = child.root.kind === "index" ? child.root.index : child.root.manifest;
  if (document.subject?.digest !== subject) {
    job.onEvent({
      type: "warning",
      message: `${digest} is left out: ${job.source.name} names it as a referrer of ${subject}, and it is none`,
    });
    return undefined;
  }
  if (!job.copied.has(digest)) {
    if (child.root.kind === "index") await copyInstances(asIs(job), child, 1);
    else await copyManifest(asIs(job), child, false);
  }
  return describeReferrer(child);
}
