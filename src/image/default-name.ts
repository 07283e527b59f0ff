/** The name that an image gets in the store when nobody gave it one. */
import { normaliseDockerName, normaliseName } from "../oci/reference.ts";
import type { TransportReference } from "../oci/transport-reference.ts";
import type { Descriptor } from "../oci/types.ts";
import { REF_NAME } from "../transport/layout-index.ts";

/**
 * As Buildah names what it pulls: the name that an archive or engine carries, that of a layout's image where it is a
 * whole one (`registry/name:tag`), else the path of the layout or directory. Undefined when there is none.
 */
export function defaultName(reference: TransportReference, root: Descriptor): string | undefined {
  const carried = root.annotations?.[REF_NAME];
  switch (reference.transport) {
    case "oci-archive":
    case "docker-archive":
    case "containers-storage":
      return carried;
    case "docker-daemon":
      return carried === undefined ? undefined : normaliseDockerName(carried);
    case "oci":
      return layoutName(reference.path, carried ?? reference.reference ?? "latest");
    case "dir":
      return pathName(reference.path);
    case "docker":
      return reference.name;
    default:
      return undefined;
  }
}

/** The name of an image in a layout is a tag, a whole name, or (image-layout.md) nearly anything. */
function layoutName(path: string, name: string): string {
  const asTag = `${pathName(path)}:${name}`;
  if (isName(asTag)) return asTag;
  return isName(name) ? name : pathName(path);
}

function isName(text: string): boolean {
  try {
    normaliseName(text);
    return true;
  } catch {
    return false;
  }
}

function pathName(path: string): string {
  return `localhost/${path
    .toLowerCase()
    .replace(/^[^a-z0-9]+/, "")
    .replace(/[^a-z0-9/._-]+/g, "-")}`;
}
