import { CooperError } from "../../base/errors.ts";
import { isTerminal } from "../../base/terminals.ts";
import { defineCommand, onStore } from "../command.ts";
import { openOutput } from "../output-file.ts";
import { writeOut } from "../output.ts";

/** podman-export(1) */
export const command = defineCommand({
  name: "export",
  summary: "Write the root file system of a container or an image as one tar",
  usage: "CONTAINER|IMAGE",
  args: { min: 1, max: 1, missing: "A container must be named" },
  flags: {
    output: {
      type: "string",
      short: "o",
      placeholder: "file",
      help: "where to; without it to the standard output",
    },
  },
  details: [
    "The tar is not compressed and has no config; `cooper import` makes an image of it. A file is there under its name only when it is complete.",
  ],
  examples: ["cooper export -o root.tar work", "cooper export work | tar t"],
  namespace: onStore,
  async run({ args, flags, signal, api, store }) {
    const { exportRoot } = await api();
    const chunks = exportRoot(await store(), args[0]!, { signal });
    if (flags.output === undefined || flags.output === "-") {
      if (isTerminal(1)) {
        throw new CooperError("usage", "A tar is not written to a terminal", {
          hint: "name a file with -o, or redirect the output",
        });
      }
      for await (const chunk of chunks) writeOut(chunk);
      return 0;
    }
    using output = openOutput(flags.output);
    for await (const chunk of chunks) output.write(chunk);
    output.finish();
    return 0;
  },
});
