import { CooperError } from "../../../base/errors.ts";
import type { ManifestAddOptions } from "../../../index.ts";
import { defineCommand, onStore } from "../../command.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { ARTIFACT_FLAGS, artifactOptions } from "../../artifact-flags.ts";
import { ENTRY_FLAGS, entryEdits } from "../../entry-flags.ts";
import { REGISTRY_FLAGS, registryOptions } from "../../registry-flags.ts";

/** buildah-manifest-add(1) */
export const command = defineCommand({
  name: "manifest add",
  summary: "Add an image to a list",
  usage: "LIST IMAGE | --artifact LIST FILE…",
  args: { min: 2, max: Number.POSITIVE_INFINITY, missing: "A list and an image must be named" },
  flags: {
    ...ENTRY_FLAGS,
    ...JSON_FLAG,
    ...REGISTRY_FLAGS,
    ...ARTIFACT_FLAGS,
    all: { type: "bool", help: "when the image is a list itself, add all that it lists" },
  },
  details: [
    "IMAGE is one of the store, or is brought from oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME, containers-storage:NAME or docker://NAME. The ID of the list and the digest of the image's manifest are printed. With --artifact files of the host are added, as the layers of one artifact.",
  ],
  examples: [
    "cooper manifest add localhost/hello localhost/hello-amd64",
    "cooper manifest add --arch arm64 --variant v8 localhost/hello oci-archive:hello-arm64.tar",
    "cooper manifest add --artifact --artifact-type application/spdx+json localhost/hello sbom.json",
    "cooper manifest add --all localhost/hello docker://registry.example.com/hello",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    const [list, image, ...more] = args as [string, string, ...string[]];
    const stray = Object.keys(ARTIFACT_FLAGS).find((name) => given.has(name));
    if (flags.artifact) {
      const { addArtifactToManifest } = await api();
      const added = await addArtifactToManifest(
        await store(),
        list,
        [image, ...more],
        artifactOptions(flags),
      );
      writeResult(flags.json, { id: added.id, digest: added.digest }, [`${added.id}: ${added.digest}`]);
      return 0;
    }
    if (stray !== undefined && stray !== "artifact")
      throw new CooperError("usage", `--${stray} needs --artifact`);
    if (more.length > 0) throw new CooperError("usage", "Only one image can be added at a time");
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
