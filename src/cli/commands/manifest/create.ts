import { CooperError } from "../../../base/errors.ts";
import { defineCommand, onStore } from "../../command.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { registryOptions, TLS_FLAG } from "../../registry-flags.ts";

/** buildah-manifest-create(1) */
export const command = defineCommand({
  name: "manifest create",
  summary: "Make a list of images",
  usage: "LIST [IMAGE…]",
  args: { min: 1, max: Number.POSITIVE_INFINITY, missing: "The list must be given a name" },
  flags: {
    ...TLS_FLAG,
    ...JSON_FLAG,
    all: { type: "bool", help: "of images that are lists themselves, add all that they list" },
    amend: { type: "bool", help: "change the list if there is one of that name" },
    annotation: { type: "commaList", placeholder: "name=value", help: "annotate the list" },
    replace: { type: "bool", help: "take the name from what has it" },
  },
  details: ["The ID of the list is printed."],
  examples: [
    "cooper manifest create localhost/hello",
    "cooper manifest create --amend localhost/hello localhost/hello-amd64 oci-archive:hello-arm64.tar",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    const [list, ...images] = args as [string, ...string[]];
    if (flags.amend && flags.replace)
      throw new CooperError("usage", "Only one of --amend and --replace can be given");
    const { createManifest } = await api();
    using progress = await openProgress({ quiet: false, warnings: showsWarnings(globals.logLevel) });
    const { id } = await createManifest(await store(), list, {
      ...registryOptions(flags, given),
      images,
      all: flags.all,
      amend: flags.amend,
      replace: flags.replace,
      annotations: flags.annotation,
      signal,
      onEvent: progress.onEvent,
    });
    progress.end();
    writeResult(flags.json, { id }, [id]);
    return 0;
  },
});
