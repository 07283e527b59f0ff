/** `docker://` as a target (OCI distribution spec v1.1, "Push"). */
import type { Digest } from "../../base/digest.ts";
import { CooperError } from "../../base/errors.ts";
import { parseReference } from "../../oci/reference.ts";
import { parseManifestOrIndex } from "../../oci/schema.ts";
import type { Descriptor } from "../../oci/types.ts";
import { describeReferrer } from "../describe-referrer.ts";
import { referencesOf } from "../references-of.ts";
import type { BlobRef, BlobRole, Target } from "../types.ts";
import { verifyBytes } from "../verified-stream.ts";
import { pushEndpoint } from "./endpoints.ts";
import { loadRegistriesConf } from "./registries-conf.ts";
import { hasBlob } from "./registry-source.ts";
import { discard, Session } from "./session.ts";
import type { RegistrySettings } from "./settings.ts";
import { mountBlob, uploadBlob } from "./upload.ts";

/** Repositories that are asked for a blob before it is sent. */
const MAX_MOUNTS = 3;

/** Opens a full name for writing. Nothing is sent before the first push. */
export function openRegistryTarget(name: string, settings: RegistrySettings = {}): Target {
  const session = new Session(pushEndpoint(loadRegistriesConf(), name), settings, "pull,push");
  return new RegistryTarget(name, session);
}

class RegistryTarget implements Target {
  readonly name: string;
  readonly #reference: { tag?: string; digest?: Digest };
  readonly #session: Session;
  readonly #mountFrom: string[];
  /** Manifests that were not sent yet: the root one gets its name and its content in one request. */
  readonly #pending = new Map<Digest, { descriptor: Descriptor; bytes: Uint8Array }>();

  constructor(name: string, session: Session) {
    this.name = `docker://${name}`;
    this.#reference = parseReference(name);
    this.#session = session;
    const { registry, repository } = session.endpoint;
    const others = (session.settings.mountFrom ?? []).map((other) => parseReference(other));
    const here = others.filter((other) => other.registry === registry && other.repository !== repository);
    this.#mountFrom = [...new Set(here.map((other) => other.repository))].slice(0, MAX_MOUNTS);
  }

  async exists(descriptor: Descriptor, role?: BlobRole): Promise<boolean> {
    const { digest } = descriptor;
    if (await hasBlob(this.#session, digest)) return true;
    if (role?.kind !== "layer") return false;
    for (const from of this.#mountFrom) if (await mountBlob(this.#session, digest, from)) return true;
    return false;
  }

  async push(content: AsyncIterable<Uint8Array>, expected?: BlobRef, role?: BlobRole): Promise<BlobRef> {
    const { knownBlobs, rememberBlob } = this.#session.settings;
    const diffId = role?.diffId;
    if (expected !== undefined || diffId === undefined)
      return await uploadBlob(this.#session, content, expected);
    for (const { digest, size } of knownBlobs?.(diffId, role!.mediaType) ?? [])
      if (await this.exists({ mediaType: role!.mediaType, digest, size }, role)) return { digest, size };
    const blob = await uploadBlob(this.#session, content, undefined);
    rememberBlob?.(diffId, role!.mediaType, blob);
    return blob;
  }

  async pushManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    verifyBytes(bytes, descriptor, this.name);
    for (const { digest } of referencesOf(descriptor, bytes, this.name)) await this.#send(digest);
    this.#pending.set(descriptor.digest, { descriptor, bytes });
  }

  /** The registry reads it in the manifest, or else #send() says it. */
  attach(): void {}

  async tag(root: Descriptor): Promise<void> {
    const { tag, digest } = this.#reference;
    if (digest !== undefined && digest !== root.digest) {
      throw new CooperError("usage", `Cannot name the image ${this.name}: its digest is ${root.digest}`, {
        hint: "give a tag, or no name after the repository",
      });
    }
    if (!this.#pending.has(root.digest))
      throw new CooperError("not-found", `Cannot name ${root.digest} in ${this.name}: it was not sent`);
    for (const other of [...this.#pending.keys()]) if (other !== root.digest) await this.#send(other);
    await this.#send(root.digest, tag);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #send(digest: Digest, tag?: string): Promise<void> {
    const manifest = this.#pending.get(digest);
    if (manifest === undefined) return;
    const { descriptor, bytes } = manifest;
    const response = await putManifest(this.#session, tag ?? digest, descriptor, bytes);
    this.#pending.delete(digest);
    // A registry with the API for referrers says so in its answer.
    if (response.headers.get("oci-subject") === null) await this.#noteSubject(manifest);
  }

  async #noteSubject({ descriptor, bytes }: { descriptor: Descriptor; bytes: Uint8Array }): Promise<void> {
    const root = parseManifestOrIndex(bytes, `${descriptor.digest} for ${this.name}`, descriptor.mediaType);
    const { subject } = root.kind === "index" ? root.index : root.manifest;
    if (subject === undefined) return;
    const { noteReferrer } = await import("./referrers.ts");
    await noteReferrer(this.#session, subject.digest, describeReferrer({ descriptor, root }));
  }
}

/**
 * Sends a manifest under a tag or its digest; gives the answer, which was read. Throws `integrity` when the registry keeps
 * something else.
 */
export async function putManifest(
  session: Session,
  reference: string,
  { mediaType, digest }: Descriptor,
  bytes: Uint8Array,
): Promise<Response> {
  const doing = `Cannot write manifest ${reference}`;
  const response = await session.send({
    method: "PUT",
    to: `manifests/${reference}`,
    doing,
    accept: [200, 201, 202],
    headers: { "Content-Type": mediaType },
    body: bytes,
  });
  await discard(response);
  const stored = response.headers.get("docker-content-digest");
  if (stored?.startsWith("sha256:") && stored !== digest) {
    throw new CooperError(
      "integrity",
      `${session.describe(doing)}: it was stored as ${stored}, not as ${digest}`,
    );
  }
  return response;
}
