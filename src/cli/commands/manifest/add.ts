import type { ManifestAddOptions } from "../../../index.ts";
import { defineCommand, onStore } from "../../command.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { ENTRY_FLAGS, entryEdits } from "../../entry-flags.ts";
import { REGISTRY_FLAGS, registryOptions } from "../../registry-flags.ts";

/** buildah-manifest-add(1) */
export const command = defineCommand({
  name: "manifest add",
  summary: "Add an image to a list",
  usage: "LIST IMAGE",
  args: { min: 2, max: 2, missing: "A list and an image must be named" },
  flags: {
    ...ENTRY_FLAGS,
    ...JSON_FLAG,
    ...REGISTRY_FLAGS,
    all: { type: "bool", help: "when the image is a list itself, add all that it lists" },
  },
  unsupported: [
    "artifact",
    "artifact-annotation",
    "artifact-config",
    "artifact-config-type",
    "artifact-exclude-titles",
    "artifact-layer-type",
    "artifact-subject",
    "artifact-type",
  ],
  details: [
    "IMAGE is one of the store, or is brought from oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME, containers-storage:NAME or docker://NAME. The ID of the list and the digest of the image's manifest are printed.",
  ],
  examples: [
    "cooper manifest add localhost/hello localhost/hello-amd64",
    "cooper manifest add --arch arm64 --variant v8 localhost/hello oci-archive:hello-arm64.tar",
    "cooper manifest add --all localhost/hello docker://registry.example.com/hello",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    const [list, image] = args as [string, string];
    using progress = await openProgress({ quiet: false, warnings: showsWarnings(globals.logLevel) });
    const options: ManifestAddOptions = {
      ...entryEdits(flags),
      ...registryOptions(flags, given),
      all: flags.all,
      signal,
      onEvent: progress.onEvent,
    };
    const { addToManifest } = await api();
    const { id, digest } = await addToManifest(await store(), list, image, options);
    progress.end();
    writeResult(flags.json, { id, digest }, [`${id}: ${digest}`]);
    return 0;
  },
});
