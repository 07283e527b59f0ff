/** Every tag of a repository into the store. */
import { CooperError } from "../base/errors.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import type { ImageRecord } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import { settingsOf } from "./move-image.ts";
import { obtainImage, type PullPolicy, type PullRequest } from "./obtain-image.ts";
import { parseRepository } from "./registry-images.ts";
import { requireCandidates, tryCandidates } from "./try-candidates.ts";

/**
 * Brings the image of every tag of a repository (a name, or `docker://NAME`) into the store as the policy says, in the
 * registry's order.
 * Throws `usage` for a name with a tag and for other places.
 */
export async function pullAllTags(
  store: StoreFiles,
  text: string,
  policy: PullPolicy,
  request: PullRequest = {},
): Promise<ImageRecord[]> {
  const reference = parseTransport(text);
  if (reference.transport !== "name" && reference.transport !== "docker")
    throw new CooperError("usage", `Cannot pull all tags of ${text}: only registries have tags`);
  const short = text.replace(/^docker:\/\//, "");
  const full = parseRepository(short);
  const candidates = reference.transport === "docker" ? [full] : await requireCandidates(short);
  const { listTags } = await import("../transport/registry/list-tags.ts");
  const { repository, tags } = await tryCandidates(
    `Cannot pull all tags of ${text}`,
    candidates,
    async (name) => {
      const repository = name.replace(/:[^:/]*$/, "");
      return { repository, tags: await listTags(repository, settingsOf(request)) };
    },
  );
  if (tags.length === 0) throw new CooperError("not-found", `docker://${repository} has no tags`);
  const pulled: ImageRecord[] = [];
  for (const tag of tags)
    pulled.push(await obtainImage(store, `docker://${repository}:${tag}`, policy, request));
  return pulled;
}
