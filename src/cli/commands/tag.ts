import { defineCommand } from "../command.ts";

/** buildah-tag(1) */
export const command = defineCommand({
  name: "tag",
  summary: "Give an image in the store more names",
  usage: "IMAGE NAME…",
  args: { min: 2, max: Number.POSITIVE_INFINITY },
  flags: {},
  examples: ["cooper tag localhost/hello localhost/hello:1.0 registry.example.com/hello"],
  async run({ args, api, store }) {
    const [image, ...names] = args as [string, ...string[]];
    const { tagImage } = await api();
    await tagImage(await store(), image, names);
    return 0;
  },
});
