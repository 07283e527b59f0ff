import { CooperError } from "../../../base/errors.ts";
import type { ImageCopyOptions } from "../../../index.ts";
import { defineCommand, onStore } from "../../command.ts";
import { writeIdFile } from "../../id-file.ts";
import { CONTENT_FLAGS, formatOf } from "../../image-flags.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../../registry-flags.ts";
import { SIDE_FLAGS, sideOptions } from "../../side-flags.ts";

/** skopeo-copy(1) */
export const command = defineCommand({
  name: "image copy",
  summary: "Copy an image or a list of images from one place to another",
  usage: "SOURCE DESTINATION",
  args: { min: 2, max: 2, missing: "A source and a destination must be named" },
  flags: {
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    ...SIDE_FLAGS,
    ...JSON_FLAG,
    all: { type: "bool", short: "a", help: "of a list, all of its images and the list itself" },
    "dest-compress-format": {
      type: "string",
      placeholder: "gzip|zstd|none",
      help: "how layers are compressed; those that are compressed already stay as they are",
    },
    "dest-compress-level": { type: "int", placeholder: "level", help: "how hard layers are compressed" },
    ...CONTENT_FLAGS,
    "preserve-digests": { type: "bool", help: "fail where a digest would change" },
    referrers: {
      type: "bool",
      help: "also copy what speaks of the image (signatures, SBOMs and other OCI referrers)",
    },
    digestfile: { type: "string", placeholder: "file", help: "write the digest to a file" },
    "force-compression": { type: "bool", help: "compress layers anew that are compressed otherwise" },
    format: { type: "string", short: "f", placeholder: "oci|docker", help: "oci or docker (v2s2)" },
    platform: {
      type: "commaList",
      placeholder: "os/arch[/variant]",
      help: "which image of a list; several, or one with --all, give a list of these",
    },
    quiet: { type: "bool", short: "q", help: "no progress" },
  },
  unsupported: [
    "additional-tag",
    "decryption-key",
    "encrypt-layer",
    "encryption-key",
    "multi-arch",
    "remove-signatures",
    "sign-by",
  ],
  details: [
    "Both are a name in the store, docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME (a Docker engine) or containers-storage:NAME (Podman); a name that the store does not have is brought from a registry. Layers and digests stay as they are unless a change is asked for, or the destination needs one. The digest is printed.",
  ],
  examples: [
    "cooper image copy docker://registry.example.com/hello dir:hello",
    "cooper image copy --all --format docker oci-archive:hello.tar docker://registry.example.com/hello:1.0",
    "cooper image copy --all --referrers docker://registry.example.com/hello oci:hello:1.0",
    "cooper image copy --platform linux/amd64,linux/arm64 docker://registry.example.com/hello localhost/hello",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    const [source, destination] = args as [string, string];
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const options: ImageCopyOptions = {
      ...registryOptions(flags, given),
      source: sideOptions(flags, "src", given),
      destination: sideOptions(flags, "dest", given),
      store: await store(),
      all: flags.all,
      platforms: flags.platform,
      forceCompression: flags["force-compression"],
      attestations: flags.attestations,
      foreignLayers: flags["foreign-layers"],
      preserveDigests: flags["preserve-digests"],
      referrers: flags.referrers,
      signal,
      onEvent: progress.onEvent,
    };
    const format = formatOf(flags.format);
    if (format !== undefined) options.format = format;
    const compression = compressionOf(flags["dest-compress-format"]);
    if (compression !== undefined) options.compression = compression;
    if (flags["dest-compress-level"] !== undefined) options.compressionLevel = flags["dest-compress-level"];
    const { copy } = await api();
    const { digest } = await copy(source, destination, options);
    if (flags.digestfile !== undefined) writeIdFile(flags.digestfile, digest);
    progress.end();
    writeResult(flags.json, { digest }, [digest]);
    return 0;
  },
});

function compressionOf(format: string | undefined): "gzip" | "zstd" | "none" | undefined {
  if (format === undefined || format === "gzip" || format === "zstd" || format === "none") return format;
  throw new CooperError("unsupported", `The compression ${JSON.stringify(format)} is not supported`, {
    hint: "use gzip, zstd or none",
  });
}
