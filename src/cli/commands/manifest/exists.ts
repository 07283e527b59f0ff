import { defineCommand } from "../../command.ts";

/** buildah-manifest-exists(1) */
export const command = defineCommand({
  name: "manifest exists",
  summary: "Say by the exit status whether there is a list of that name",
  usage: "LIST",
  args: { min: 1, max: 1, missing: "A list must be named" },
  flags: {},
  details: ["The status is 0 when there is one, 1 when there is none, 125 when that could not be found out."],
  examples: ["cooper manifest exists localhost/hello || cooper manifest create localhost/hello"],
  async run({ args, api, store }) {
    const { manifestExists } = await api();
    return (await manifestExists(await store(), args[0]!)) ? 0 : 1;
  },
});
