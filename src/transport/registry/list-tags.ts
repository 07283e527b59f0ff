/** The tags of a repository (OCI distribution spec v1.1, "Listing Tags"). */
import * as v from "valibot";
import { CooperError } from "../../base/errors.ts";
import { formatReference, normaliseDockerName, parseReference } from "../../oci/reference.ts";
import { pullEndpoints } from "./endpoints.ts";
import { loadRegistriesConf } from "./registries-conf.ts";
import { type Call, Session } from "./session.ts";
import type { RegistrySettings } from "./settings.ts";

const PAGE = 1000;
const MAX_PAGES = 1000;
const MAX_ANSWER = 16 << 20;
const answer = v.object({ tags: v.nullish(v.array(v.string()), []) });

/** All tags of a repository (`docker.io/library/debian`), as the registry orders them. Throws `not-found`. */
export async function listTags(
  name: string,
  settings: RegistrySettings = {},
  page = PAGE,
): Promise<string[]> {
  const { registry, repository } = parseReference(normaliseDockerName(name));
  const full = formatReference({ registry: registry!, repository });
  const endpoint = pullEndpoints(loadRegistriesConf(), full).at(-1)!;
  const session = new Session(endpoint, settings, "pull");
  const doing = "Cannot list the tags";
  const tags: string[] = [];
  let next: string | URL | undefined = `tags/list?n=${page}`;
  for (let pages = 0; next !== undefined; pages++) {
    if (pages === MAX_PAGES)
      throw new CooperError("invalid", `${session.describe(doing)}: there are more than ${MAX_PAGES} pages`);
    const call: Call = { method: "GET", to: next, doing, accept: [200] };
    const { response, bytes } = await session.read(call, MAX_ANSWER);
    tags.push(...parseTags(bytes, session.describe(doing)));
    const link = nextPage(response.headers.get("link") ?? "");
    next = link === undefined ? undefined : await session.resolve(link, doing);
  }
  return tags;
}

/** Address of the next page in a Link header (RFC 8288), or undefined when this is the last one. */
export function nextPage(header: string): string | undefined {
  return /^\s*<([^>]+)>\s*;.*\brel="?next"?/i.exec(header)?.[1];
}

/** The tags of an answer; `what` names it in errors. Throws `invalid`. */
export function parseTags(bytes: Uint8Array | undefined, what: string): string[] {
  try {
    return v.parse(answer, JSON.parse(new TextDecoder().decode(bytes ?? new Uint8Array()))).tags ?? [];
  } catch (cause) {
    throw new CooperError("invalid", `${what}: the registry answered with something else`, { cause });
  }
}
