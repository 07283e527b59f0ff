import { defineCommand, onStore } from "../../command.ts";
import { forEachItem } from "../../each.ts";
import { writeOut } from "../../output.ts";

/** buildah-manifest-rm(1) */
export const command = defineCommand({
  name: "manifest rm",
  summary: "Remove lists from the store",
  usage: "LIST…",
  args: { min: 1, max: Number.POSITIVE_INFINITY, missing: "A list must be named" },
  flags: {},
  details: ["Images that a list names stay, where they have names of their own."],
  examples: ["cooper manifest rm localhost/hello"],
  namespace: onStore,
  async run({ args, signal, api, store }) {
    const { removeManifest } = await api();
    const opened = await store();
    await forEachItem(args, signal, async (list) => {
      const { untagged, deleted } = await removeManifest(opened, list);
      for (const name of untagged) writeOut(`untagged: ${name}\n`);
      for (const id of deleted) writeOut(`${id}\n`);
    });
    return 0;
  },
});
