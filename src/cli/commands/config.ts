import { CONFIG_FLAGS, configEdits } from "../config-edits.ts";
import { defineCommand } from "../command.ts";

export const command = defineCommand({
  name: "config",
  summary: "Change the config that images of a working container will have",
  usage: "CONTAINER",
  args: { min: 1, max: 1, missing: "A container must be named" },
  flags: CONFIG_FLAGS,
  unsupported: ["add-history", "unsetlabel", "unsetannotation", "healthcheck-start-interval"],
  examples: [
    `cooper config --entrypoint '["/usr/bin/hello"]' --cmd '--world' work`,
    "cooper config --env PATH=/opt/bin:$PATH --workingdir /srv --user 1000:1000 work",
    'cooper config --label version=1.0 --port 8080/tcp --healthcheck "CMD /bin/check" --healthcheck-interval 10s work',
  ],
  async run({ args, flags, given, api, store }) {
    const { openContainer } = await api();
    const container = await openContainer(await store(), args[0]!);
    const edits = configEdits(flags, given, await container.inspect());
    await container.config(edits);
    return 0;
  },
});
