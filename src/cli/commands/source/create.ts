import { defineCommand } from "../../command.ts";

/** buildah-source-create(1) */
export const command = defineCommand({
  name: "source create",
  summary: "Make a source image without sources",
  usage: "PATH",
  args: { min: 1, max: 1, missing: "A path must be given" },
  flags: {
    author: { type: "string", placeholder: "name", help: "who made it" },
    "time-stamp": { type: "bool", default: true, help: "tell when it was made" },
  },
  details: ["PATH is a directory that is made; nothing may be there."],
  examples: ["cooper source create hello-source", "cooper source create --time-stamp=false --author kim src"],
  async run({ args, flags, api }) {
    const { createSource } = await api();
    await createSource(args[0]!, {
      timestamp: flags["time-stamp"],
      ...(flags.author === undefined ? {} : { author: flags.author }),
    });
    return 0;
  },
});
