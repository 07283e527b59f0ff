import { defineCommand, onStore } from "../../command.ts";
import { forEachItem } from "../../each.ts";
import { JSON_FLAG, withRemoved } from "../../json-flag.ts";

/** buildah-manifest-rm(1) */
export const command = defineCommand({
  name: "manifest rm",
  summary: "Remove lists from the store",
  usage: "LIST…",
  args: { min: 1, max: Number.POSITIVE_INFINITY, missing: "A list must be named" },
  flags: JSON_FLAG,
  details: ["Images that a list names stay, where they have names of their own."],
  examples: ["cooper manifest rm localhost/hello"],
  namespace: onStore,
  async run({ args, flags, signal, api, store }) {
    const { removeManifest } = await api();
    const opened = await store();
    await withRemoved(flags.json, (done) =>
      forEachItem(args, signal, async (list) => done(await removeManifest(opened, list))),
    );
    return 0;
  },
});
