/**
 * Checks the shape of OCI and Docker documents that come from outside, before anything relies on it.
 * Facts from the OCI image spec v1.1 (manifest.md, image-index.md, config.md, image-layout.md) and Docker's manifest v2
 * schema 2. Fields that Cooper does not know are kept; `null`, as Go writes what is absent, counts as absent.
 */
import * as v from "valibot";
import { type Digest, isDigest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { isIndexType, isManifestType, MEDIA } from "./media-types.ts";
import type { ContainerConfig, ImageConfig, ImageIndex, Manifest } from "./types.ts";

/** Largest manifest, index or config that is read, in bytes: the limit that registries have for manifests. */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

/** A document that a descriptor names: one image or several. `mediaType` is settled even where the document has none. */
export type Root =
  | { kind: "manifest"; mediaType: string; manifest: Manifest }
  | { kind: "index"; mediaType: string; index: ImageIndex };

const digest = v.custom<Digest>(
  (value) => typeof value === "string" && isDigest(value),
  "not a digest (sha256: and 64 lower-case hexadecimal digits)",
);
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.string();
const texts = v.array(text);
// Docker accepts one string where it means a list of one (strslice).
const command = v.union([
  texts,
  v.pipe(
    text,
    v.transform((value) => [value]),
  ),
]);
const annotations = v.record(text, text);
const emptyObjects = v.record(text, v.looseObject({}));
// RFC 3339, as Go's encoding/json demands for a time.
const time = v.pipe(
  text,
  v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/, "not an RFC 3339 time"),
  v.check((value) => !Number.isNaN(Date.parse(value)), "not a time that exists"),
);
const optional = v.exactOptional;

const platform = v.looseObject({
  os: text,
  architecture: text,
  variant: optional(text),
  "os.version": optional(text),
  "os.features": optional(texts),
});

const descriptor = v.looseObject({
  mediaType: text,
  digest,
  size,
  annotations: optional(annotations),
  platform: optional(platform),
  artifactType: optional(text),
  urls: optional(texts),
  data: optional(text),
});

const documentFields = {
  schemaVersion: v.literal(2),
  mediaType: optional(text),
  artifactType: optional(text),
  subject: optional(descriptor),
  annotations: optional(annotations),
};

// A document that reads as a manifest to one client and as an index to another is refused (CVE-2021-41190).
const manifestSchema = v.looseObject({
  ...documentFields,
  config: descriptor,
  layers: optional(v.array(descriptor), []),
  manifests: optional(v.never("a manifest cannot also be an index")),
});
const indexSchema = v.looseObject({
  ...documentFields,
  manifests: optional(v.array(descriptor), []),
  config: optional(v.never("an index cannot also be a manifest")),
  layers: optional(v.never("an index cannot also be a manifest")),
});

const nanoseconds = v.pipe(v.number(), v.integer());
const healthcheck = v.looseObject({
  Test: optional(command),
  Interval: optional(nanoseconds),
  Timeout: optional(nanoseconds),
  StartPeriod: optional(nanoseconds),
  StartInterval: optional(nanoseconds),
  Retries: optional(v.pipe(v.number(), v.integer())),
});

const containerConfig = v.looseObject({
  User: optional(text),
  ExposedPorts: optional(emptyObjects),
  Env: optional(texts),
  Entrypoint: optional(command),
  Cmd: optional(command),
  Volumes: optional(emptyObjects),
  WorkingDir: optional(text),
  Labels: optional(annotations),
  StopSignal: optional(text),
  ArgsEscaped: optional(v.boolean()),
  Healthcheck: optional(healthcheck),
  Shell: optional(command),
  OnBuild: optional(texts),
  Hostname: optional(text),
  Domainname: optional(text),
});

const historyEntry = v.looseObject({
  created: optional(time),
  created_by: optional(text),
  author: optional(text),
  comment: optional(text),
  empty_layer: optional(v.boolean()),
});

const imageConfigSchema = v.looseObject({
  created: optional(time),
  author: optional(text),
  ...platform.entries,
  config: optional(containerConfig),
  rootfs: v.looseObject({ type: v.literal("layers"), diff_ids: optional(v.array(digest), []) }),
  history: optional(v.array(historyEntry)),
});

const layoutSchema = v.looseObject({ imageLayoutVersion: v.pipe(text, v.regex(/^1\./, "not version 1")) });

