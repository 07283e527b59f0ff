/** Which full names a short one may stand for: aliases and search registries of registries.conf(5). */
import { CooperError } from "../../base/errors.ts";
import { formatReference, normaliseDockerName, parseReference } from "../../oci/reference.ts";
import { findEntry } from "./endpoints.ts";
import { loadRegistriesConf, type RegistriesConf } from "./registries-conf.ts";

const HUB = "docker.io";

/**
 * Full names to try in a registry, in order. None for `localhost/…`, which only the store has (unless registries.conf
 * says where it is). Where nothing is configured, short names are Docker Hub's, as the authors of Dockerfiles expect.
 * Throws `usage` for what is no name, and where the configuration leaves it open.
 */
export function registryCandidates(text: string, conf: RegistriesConf = loadRegistriesConf()): string[] {
  const { tag, ...reference } = parseReference(text);
  // Registries are asked for the one or the other, and the digest says more.
  const suffix =
    reference.digest === undefined ? { ...reference, ...(tag === undefined ? {} : { tag }) } : reference;
  if (reference.registry !== undefined) {
    const name = normaliseDockerName(formatReference(suffix));
    return reference.registry === "localhost" && findEntry(conf, name) === undefined ? [] : [name];
  }
  const alias = conf.aliases.get(reference.repository);
  if (alias !== undefined) {
    const { registry, repository } = parseReference(normaliseDockerName(alias));
    return [normaliseDockerName(formatReference({ ...suffix, registry: registry!, repository }))];
  }
  const search = conf.search ?? [HUB];
  if (search.length === 0) {
    throw new CooperError("usage", `"${text}" names no registry, and registries.conf has none to search`, {
      hint: `write ${HUB}/${text}, or set unqualified-search-registries`,
    });
  }
  const names = search.map((registry) => normaliseDockerName(formatReference({ ...suffix, registry })));
  if (conf.shortNameMode === "enforcing" && names.length > 1) {
    throw new CooperError("usage", `"${text}" may mean ${names.join(" or ")}`, {
      hint: "write the one that is meant, or add it to [aliases] in registries.conf",
    });
  }
  return names;
}
