import { defineCommand } from "../command.ts";

/** buildah-rename(1) */
export const command = defineCommand({
  name: "rename",
  summary: "Rename a working container",
  usage: "CONTAINER NAME",
  args: { min: 2, max: 2 },
  flags: {},
  examples: ["cooper rename debian-working-container work"],
  async run({ args, api, store }) {
    const [container, name] = args as [string, string];
    const { openContainer } = await api();
    await (await openContainer(await store(), container)).rename(name);
    return 0;
  },
});
