import { isTerminal } from "../../base/terminals.ts";
import { CooperError } from "../../base/errors.ts";
import type { SaveOptions } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { openProgress, showsWarnings } from "../progress.ts";

/** podman-save(1), docker-save(1) */
export const command = defineCommand({
  name: "save",
  summary: "Write images to one archive",
  usage: "IMAGE…",
  args: { min: 1, max: Number.POSITIVE_INFINITY, missing: "An image must be named" },
  flags: {
    all: { type: "bool", help: "of lists, all of their images (oci-archive only)" },
    format: {
      type: "string",
      default: "docker-archive",
      placeholder: "docker-archive|oci-archive",
      help: "format of the archive",
    },
    output: {
      type: "string",
      short: "o",
      placeholder: "file",
      help: "where to; without it to the standard output",
    },
    quiet: { type: "bool", short: "q", help: "no progress" },
  },
  details: [
    "Each image is in the archive under the name by which it is given; under an ID it has none. Layers that several images have are there once.",
  ],
  examples: [
    "cooper save -o images.tar localhost/hello:1.0 localhost/hello:1.1",
    "cooper save --format oci-archive localhost/hello | gzip > hello.tar.gz",
  ],
  namespace: onStore,
  async run({ args, flags, signal, globals, api, store }) {
    const file = flags.output ?? "-";
    if (file === "-" && isTerminal(1)) {
      throw new CooperError("usage", "An archive is not written to a terminal", {
        hint: "name a file with -o, or redirect the output",
      });
    }
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const options: SaveOptions = {
      format: formatOf(flags.format!),
      all: flags.all,
      signal,
      onEvent: progress.onEvent,
    };
    const { saveImages } = await api();
    await saveImages(await store(), args, file, options);
    return 0;
  },
});

function formatOf(text: string): "docker-archive" | "oci-archive" {
  if (text === "docker-archive" || text === "oci-archive") return text;
  throw new CooperError("usage", `Unknown archive format ${JSON.stringify(text)}`, {
    hint: "use docker-archive or oci-archive; cooper push writes oci: and dir: directories",
  });
}
