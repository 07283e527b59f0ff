/** References of all transports and of the store, opened for reading or writing. */
import { parseTransport, type TransportReference } from "../oci/transport-reference.ts";
import { normaliseName } from "../oci/reference.ts";
import { findImageByText } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import type { StoreFiles } from "../store/store.ts";
import { openSource } from "../transport/open-transport.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import type { Source } from "../transport/types.ts";
import { storeSource } from "./store-transport.ts";

/** A source; a plain name is one of the store, if there is one that has it, else one in a registry. */
export async function openReference(
  store: StoreFiles | undefined,
  reference: TransportReference,
  settings: RegistrySettings = {},
): Promise<Source> {
  if (reference.transport !== "name") return await openSource(reference, settings);
  const { name } = reference;
  if (store !== undefined && isStored(store, name)) return storeSource(store, name);
  const { registryCandidates } = await import("../transport/registry/short-names.ts");
  const [candidate] = registryCandidates(name);
  // Without a candidate the name is one of the store alone: its error says so.
  if (candidate === undefined && store !== undefined) return storeSource(store, name);
  return await openSource(parseTransport(`docker://${candidate ?? normaliseName(name)}`), settings);
}

/** Whether the store has an image or list of that name or id. */
export function isStored(store: StoreFiles, name: string): boolean {
  return findIndexByText(store, name) !== undefined || findImageByText(store, name) !== undefined;
}
