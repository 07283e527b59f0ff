/** The image that somebody names: the one in the store, or one that is pulled. What pulls is loaded when it must. */
import { CooperError } from "../base/errors.ts";
import type { EventSink } from "../base/events.ts";
import { formatPlatform, hostPlatform, matchesPlatform, parsePlatform } from "../oci/platform.ts";
import { normaliseName } from "../oci/reference.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import type { Platform } from "../oci/types.ts";
import { findImageByText, imageRemoved, readConfig } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import { findImage, type ImageRecord, setName } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import { findInstance, requireInstance } from "./list-instance.ts";
import { candidatesOf, isCancelled } from "./try-candidates.ts";

export type PullPolicy = "always" | "missing" | "never" | "newer";

export interface PullRequest {
  /** Name in the store; the source's own when absent, or the names that an image which is there has. */
  name?: string | undefined;
  platform?: string | undefined;
  /** How registries are talked to; `onWarning` and `signal` come from here. */
  registry?: RegistrySettings | undefined;
  onEvent?: EventSink | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The image that a reference stands for, brought into the store as the policy says. `newer` is `always`, except that
 * what is there will do when no registry can be asked. Throws `not-found`, and what pulling throws.
 */
export async function obtainImage(
  store: StoreFiles,
  text: string,
  policy: PullPolicy,
  request: PullRequest = {},
): Promise<ImageRecord> {
  const reference = parseTransport(text);
  if (reference.transport !== "docker" && reference.transport !== "name")
    return await (await moving()).pullImage(store, text, request);
  const name = reference.transport === "docker" ? reference.name : text;
  return await obtainName(store, name, policy, request, {
    here: (image) => named(store, image, request.name),
    pull: async (candidates) => (await moving()).pullFirst(store, name, candidates, request),
  });
}

/** One that is pulled has its name from the transaction that adds it; one that is there gets it like this. */
function named(store: StoreFiles, image: ImageRecord, name: string | undefined): ImageRecord {
  if (name === undefined) return image;
  const full = normaliseName(name);
  const give = store.db.transaction(() => {
    if (findImage(store.db, image.id) === undefined) throw imageRemoved(image.id);
    setName(store.db, full, image.id);
  });
  give.immediate();
  return image;
}

/** What obtainName() makes of an image of the store, and of full names in registries. */
interface Ways<T> {
  here(image: ImageRecord): T;
  pull(candidates: string[]): Promise<T>;
}

/** Decides by the policy where an image comes from. */
export async function obtainName<T>(
  store: StoreFiles,
  text: string,
  policy: PullPolicy,
  request: PullRequest,
  { here, pull }: Ways<T>,
): Promise<T> {
  const there =
    findSuitable(store, [text], request.platform) ??
    (await findInstance(store, text, wantedPlatform(request)));
  if (there !== undefined && policy === "missing") return here(there);
  if (policy === "never") {
    const any =
      findImageByText(store, text) ?? there ?? findSuitable(store, await candidatesOf(text), undefined);
    if (any === undefined)
      throw new CooperError("not-found", `${text}: no such image in the store, and pulling is off`);
    warnOfPlatform(store, text, any, request);
    return here(any);
  }
  const candidates = await candidatesOf(text);
  const known = there ?? findSuitable(store, candidates, request.platform);
  if (known !== undefined && (policy === "missing" || candidates.length === 0)) return here(known);
  if (candidates.length === 0) return here(await requireHere(store, text, request));
  try {
    return await pull(candidates);
  } catch (error) {
    if (policy !== "newer" || known === undefined || isCancelled(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    request.onEvent?.({ type: "warning", message: `${message}; the image in the store is used` });
    return here(known);
  }
}

/** The first of several names that the store has an image for, if that image is for the platform. */
function findSuitable(
  store: StoreFiles,
  names: string[],
  platform: string | undefined,
): ImageRecord | undefined {
  const wanted = platform === undefined ? undefined : parsePlatform(platform);
  for (const name of names) {
    const image = findImageByText(store, name);
    if (image === undefined) continue;
    if (wanted === undefined || matchesPlatform(wanted, readConfig(store, image))) return image;
  }
  return undefined;
}

/** Of an image that no registry has: whatever its platform, it is the one that is meant. */
async function requireHere(store: StoreFiles, text: string, request: PullRequest): Promise<ImageRecord> {
  if (findIndexByText(store, text) !== undefined)
    return await requireInstance(store, text, wantedPlatform(request));
  const image = findImageByText(store, text);
  if (image === undefined) {
    throw new CooperError("not-found", `${text}: no such image in the store`, {
      hint: "cooper images lists what is there",
    });
  }
  warnOfPlatform(store, text, image, request);
  return image;
}

function wantedPlatform({ platform }: PullRequest): Platform {
  return platform === undefined ? hostPlatform() : parsePlatform(platform);
}

function warnOfPlatform(store: StoreFiles, text: string, image: ImageRecord, request: PullRequest): void {
  if (request.platform === undefined) return;
  const made = readConfig(store, image);
  const wanted = parsePlatform(request.platform);
  if (matchesPlatform(wanted, made)) return;
  request.onEvent?.({
    type: "warning",
    message: `${text} is an image for ${formatPlatform(made)}, not for ${formatPlatform(wanted)}`,
  });
}

const moving = () => import("./move-image.ts");
