import { CooperError } from "../../../base/errors.ts";
import type { ManifestPushOptions } from "../../../index.ts";
import { defineCommand, onStore } from "../../command.ts";
import { writeIdFile } from "../../id-file.ts";
import { formatOf } from "../../image-flags.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../../registry-flags.ts";

/** buildah-manifest-push(1) */
export const command = defineCommand({
  name: "manifest push",
  summary: "Send a list and its images to another place",
  usage: "LIST [DESTINATION]",
  args: { min: 1, max: 2, missing: "A list must be named" },
  flags: {
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    ...JSON_FLAG,
    "add-compression": {
      type: "list",
      placeholder: "gzip|zstd",
      help: "also the images with this compression, for each platform that has none with it; readers that can prefer zstd",
    },
    all: { type: "bool", default: true, help: "also the images; without them they must be there already" },
    "compression-format": { type: "string", placeholder: "gzip|zstd", help: "how layers are compressed" },
    "compression-level": { type: "int", placeholder: "level", help: "how hard layers are compressed" },
    digestfile: { type: "string", placeholder: "file", help: "write the digest of the list to a file" },
    "force-compression": { type: "bool", help: "compress layers anew that are compressed otherwise" },
    format: { type: "string", short: "f", placeholder: "oci|docker", help: "oci or docker (v2s2)" },
    quiet: { type: "bool", short: "q", help: "no progress and no digest" },
    "remove-signatures": { type: "bool", help: "without effect: Cooper copies none" },
    rm: { type: "bool", help: "remove the list from the store when it was sent" },
  },
  unsupported: ["sign-by"],
  details: [
    "DESTINATION is docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME] or dir:DIR; without it the list goes to the registry that its name tells. The digest of the list is printed, unless --quiet.",
  ],
  examples: [
    "cooper manifest push registry.example.com/hello:1.0",
    "cooper manifest push --add-compression zstd registry.example.com/hello:1.0",
    "cooper manifest push --rm localhost/hello oci-archive:hello.tar:1.0",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    const [list, destination = `docker://${list}`] = args as [string, string | undefined];
    const format = formatOf(flags.format);
    const compression = compressionOf(flags["compression-format"]);
    const addCompression = flags["add-compression"].flatMap((name) => compressionOf(name) ?? []);
    if (addCompression.length > 0 && !flags.all)
      throw new CooperError("usage", "--add-compression adds images: it cannot be given with --all=false");
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const options: ManifestPushOptions = {
      ...registryOptions(flags, given),
      signal,
      onEvent: progress.onEvent,
      all: flags.all,
      addCompression,
      remove: flags.rm,
      // A format that is asked for is forced, unless that is said not to be meant.
      forceCompression: given.has("force-compression")
        ? flags["force-compression"]
        : compression !== undefined,
    };
    if (format !== undefined) options.format = format;
    if (compression !== undefined) options.compression = compression;
    if (flags["compression-level"] !== undefined) options.compressionLevel = flags["compression-level"];
    const { pushManifest } = await api();
    const { digest } = await pushManifest(await store(), list, destination, options);
    if (flags.digestfile !== undefined) writeIdFile(flags.digestfile, digest);
    progress.end();
    if (!flags.quiet || flags.json) writeResult(flags.json, { digest }, [digest]);
    return 0;
  },
});

function compressionOf(format: string | undefined): "gzip" | "zstd" | undefined {
  if (format === undefined || format === "gzip" || format === "zstd") return format;
  throw new CooperError("unsupported", `The compression ${JSON.stringify(format)} is not supported`, {
    hint: "use gzip or zstd",
  });
}
