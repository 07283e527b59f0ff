import { defineCommand, onStore } from "../../command.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";

/** buildah-manifest-remove(1) */
export const command = defineCommand({
  name: "manifest remove",
  summary: "Take an image out of a list",
  usage: "LIST DIGEST|IMAGE",
  args: { min: 2, max: 2, missing: "A list and an image of it must be named" },
  flags: JSON_FLAG,
  examples: ["cooper manifest remove localhost/hello localhost/hello-arm64"],
  namespace: onStore,
  async run({ args, flags, api, store }) {
    const [list, instance] = args as [string, string];
    const { removeFromManifest } = await api();
    const { id, digest } = await removeFromManifest(await store(), list, instance);
    writeResult(flags.json, { id, digest }, [`${id}: ${digest}`]);
    return 0;
  },
});