/** Parses an image manifest. `what` names it in errors. Throws `invalid`; `unsupported` for Docker's schema 1. */
export function parseManifest(bytes: Uint8Array, what: string): Manifest {
  return checkManifest(readJson(bytes, what), what);
}

/** Parses an image index or Docker manifest list, index.json included. Throws like parseManifest(). */
export function parseIndex(bytes: Uint8Array, what: string): ImageIndex {
  return checkIndex(readJson(bytes, what), what);
}

/**
 * Parses a document that may be a manifest or an index. `mediaType`, from the descriptor that led here or from a
 * registry's answer, decides where the document says nothing, and must agree with it where it does.
 */
export function parseManifestOrIndex(bytes: Uint8Array, what: string, mediaType?: string): Root {
  const json = readJson(bytes, what);
  const settled = settleMediaType(json, what, mediaType);
  if (isIndexType(settled)) return { kind: "index", mediaType: settled, index: checkIndex(json, what) };
  return { kind: "manifest", mediaType: settled, manifest: checkManifest(json, what) };
}

/** Parses the config of a container image (not of another artifact). Throws `invalid`. */
export function parseImageConfig(bytes: Uint8Array, what: string): ImageConfig {
  return check(imageConfigSchema, readJson(bytes, what), what) as unknown as ImageConfig;
}

/** Parses the `config` of a config on its own. Throws `invalid`. */
export function parseContainerConfig(bytes: Uint8Array, what: string): ContainerConfig {
  return check(containerConfig, readJson(bytes, what), what) as unknown as ContainerConfig;
}

/** Checks the `oci-layout` file of a layout. Throws `invalid`. */
export function parseLayoutFile(bytes: Uint8Array, what: string): void {
  check(layoutSchema, readJson(bytes, what), what);
}

/**
 * JSON of a document of at most MAX_DOCUMENT_BYTES, its null members dropped. For documents that have no function
 * above. Throws `invalid`.
 */
export function readJson(bytes: Uint8Array, what: string): unknown {
  if (bytes.length > MAX_DOCUMENT_BYTES) {
    throw new CooperError(
      "invalid",
      `${what} has ${bytes.length} bytes, more than the ${MAX_DOCUMENT_BYTES} allowed`,
    );
  }
  try {
    return dropNulls(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new CooperError("invalid", `${what} is not valid JSON`, { cause });
  }
}

function dropNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([key, member]) => [key, dropNulls(member)]),
  );
}

function checkManifest(json: unknown, what: string): Manifest {
  refuseSchema1(json, what);
  return check(manifestSchema, json, what) as unknown as Manifest;
}

function checkIndex(json: unknown, what: string): ImageIndex {
  refuseSchema1(json, what);
  return check(indexSchema, json, what) as unknown as ImageIndex;
}

function settleMediaType(json: unknown, what: string, given: string | undefined): string {
  const document = (json ?? {}) as { mediaType?: unknown; manifests?: unknown };
  const own =
    typeof document.mediaType === "string" && document.mediaType !== "" ? document.mediaType : undefined;
  if (own !== undefined && given !== undefined && own !== given && isRootType(given)) {
    throw new CooperError("invalid", `${what} says that it is ${own}, but was announced as ${given}`);
  }
  const stated = own ?? given;
  if (stated !== undefined && isRootType(stated)) return stated;
  refuseSchema1(json, what, stated);
  if (own !== undefined) {
    throw new CooperError("unsupported", `${what} is of type ${own}, neither an image manifest nor an index`);
  }
  return document.manifests === undefined ? MEDIA.ociManifest : MEDIA.ociIndex;
}

function isRootType(mediaType: string): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType);
}

function refuseSchema1(json: unknown, what: string, mediaType?: string): void {
  const version = (json as { schemaVersion?: unknown } | undefined)?.schemaVersion;
  if (version !== 1 && !/^application\/vnd\.docker\.distribution\.manifest\.v1\+/.test(mediaType ?? ""))
    return;
  throw new CooperError("unsupported", `${what} is a Docker schema 1 manifest, a format that was withdrawn`, {
    hint: "push the image again with a current tool, or convert it with an old skopeo",
  });
}

function check<T>(schema: v.GenericSchema<unknown, T>, json: unknown, what: string): T {
  const result = v.safeParse(schema, json, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const field = v.getDotPath(issue);
  const where = field === null ? "" : `, field "${field}"`;
  throw new CooperError("invalid", `${what} is malformed${where}: ${issue.message}`);
}
