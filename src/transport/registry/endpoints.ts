/** Where an image is fetched from or sent to: registries.conf(5) applied to a full name. */
import { CooperError } from "../../base/errors.ts";
import {
  formatReference,
  type ImageReference,
  normaliseDockerName,
  parseReference,
} from "../../oci/reference.ts";
import type { RegistriesConf, RegistryEntry } from "./registries-conf.ts";

/** One repository at one registry. */
export interface Endpoint {
  /** `host[:port]`; Docker Hub is `docker.io`. */
  registry: string;
  repository: string;
  /** Any certificate will do, and none too. */
  insecure: boolean;
  /** Not the registry that the user named: credentials that were given for that one are not for it. */
  isMirror: boolean;
  credentialHelpers: string[];
}

/**
 * Places to pull a full name from, in order: mirrors, then the registry itself (or its location). Throws `denied` when
 * the name is blocked, `invalid` when a location makes no name.
 */
export function pullEndpoints(conf: RegistriesConf, name: string): Endpoint[] {
  const reference = parseReference(name);
  const entry = findEntry(conf, name);
  const { credentialHelpers } = conf;
  const primary = { registry: reference.registry!, repository: reference.repository };
  if (entry === undefined) return [{ ...primary, insecure: false, isMirror: false, credentialHelpers }];
  refuseBlocked(entry, name);
  const hasDigest = reference.digest !== undefined;
  const mirrors = entry.mirrors.filter(({ pullFromMirror }) =>
    entry.mirrorByDigestOnly || pullFromMirror === "digest-only"
      ? hasDigest
      : pullFromMirror === "all" || !hasDigest,
  );
  const places = [...mirrors, { location: entry.location, insecure: entry.insecure }];
  return places.map(({ location, insecure }) => {
    const { registry, repository } = relocate(reference, name, entry, location);
    return { registry, repository, insecure, isMirror: registry !== primary.registry, credentialHelpers };
  });
}

/** The place to push a full name to: the registry that it names, since locations are for pulling. Throws `denied`. */
export function pushEndpoint(conf: RegistriesConf, name: string): Endpoint {
  const { registry, repository } = parseReference(name);
  const entry = findEntry(conf, name);
  if (entry !== undefined) refuseBlocked(entry, name);
  return {
    registry: registry!,
    repository,
    insecure: entry?.insecure ?? false,
    isMirror: false,
    credentialHelpers: conf.credentialHelpers,
  };
}

function refuseBlocked(entry: RegistryEntry, name: string): void {
  if (!entry.blocked) return;
  throw new CooperError("denied", `docker://${name} is blocked: registries.conf forbids ${entry.prefix}`, {
    hint: `take another registry, or remove "blocked = true" from the entry of ${entry.prefix}`,
  });
}

/** The entry with the longest prefix that matches a name. */
export function findEntry(conf: RegistriesConf, name: string): RegistryEntry | undefined {
  let best: RegistryEntry | undefined;
  for (const entry of conf.registries) {
    if (matchedLength(entry.prefix, name) === undefined) continue;
    if (best === undefined || weightOf(entry) > weightOf(best)) best = entry;
  }
  return best;
}

/** A host by its name comes before a wildcard of the same length. */
function weightOf({ prefix }: RegistryEntry): number {
  return prefix.length - (prefix.startsWith("*") ? 0.5 : 0);
}

/** How much of a name a prefix stands for; undefined when it does not match. */
function matchedLength(prefix: string, name: string): number | undefined {
  if (prefix.startsWith("*.")) {
    const suffix = prefix.slice(1);
    const host = name.slice(0, name.indexOf("/"));
    const bare = host.replace(/:\d+$/, "");
    return bare.endsWith(suffix) && bare.length > suffix.length ? host.length : undefined;
  }
  if (!name.startsWith(prefix)) return undefined;
  const next = name[prefix.length];
  // After a host alone, a colon would begin its port: another registry.
  const ends = prefix.includes("/") ? [undefined, "/", ":", "@"] : [undefined, "/"];
  return ends.includes(next) ? prefix.length : undefined;
}

function relocate(
  reference: ImageReference,
  name: string,
  entry: RegistryEntry,
  location: string,
): { registry: string; repository: string } {
  const plain = { registry: reference.registry!, repository: reference.repository };
  if (location === "" || location === entry.prefix) return plain;
  const moved = `${location}${name.slice(matchedLength(entry.prefix, name) ?? 0)}`;
  try {
    const { registry, repository } = parseReference(normaliseDockerName(moved));
    return { registry: registry!, repository };
  } catch (cause) {
    throw new CooperError(
      "invalid",
      `registries.conf sends ${formatReference(reference)} to "${moved}", which is not an image name`,
      { cause },
    );
  }
}
