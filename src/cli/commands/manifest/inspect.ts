import { CooperError } from "../../../base/errors.ts";
import { defineCommand } from "../../command.ts";
import { DOCUMENT_FLAG } from "../../json-flag.ts";
import { writeOut } from "../../output.ts";
import { REGISTRY_FLAGS, registryOptions } from "../../registry-flags.ts";

/** buildah-manifest-inspect(1) */
export const command = defineCommand({
  name: "manifest inspect",
  summary: "Show a list of images",
  usage: "LIST",
  args: { min: 1, max: 1, missing: "A list must be named" },
  flags: { authfile: REGISTRY_FLAGS.authfile, "tls-verify": REGISTRY_FLAGS["tls-verify"], ...DOCUMENT_FLAG },
  details: [
    "LIST is one of the store, or of a registry or archive: docker://NAME, oci:DIR[:NAME] and so on.",
  ],
  examples: [
    "cooper manifest inspect localhost/hello",
    "cooper manifest inspect docker://registry.example.com/hello",
  ],
  async run({ args, flags, given, signal, api, store }) {
    const { inspectManifest, inspectReference } = await api();
    const name = args[0]!;
    if (/^(?:docker:\/\/|oci:|oci-archive:|dir:)/.test(name)) {
      const { manifest, isList } = await inspectReference(name, { ...registryOptions(flags, given), signal });
      if (!isList) throw new CooperError("invalid", `${name} is an image, not a list of images`);
      writeOut(`${JSON.stringify(manifest, undefined, 4)}\n`);
      return 0;
    }
    writeOut(`${JSON.stringify(await inspectManifest(await store(), name), undefined, 4)}\n`);
    return 0;
  },
});
