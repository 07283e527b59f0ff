/** `docker-daemon:name[:tag]`, `docker-daemon:sha256:ID`: the images of a Docker engine, as archives of docker save. */
import { CooperError } from "../base/errors.ts";
import { isFullId, normaliseDockerName, parseReference } from "../oci/reference.ts";
import { receiveArchive } from "./archive-file.ts";
import { DockerArchiveSet, dockerArchiveSource } from "./docker-archive.ts";
import { DockerEngine, engineAddress } from "./docker-engine.ts";
import type { Source, Target } from "./types.ts";

/**
 * Reads an image by name or id, the whole of it at once: an engine gives out nothing less. It waits in a temporary file
 * without a name. Throws `not-found` for the image or the engine, `denied`.
 */
export async function openDockerDaemonSource(text: string, signal?: AbortSignal): Promise<Source> {
  const name = `docker-daemon:${text}`;
  const doing = `Cannot read ${name}`;
  const wanted = isFullId(text) ? text : normaliseDockerName(text);
  const address = engineAddress();
  const engine = new DockerEngine(address, signal);
  if ((await engine.findImage(wanted, doing)) === undefined) {
    throw new CooperError("not-found", `${doing}: the Docker engine at ${address.host} has no such image`, {
      hint: "docker image ls lists what it has",
    });
  }
  return dockerArchiveSource(await receiveArchive(await engine.save(wanted, doing), name), {}, name);
}

/**
 * Writes an image under a name. It is put together in a temporary file and goes to the engine with tag(), which takes it
 * whole or not at all; its id stays, its layers are uncompressed on the way.
 */
export async function openDockerDaemonTarget(text: string, signal?: AbortSignal): Promise<Target> {
  const name = `docker-daemon:${text}`;
  const doing = `Cannot write ${name}`;
  if (isFullId(text))
    throw new CooperError("usage", `${doing}: it is an id, and an image is written under a name`);
  const tag = normaliseDockerName(text);
  if (parseReference(tag).digest !== undefined)
    throw new CooperError("usage", `${doing}: an image is written under a tag, not under a digest`);
  const engine = new DockerEngine(engineAddress(), signal);
  // Said before everything is packed, not after.
  await engine.ping(doing);
  return new DockerArchiveSet((file) => engine.load(file, doing), name).target([tag], true);
}
