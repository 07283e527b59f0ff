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
 * Opens a location for reading; dispose it after. Throws `denied` when the policy forbids it, and
 * `usage` for a name without a transport.
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
    case "docker-daemon": {
      const { openDockerDaemonSource } = await import("./docker-daemon.ts");
      return await openDockerDaemonSource(reference.name, settings.signal);
    }
    case "containers-storage": {
      const { openContainersStorageSource } = await import("./containers-storage.ts");
      return await openContainersStorageSource(reference.name, settings.signal);
    }
    default:
      throw withoutTransport(reference, "read");
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
    case "docker-daemon": {
      const { openDockerDaemonTarget } = await import("./docker-daemon.ts");
      return await openDockerDaemonTarget(reference.name, settings.signal);
    }
    case "containers-storage": {
      const { openContainersStorageTarget } = await import("./containers-storage.ts");
      return openContainersStorageTarget(reference.name, settings.signal);
    }
    default:
      throw withoutTransport(reference, "write");
  }
}

function withoutTransport(reference: TransportReference, verb: "read" | "write"): CooperError {
  return new CooperError("usage", `Cannot ${verb} ${formatTransport(reference)}: it names no transport`, {
    hint: "write docker://NAME, oci:PATH, oci-archive:PATH, docker-archive:PATH, dir:PATH, docker-daemon:NAME or containers-storage:NAME",
  });
}
