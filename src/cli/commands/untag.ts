import { defineCommand } from "../command.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";

/** podman-untag(1) */
export const command = defineCommand({
  name: "untag",
  summary: "Take names from an image, which stays",
  usage: "IMAGE [NAME…]",
  args: { min: 1, max: Number.POSITIVE_INFINITY, missing: "An image must be named" },
  flags: JSON_FLAG,
  details: ["Without a NAME all names of the image are taken. The names are printed."],
  examples: ["cooper untag localhost/hello localhost/hello:1.0", "cooper untag localhost/hello"],
  async run({ args, flags, api, store }) {
    const [image, ...names] = args as [string, ...string[]];
    const { untagImage } = await api();
    const taken = await untagImage(await store(), image, names);
    writeResult(flags.json, taken, taken);
    return 0;
  },
});
