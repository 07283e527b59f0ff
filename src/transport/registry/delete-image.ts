/** Deleting from a registry (OCI distribution spec v1.1, "Deleting Manifests"): the registry's own collector frees the space. */
import type { Digest } from "../../base/digest.ts";
import { pushEndpoint } from "./endpoints.ts";
import { loadRegistriesConf } from "./registries-conf.ts";
import { readManifest } from "./registry-source.ts";
import { discard, Session } from "./session.ts";
import type { RegistrySettings } from "./settings.ts";
import { parseReference } from "../../oci/reference.ts";

/**
 * Deletes the manifest that a full name stands for, and with it every tag of the repository that stands for the same.
 * Returns its digest. Throws `not-found`, `denied`, `unsupported` where the registry has deleting turned off.
 */
export async function deleteImage(name: string, settings: RegistrySettings = {}): Promise<Digest> {
  const session = new Session(pushEndpoint(loadRegistriesConf(), name), settings, "delete");
  const { tag, digest } = parseReference(name);
  // Some registries delete tags alone and others cannot: by digest it means the same everywhere.
  const found = digest ?? (await readManifest(session, tag ?? "latest")).descriptor.digest;
  await discard(
    await session.send({
      method: "DELETE",
      to: `manifests/${found}`,
      doing: `Cannot delete ${tag === undefined ? found : `${tag} (${found})`}`,
      accept: [200, 202],
    }),
  );
  return found;
}
