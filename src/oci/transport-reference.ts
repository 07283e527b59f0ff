/** Where an image is, in the notation of containers-transports(5): `oci:/path:tag`, `docker://name`, a plain name. */
import { CooperError } from "../base/errors.ts";
import { formatReference, normaliseDockerName, parseReference } from "./reference.ts";

/** Which image of an archive or layout is meant; at most one of the two. */
export interface ImageSelector {
  /** Name of the image there: a tag in an OCI layout, a full name with tag in a docker-archive. */
  reference?: string;
  /** Number of the image in the archive, from 0 (`@0`). */
  index?: number;
}

export type TransportReference =
  | ({ transport: "oci" | "oci-archive" | "docker-archive"; path: string } & ImageSelector)
  | { transport: "dir"; path: string }
  /** A name in a registry, complete: `docker.io/library/debian:latest`. */
  | { transport: "docker"; name: string }
  /** A name or id in a Docker engine. */
  | { transport: "docker-daemon"; name: string }
  /** An image of Podman's store; the text after the colon as it was written. */
  | { transport: "containers-storage"; name: string }
  /** No transport was named: an image of Cooper's own store, or a short name to look up. As it was written. */
  | { transport: "name"; name: string };

// The grammar of org.opencontainers.image.ref.name (annotations.md).
const OCI_COMPONENT = "[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*";
const OCI_NAME = new RegExp(`^${OCI_COMPONENT}(?:/${OCI_COMPONENT})*$`);

/**
 * Parses a location. Only known transports are taken for one (`debian:12` is a name, as is `docker:dind`). In
 * `oci:`, `oci-archive:` and `docker-archive:` the path ends at its first colon; `dir:` is all path. Throws `usage`.
 */
export function parseTransport(text: string): TransportReference {
  const colon = text.indexOf(":");
  const rest = text.slice(colon + 1);
  switch (colon === -1 ? "" : text.slice(0, colon)) {
    case "oci":
    case "oci-archive": {
      const { path, image } = splitPath(text, rest);
      return { transport: text.slice(0, colon) as "oci" | "oci-archive", path, ...ociSelector(text, image) };
    }
    case "docker-archive": {
      const { path, image } = splitPath(text, rest);
      return { transport: "docker-archive", path, ...dockerSelector(text, image) };
    }
    case "dir":
      if (rest === "") throw malformed(text, "its path is missing");
      return { transport: "dir", path: rest };
    case "docker":
      if (rest.startsWith("//")) return { transport: "docker", name: registryName(text, rest.slice(2)) };
      return { transport: "name", name: text };
    case "docker-daemon":
      if (rest === "") throw malformed(text, "its name is missing");
      return { transport: "docker-daemon", name: rest };
    case "containers-storage":
      if (rest === "") throw malformed(text, "its name is missing");
      return { transport: "containers-storage", name: rest };
    default:
      return { transport: "name", name: text };
  }
}

/** The location as a user writes it. */
export function formatTransport(reference: TransportReference): string {
  switch (reference.transport) {
    case "oci":
    case "oci-archive":
    case "docker-archive": {
      const image =
        reference.reference ?? (reference.index === undefined ? undefined : `@${reference.index}`);
      return `${reference.transport}:${reference.path}${image === undefined ? "" : `:${image}`}`;
    }
    case "dir":
      return `dir:${reference.path}`;
    case "docker":
      return `docker://${reference.name}`;
    case "name":
      return reference.name;
    default:
      return `${reference.transport}:${reference.name}`;
  }
}

/** Whether layers that were never compressed stay so when they go there, as they do with Podman's tools. */
export function keepsPlainLayers({ transport }: TransportReference): boolean {
  return ["dir", "docker-archive", "docker-daemon", "containers-storage"].includes(transport);
}

function malformed(text: string, why: string, hint?: string): CooperError {
  return new CooperError(
    "usage",
    `"${text}" does not say where an image is: ${why}`,
    hint === undefined ? {} : { hint },
  );
}

function splitPath(text: string, rest: string): { path: string; image: string | undefined } {
  const colon = rest.indexOf(":");
  const path = colon === -1 ? rest : rest.slice(0, colon);
  if (path === "") throw malformed(text, "its path is missing");
  // A colon at the end names no image, as in containers/image.
  const image = colon === -1 || colon === rest.length - 1 ? undefined : rest.slice(colon + 1);
  return { path, image };
}

function sourceIndex(text: string, image: string): number {
  if (!/^@\d{1,9}$/.test(image)) throw malformed(text, `"${image}" is not @ and a number`);
  return Number(image.slice(1));
}

function ociSelector(text: string, image: string | undefined): ImageSelector {
  if (image === undefined) return {};
  if (image.startsWith("@")) return { index: sourceIndex(text, image) };
  if (!OCI_NAME.test(image))
    throw malformed(text, `"${image}" is not a valid name for an image in an OCI layout`);
  return { reference: image };
}

function dockerSelector(text: string, image: string | undefined): ImageSelector {
  if (image === undefined) return {};
  if (image.startsWith("@")) return { index: sourceIndex(text, image) };
  const name = normaliseDockerName(image);
  if (parseReference(name).digest !== undefined)
    throw malformed(text, "an image in a docker-archive has no digest");
  return { reference: name };
}

function registryName(text: string, name: string): string {
  if (name === "") throw malformed(text, "its name is missing");
  const reference = parseReference(normaliseDockerName(name));
  if (reference.tag !== undefined && reference.digest !== undefined) {
    throw malformed(text, "a registry is asked either for a tag or for a digest", "leave one of them away");
  }
  return formatReference(reference);
}
