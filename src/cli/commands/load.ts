import { isTerminal } from "../../base/terminals.ts";
import { CooperError } from "../../base/errors.ts";
import type { LoadOptions } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";
import { openProgress, showsWarnings } from "../progress.ts";

/** podman-load(1), docker-load(1) */
export const command = defineCommand({
  name: "load",
  summary: "Bring all images of an archive into the store",
  usage: "",
  flags: {
    ...JSON_FLAG,
    input: {
      type: "string",
      short: "i",
      placeholder: "file",
      help: "the archive; without it the standard input",
    },
    platform: {
      type: "string",
      placeholder: "os/arch[/variant]",
      help: "which image of a list, in place of the host's",
    },
    quiet: { type: "bool", short: "q", help: "no progress" },
  },
  details: [
    "The archive is one of `cooper save`, `docker save` or `podman save`, or an OCI layout in a tar, compressed or not. A line for each name is printed, or for each ID without one.",
  ],
  examples: ["cooper load -i images.tar", "gzip -dc hello.tar.gz | cooper load"],
  namespace: onStore,
  async run({ flags, signal, globals, api, store }) {
    const file = flags.input ?? "-";
    if (file === "-" && isTerminal(0))
      throw new CooperError("usage", "An archive is not read from a terminal", {
        hint: "name a file with -i",
      });
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const options: LoadOptions = {
      signal,
      onEvent: progress.onEvent,
      ...(flags.platform === undefined ? {} : { platform: flags.platform }),
    };
    const { loadImages } = await api();
    const loaded = await loadImages(await store(), file, options);
    progress.end();
    const lines = loaded.flatMap(({ id, loadedNames }) =>
      (loadedNames.length === 0 ? [`sha256:${id}`] : loadedNames).map((name) => `Loaded image: ${name}`),
    );
    const result = loaded.map(({ id, loadedNames }) => ({ imageId: id, names: loadedNames }));
    writeResult(flags.json, result, lines);
    return 0;
  },
});
