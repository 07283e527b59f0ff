/** From a location as a user writes it to the source or target behind it. */
import { CooperError } from "../base/errors.ts";
import { formatTransport, type TransportReference } from "../oci/transport-reference.ts";
import { openDirSource, openDirTarget } from "./dir.ts";
import { openDockerArchiveSource, openDockerArchiveTarget } from "./docker-archive.ts";
import { openOciArchiveSource, openOciArchiveTarget } from "./oci-archive.ts";
import { openOciLayoutSource, openOciLayoutTarget } from "./oci-layout.ts";
import { requireAllowed } from "./policy.ts";
import type { RegistrySettings } from "./registry/settings.ts";
import type { Source, Target } from "./types.ts";

/**
 * Opens a location for reading; dispose it after. Throws `unsupported` for transports that Cooper lacks, `denied` when
 * the policy forbids it.
 */
export async function openSource(
  reference: TransportReference,
  settings: RegistrySettings = {},
): Promise<Source> {
  requireAllowed(reference, settings.signaturePolicy);
  switch (reference.transport) {
    case "oci":
      return openOciLayoutSource(reference.path, reference);
    case "oci-archive":
      return await openOciArchiveSource(reference.path, reference);
    case "docker-archive":
      return await openDockerArchiveSource(reference.path, reference);
    case "dir":
      return openDirSource(reference.path);
    case "docker": {
      // Loaded when it is needed: most commands talk to no registry.
      const { openRegistrySource } = await import("./registry/registry-source.ts");
      return openRegistrySource(reference.name, settings);
    }
    default:
      throw unsupported(reference, "read");
  }
}

/** Opens a location for writing; dispose it after. Nothing is written before the first push. Throws like openSource(). */
export async function openTarget(
  reference: TransportReference,
  settings: RegistrySettings = {},
): Promise<Target> {
  switch (reference.transport) {
    case "oci":
      return openOciLayoutTarget(reference.path, reference);
    case "oci-archive":
      return openOciArchiveTarget(reference.path, reference);
    case "docker-archive":
      return openDockerArchiveTarget(reference.path, reference);
    case "dir":
      return openDirTarget(reference.path);
    case "docker": {
      const { openRegistryTarget } = await import("./registry/registry-target.ts");
      return openRegistryTarget(reference.name, settings);
    }
    default:
      throw unsupported(reference, "write");
  }
}

function unsupported(reference: TransportReference, verb: "read" | "write"): CooperError {
  const name = formatTransport(reference);
  const doing = `Cannot ${verb} ${name}`;
  const viaSkopeo = (to: string) =>
    verb === "read"
      ? `skopeo copy ${to} oci:/tmp/image, then use oci:/tmp/image`
      : `write to oci:/tmp/image, then skopeo copy oci:/tmp/image ${to}`;
  switch (reference.transport) {
    case "docker-daemon":
    case "containers-storage":
      return new CooperError(
        "unsupported",
        `${doing}: ${reference.transport} is not supported in this version`,
        { hint: viaSkopeo(name) },
      );
    default:
      return new CooperError("usage", `${doing}: it names no transport`, {
        hint: "write docker://NAME, oci:PATH, oci-archive:PATH, docker-archive:PATH or dir:PATH",
      });
  }
}
