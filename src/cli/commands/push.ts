import { CooperError } from "../../base/errors.ts";
import type { PushOptions } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { writeIdFile } from "../id-file.ts";
import { formatOf, UNSUPPORTED_REGISTRY_FLAGS } from "../image-flags.ts";
import { progressSink, showsWarnings } from "../progress.ts";

/** buildah-push(1) */
export const command = defineCommand({
  name: "push",
  summary: "Send an image to another place",
  usage: "IMAGE [DESTINATION]",
  args: { min: 1, max: 2, missing: "An image must be named" },
  flags: {
    "compression-format": {
      type: "string",
      placeholder: "gzip|zstd|none",
      help: "how layers are compressed",
    },
    "compression-level": { type: "int", placeholder: "level", help: "how hard layers are compressed" },
    digestfile: { type: "string", placeholder: "file", help: "write the digest of the manifest to a file" },
    "disable-compression": { type: "bool", short: "D", help: "the same as --compression-format=none" },
    format: {
      type: "string",
      short: "f",
      placeholder: "format",
      help: "format of the manifest: oci or docker (v2s2)",
    },
    quiet: { type: "bool", short: "q", help: "no progress" },
  },
  unsupported: [
    ...UNSUPPORTED_REGISTRY_FLAGS,
    "add-compression",
    "all",
    "encrypt-layer",
    "encryption-key",
    "force-compression",
    "remove-signatures",
    "rm",
    "sign-by",
  ],
  details: [
    "DESTINATION is oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME] or dir:DIR. Without it the image goes to the registry that its name tells.",
  ],
  examples: [
    "cooper push localhost/hello oci-archive:hello.tar",
    "cooper push --format docker localhost/hello docker-archive:hello.tar:hello:1.0",
  ],
  namespace: onStore,
  async run({ args, flags, signal, globals, api, store }) {
    const [image, destination = `docker://${image}`] = args as [string, string | undefined];
    const format = formatOf(flags.format);
    const compression = compressionOf(flags["compression-format"], flags["disable-compression"]);
    const options: PushOptions = {
      signal,
      onEvent: progressSink({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) }),
    };
    if (format !== undefined) options.format = format;
    if (compression !== undefined) options.compression = compression;
    if (flags["compression-level"] !== undefined) options.compressionLevel = flags["compression-level"];
    const { push } = await api();
    const { digest } = await push(await store(), image, destination, options);
    if (flags.digestfile !== undefined) writeIdFile(flags.digestfile, digest);
    return 0;
  },
});

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
