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
import { candidatesOf, tryCandidates } from "./try-candidates.ts";

/** A source; a plain name is one of the store, if there is one that has it, else in the first registry that has it. */
export async function openReference(
  store: StoreFiles | undefined,
  reference: TransportReference,
  settings: RegistrySettings = {},
): Promise<Source> {
  if (reference.transport !== "name") return await openSource(reference, settings);
  const { name } = reference;
  if (store !== undefined && isStored(store, name)) return storeSource(store, name);
  const candidates = await candidatesOf(name);
  // Without a candidate the name is one of the store alone: its error says so.
  if (candidates.length === 0 && store !== undefined) return storeSource(store, name);
  if (candidates.length === 0) candidates.push(normaliseName(name));
  return await openFirst(name, candidates, settings);
}

/** The first of several places that has the image. */
export async function openFirst(
  name: string,
  candidates: string[],
  settings: RegistrySettings,
): Promise<Source> {
  return await tryCandidates(`Cannot read ${name}`, candidates, async (candidate) => {
    const source = await openSource(parseTransport(`docker://${candidate}`), settings);
    // Whether it is there shows only when it is asked for; the answer is kept.
    if (candidates.length > 1) await source.resolve();
    return source;
  });
}

/** Whether the store has an image or list of that name or id. */
export function isStored(store: StoreFiles, name: string): boolean {
  return findIndexByText(store, name) !== undefined || findImageByText(store, name) !== undefined;
}
