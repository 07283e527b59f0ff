import { defineCommand, onStore } from "../command.ts";
import { writeOut } from "../output.ts";

/** Cooper's own; the counting of wasted bytes is that of dive, but for the copy that is seen. */
export const command = defineCommand({
  name: "explore",
  summary: "Show what is in each layer of an image, and what is wasted",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: "An image must be named" },
  flags: {
    json: { type: "bool", help: "print JSON, with every file" },
    output: {
      type: "string",
      short: "o",
      placeholder: "file",
      help: "write a report there: a page when it ends in .html, else .json",
    },
  },
  details: [
    "Sizes are those of uncompressed layers. Wasted are the bytes of files that a later layer overwrites or deletes: they are stored and sent, and no container sees them.",
  ],
  examples: ["cooper explore localhost/app", "cooper explore -o app.html localhost/app"],
  namespace: onStore,
  async run({ args, flags, signal, api, store }) {
    const { openReport } = await import("../report/report-file.ts");
    const file = flags.output === undefined ? undefined : openReport(flags.output, "--output");
    const { exploreImage } = await api();
    const report = await exploreImage(await store(), args[0]!, { signal });
    if (file !== undefined) await file.write(report);
    if (flags.json) writeOut(`${JSON.stringify(report, undefined, 4)}\n`);
    else if (file === undefined) writeOut((await import("../report/image-text.ts")).imageText(report));
    return 0;
  },
});
