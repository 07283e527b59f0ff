import { CooperError } from "../../base/errors.ts";
import type { PushOptions, Store } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { writeIdFile } from "../id-file.ts";
import { CONTENT_FLAGS, formatOf } from "../image-flags.ts";
import { openProgress, showsWarnings } from "../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../registry-flags.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";

/** buildah-push(1) */
export const command = defineCommand({
  name: "push",
  summary: "Send an image to another place",
  usage: "IMAGE [DESTINATION]",
  args: { min: 1, max: 2, missing: "An image must be named" },
  flags: {
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    ...JSON_FLAG,
    all: { type: "bool", help: "of a list of images: also all of its images, and the list itself" },
    ...CONTENT_FLAGS,
    "compression-format": {
      type: "string",
      placeholder: "gzip|zstd|none",
      help: "how layers are compressed",
    },
    "compression-level": { type: "int", placeholder: "level", help: "how hard layers are compressed" },
    digestfile: { type: "string", placeholder: "file", help: "write the digest of the manifest to a file" },
    "disable-compression": { type: "bool", short: "D", help: "the same as --compression-format=none" },
    "force-compression": { type: "bool", help: "compress layers anew that are compressed otherwise" },
    format: {
      type: "string",
      short: "f",
      placeholder: "oci|docker",
      help: "format of the manifest: oci or docker (v2s2)",
    },
    quiet: { type: "bool", short: "q", help: "no progress" },
    "remove-signatures": { type: "bool", help: "without effect: Cooper copies none" },
    rm: { type: "bool", help: "of a list of images: remove it from the store when it was sent" },
  },
  unsupported: ["add-compression", "encrypt-layer", "encryption-key", "sign-by"],
  details: [
    "DESTINATION is oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME (a Docker engine), containers-storage:NAME (Podman), or docker://NAME for a registry. Without it the image goes to the registry that its name tells.",
  ],
  examples: [
    "cooper push localhost/hello oci-archive:hello.tar",
    "cooper push --format docker localhost/hello docker-archive:hello.tar:hello:1.0",
    "cooper push localhost/hello containers-storage:localhost/hello",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    const [image, destination = `docker://${image}`] = args as [string, string | undefined];
    const format = formatOf(flags.format);
    const compression = compressionOf(flags["compression-format"], flags["disable-compression"]);
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const options: PushOptions = {
      ...registryOptions(flags, given),
      signal,
      onEvent: progress.onEvent,
    };
    if (format !== undefined) options.format = format;
    if (compression !== undefined) options.compression = compression;
    if (flags["compression-level"] !== undefined) options.compressionLevel = flags["compression-level"];
    if (flags.all) options.all = true;
    if (!flags.attestations) options.attestations = false;
    if (flags["foreign-layers"]) options.foreignLayers = true;
    // A format that is asked for is for all layers, unless that is said not to be meant.
    options.forceCompression = given.has("force-compression")
      ? flags["force-compression"]
      : given.has("compression-format");
    const calls = await api();
    const { digest } = await calls.push(await store(), image, destination, options);
    if (flags.rm) await removeList(calls, await store(), image);
    if (flags.digestfile !== undefined) writeIdFile(flags.digestfile, digest);
    progress.end();
    // As in Buildah, nothing is printed otherwise.
    if (flags.json) writeResult(true, { digest }, []);
    return 0;
  },
});

/** As in Buildah, an image that is no list stays. */
async function removeList(
  calls: typeof import("../../index.ts"),
  store: Store,
  image: string,
): Promise<void> {
  const id = await calls.resolveImage(store, image);
  if ((await calls.listImages(store)).some((one) => one.id === id && one.isList))
    await calls.removeManifest(store, id);
}

function compressionOf(format: string | undefined, disabled: boolean): PushOptions["compression"] {
  if (disabled) {
    if (format !== undefined && format !== "none") {
      throw new CooperError("usage", "--disable-compression and --compression-format contradict each other");
    }
    return "none";
  }
  if (format === undefined || format === "gzip" || format === "zstd" || format === "none") return format;
  throw new CooperError("unsupported", `The compression ${JSON.stringify(format)} is not supported`, {
    hint: "use gzip, zstd or none",
  });
}
