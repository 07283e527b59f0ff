import { defineCommand } from "../../command.ts";
import { DOCUMENT_FLAG } from "../../json-flag.ts";
import { writeOut } from "../../output.ts";
import { warningsTo } from "../../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../../registry-flags.ts";

/** skopeo-list-tags(1) */
export const command = defineCommand({
  name: "image list-tags",
  summary: "Show the tags of a repository, or the names in an archive",
  usage: "REPOSITORY",
  args: { min: 1, max: 1, missing: "A repository must be named" },
  flags: { ...REGISTRY_FLAGS, ...RETRY_FLAGS, ...DOCUMENT_FLAG },
  details: [
    "REPOSITORY is docker://NAME without a tag, or docker-archive:FILE. The tags are printed as JSON, in the registry's order.",
  ],
  examples: [
    "cooper image list-tags docker://registry.example.com/hello",
    "cooper image list-tags docker-archive:images.tar",
  ],
  async run({ args, flags, given, signal, globals, api }) {
    const { listTags } = await api();
    const { repository, tags } = await listTags(args[0]!, {
      ...registryOptions(flags, given),
      signal,
      onEvent: warningsTo(globals.logLevel),
    });
    const document = { ...(repository === undefined ? {} : { Repository: repository }), Tags: tags };
    writeOut(`${JSON.stringify(document, undefined, 4)}\n`);
    return 0;
  },
});
