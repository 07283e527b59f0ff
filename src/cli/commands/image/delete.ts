import { defineCommand } from "../../command.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";
import { warningsTo } from "../../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../../registry-flags.ts";

/** skopeo-delete(1) */
export const command = defineCommand({
  name: "image delete",
  summary: "Delete an image in a registry",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: "An image must be named" },
  flags: { ...REGISTRY_FLAGS, ...RETRY_FLAGS, ...JSON_FLAG },
  details: [
    "IMAGE is docker://NAME[:TAG|@DIGEST]. What a tag stands for is deleted by its digest, and so is every other tag of the repository that stands for the same. The registry frees the space when it collects its garbage; many registries have deleting turned off. The digest is printed.",
  ],
  examples: ["cooper image delete docker://registry.example.com/hello:1.0"],
  async run({ args, flags, given, signal, globals, api }) {
    const { deleteImage } = await api();
    const digest = await deleteImage(args[0]!, {
      ...registryOptions(flags, given),
      signal,
      onEvent: warningsTo(globals.logLevel),
    });
    writeResult(flags.json, { digest }, [digest]);
    return 0;
  },
});
