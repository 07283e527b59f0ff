/**
 * Names of images: `[registry/]repository[:tag][@digest]`. The grammar is that of distribution/reference, on which
 * Docker, Podman and Buildah agree; names of built images are completed as Buildah does (`localhost/`).
 */
import { type Digest, parseDigest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";

export interface ImageReference {
  /** Host and port, when the name has one: `localhost`, `reg:5000`, `[::1]:5000`. */
  registry?: string;
  /** Path within the registry, as written: `library/debian`, `debian`. */
  repository: string;
  tag?: string;
  digest?: Digest;
}

const DOMAIN_PART = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const DOMAIN = new RegExp(`^(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const MAX_REPOSITORY = 255;
const DEFAULT_TAG = "latest";
const DOCKER_HUB = "docker.io";

function bad(text: string, why: string, hint?: string): CooperError {
  return new CooperError(
    "usage",
    `"${text}" is not an image name: ${why}`,
    hint === undefined ? {} : { hint },
  );
}

/**
 * Takes a name apart, without completing it. The first component is a registry when it holds a dot or a colon, is
 * `localhost`, or has an upper-case letter. Throws `usage`; `unsupported` for digests other than SHA-256.
 */
export function parseReference(text: string): ImageReference {
  if (text === "") throw bad(text, "it is empty");
  const at = text.indexOf("@");
  const digest = at === -1 ? undefined : parseNameDigest(text, text.slice(at + 1));
  const named = at === -1 ? text : text.slice(0, at);
  const { path, tag } = splitTag(text, named);
  const { registry, repository } = splitRegistry(path);
  checkRegistry(text, registry);
  checkRepository(text, repository);
  return {
    ...(registry === undefined ? {} : { registry }),
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** Puts a name together again. */
export function formatReference(reference: ImageReference): string {
  const { registry, repository, tag, digest } = reference;
  const name = registry === undefined ? repository : `${registry}/${repository}`;
  return `${name}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/**
 * The full name under which a store keeps an image, as Buildah completes the names of images that it builds:
 * `hello` is `localhost/hello:latest`, `docker.io/debian` is `docker.io/library/debian:latest`; a name with a digest
 * gets no tag. Throws `usage`.
 */
export function normaliseName(text: string): string {
  return formatReference(qualify(text, "localhost"));
}

/** The full name that a short one has for Docker: `debian` is `docker.io/library/debian:latest`. Throws `usage`. */
export function normaliseDockerName(text: string): string {
  return formatReference(qualify(text, DOCKER_HUB));
}

function qualify(text: string, defaultRegistry: string): ImageReference {
  if (isFullId(text)) throw bad(text, "64 hexadecimal digits are an image id");
  const parsed = parseReference(text);
  const registry = canonicalRegistry(parsed.registry ?? defaultRegistry);
  const onHub = registry === DOCKER_HUB && !parsed.repository.includes("/");
  const tag = parsed.tag ?? (parsed.digest === undefined ? DEFAULT_TAG : undefined);
  return {
    ...parsed,
    registry,
    repository: onHub ? `library/${parsed.repository}` : parsed.repository,
    ...(tag === undefined ? {} : { tag }),
  };
}

/** `index.docker.io` is Docker Hub's old name. */
function canonicalRegistry(registry: string): string {
  return registry === "index.docker.io" ? DOCKER_HUB : registry;
}

/** Whether a text can only be an image id: 64 hexadecimal digits, with or without `sha256:`. */
export function isFullId(text: string): boolean {
  return /^(?:sha256:)?[0-9a-f]{64}$/.test(text);
}

/** Whether a text can be an image id or the beginning of one (it can be a name at the same time: `cafe`). */
export function isImageId(text: string): boolean {
  return /^(?:sha256:)?[0-9a-f]{1,64}$/.test(text);
}

function parseNameDigest(text: string, digest: string): Digest {
  try {
    return parseDigest(digest);
  } catch (error) {
    if (error instanceof CooperError && error.code === "unsupported") throw error;
    throw bad(text, `"${digest}" is not a digest (sha256: and 64 hexadecimal digits)`);
  }
}

function splitTag(text: string, named: string): { path: string; tag: string | undefined } {
  const colon = named.lastIndexOf(":");
  if (colon === -1 || colon < named.lastIndexOf("/")) return { path: named, tag: undefined };
  const tag = named.slice(colon + 1);
  if (!TAG.test(tag)) {
    throw bad(
      text,
      `the tag "${tag}" is malformed`,
      "a tag has 1 to 128 letters, digits, _, . and -, and starts with neither . nor -",
    );
  }
  return { path: named.slice(0, colon), tag };
}

function splitRegistry(path: string): { registry: string | undefined; repository: string } {
  const slash = path.indexOf("/");
  if (slash === -1) return { registry: undefined, repository: path };
  const first = path.slice(0, slash);
  const isRegistry = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  return isRegistry
    ? { registry: first, repository: path.slice(slash + 1) }
    : { registry: undefined, repository: path };
}

function checkRegistry(text: string, registry: string | undefined): void {
  if (registry === undefined || DOMAIN.test(registry)) return;
  throw bad(text, `"${registry}" is not a host name with an optional port`);
}

function checkRepository(text: string, repository: string): void {
  if (repository.length > MAX_REPOSITORY)
    throw bad(text, `its path has more than ${MAX_REPOSITORY} characters`);
  const wrong = repository.split("/").find((component) => !COMPONENT.test(component));
  if (wrong === undefined) return;
  if (wrong === "") throw bad(text, "a component of its path is empty");
  if (wrong !== wrong.toLowerCase()) {
    throw bad(
      text,
      `"${wrong}" has upper-case letters`,
      `repository names are lower-case: ${wrong.toLowerCase()}`,
    );
  }
  throw bad(
    text,
    `"${wrong}" is malformed`,
    "a component has lower-case letters and digits, separated by one . or _, by __ or by dashes",
  );
}
