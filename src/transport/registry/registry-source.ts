/** `docker://` as a source (OCI distribution spec v1.1, "Pull"). */
import { type Digest, digestOf, isDigest } from "../../base/digest.ts";
import { CooperError, messageOf } from "../../base/errors.ts";
import { isIndexType, isManifestType, MEDIA } from "../../oci/media-types.ts";
import { parseReference } from "../../oci/reference.ts";
import { MAX_DOCUMENT_BYTES } from "../../oci/schema.ts";
import type { Descriptor } from "../../oci/types.ts";
import type { Source } from "../types.ts";
import { downloadBlob } from "./download.ts";
import { type Endpoint, pullEndpoints } from "./endpoints.ts";
import { loadRegistriesConf } from "./registries-conf.ts";
import { type Call, discard, Session } from "./session.ts";
import type { RegistrySettings } from "./settings.ts";

/** Manifests that Cooper reads; a registry that converts gives one of these. */
const ACCEPT = [MEDIA.ociIndex, MEDIA.ociManifest, MEDIA.dockerList, MEDIA.dockerManifest].join(", ");

/** Opens a full name (`docker.io/library/debian:12`, `reg/x@sha256:…`) for reading. Nothing is asked before resolve(). */
export function openRegistrySource(name: string, settings: RegistrySettings = {}): Source {
  return new RegistrySource(name, settings, pullEndpoints(loadRegistriesConf(), name));
}

class RegistrySource implements Source {
  readonly name: string;
  readonly #reference: string;
  readonly #settings: RegistrySettings;
  readonly #endpoints: Endpoint[];
  #found: { session: Session; descriptor: Descriptor; bytes: Uint8Array } | undefined;

  constructor(name: string, settings: RegistrySettings, endpoints: Endpoint[]) {
    const { tag, digest } = parseReference(name);
    this.name = `docker://${name}`;
    this.#reference = digest ?? tag ?? "latest";
    this.#settings = settings;
    this.#endpoints = endpoints;
  }

  async resolve(): Promise<Descriptor> {
    return (await this.#find()).descriptor;
  }

  async fetch(descriptor: Descriptor, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const { session, descriptor: root, bytes } = await this.#find();
    if (descriptor.digest === root.digest) return oneChunk(bytes);
    const { mediaType, digest } = descriptor;
    if (isIndexType(mediaType) || isManifestType(mediaType))
      return oneChunk((await readManifest(session, digest)).bytes);
    return await downloadBlob(session, descriptor, signal);
  }

  async referrers(subject: Digest): Promise<Descriptor[]> {
    const { listReferrers } = await import("./referrers.ts");
    return await listReferrers((await this.#find()).session, subject);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** The first place that has the image; all else comes from there too. */
  async #find(): Promise<{ session: Session; descriptor: Descriptor; bytes: Uint8Array }> {
    if (this.#found !== undefined) return this.#found;
    const failed: string[] = [];
    for (const [i, endpoint] of this.#endpoints.entries()) {
      const isLast = i === this.#endpoints.length - 1;
      const session = new Session(
        endpoint,
        isLast ? this.#settings : { retries: 1, ...this.#settings },
        "pull",
      );
      try {
        this.#found = { session, ...(await readManifest(session, this.#reference)) };
        return this.#found;
      } catch (error) {
        if (error instanceof CooperError && error.code === "cancelled") throw error;
        if (isLast) throw withMirrors(error, failed);
        failed.push(messageOf(error));
        this.#settings.onWarning?.(`${messageOf(error)}; trying the next place`);
      }
    }
    throw new CooperError("internal", `${this.name} has no place to come from`);
  }
}

function withMirrors(error: unknown, failed: string[]): unknown {
  if (failed.length === 0 || !(error instanceof CooperError)) return error;
  return new CooperError(error.code, `${error.message}; before, ${failed.join("; ")}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    cause: error,
  });
}

/** A manifest or index by tag or digest, checked against the digest that it was asked by or that the registry states. */
export async function readManifest(
  session: Session,
  reference: string,
): Promise<{ descriptor: Descriptor; bytes: Uint8Array }> {
  const doing = `Cannot read manifest ${reference}`;
  const call: Call = {
    method: "GET",
    to: `manifests/${reference}`,
    doing,
    accept: [200],
    headers: { Accept: ACCEPT },
  };
  const { response, bytes } = await session.read(call, MAX_DOCUMENT_BYTES);
  if (bytes === undefined)
    throw new CooperError(
      "invalid",
      `${session.describe(doing)}: it has more than the ${MAX_DOCUMENT_BYTES} bytes allowed`,
    );
  const digest = digestOf(bytes);
  const stated = isDigest(reference) ? reference : response.headers.get("docker-content-digest");
  if (stated !== null && isDigest(stated) && stated !== digest) {
    throw new CooperError("integrity", `${session.describe(doing)}: its digest is ${digest}, not ${stated}`);
  }
  const mediaType = (response.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  // Generic types say nothing; the document itself then does.
  const typed = mediaType.includes("manifest") || mediaType.includes("index") ? mediaType : rootTypeOf(bytes);
  return { descriptor: { mediaType: typed, digest, size: bytes.length }, bytes };
}

function rootTypeOf(bytes: Uint8Array): string {
  try {
    const { mediaType, manifests } = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof mediaType === "string" && mediaType !== "") return mediaType;
    return manifests === undefined ? MEDIA.ociManifest : MEDIA.ociIndex;
  } catch {
    return MEDIA.ociManifest; // What it is not, its parser says.
  }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

/** Whether the registry has a blob, so that it need not be sent. */
export async function hasBlob(session: Session, digest: string): Promise<boolean> {
  const response = await session.send({
    method: "HEAD",
    to: `blobs/${digest}`,
    doing: `Cannot send blob ${digest}`,
    accept: [200, 404],
  });
  await discard(response);
  return response.status === 200;
}
