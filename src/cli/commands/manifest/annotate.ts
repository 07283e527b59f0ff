import { CooperError } from "../../../base/errors.ts";
import { defineCommand, onStore } from "../../command.ts";
import { ENTRY_FLAGS, entryEdits } from "../../entry-flags.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";

/** buildah-manifest-annotate(1) */
export const command = defineCommand({
  name: "manifest annotate",
  summary: "Change what a list says about an image, or about itself",
  usage: "LIST [DIGEST|IMAGE]",
  args: { min: 1, max: 2, missing: "A list must be named" },
  flags: {
    ...ENTRY_FLAGS,
    ...JSON_FLAG,
    index: { type: "bool", help: "--annotation is for the list itself" },
    subject: { type: "string", placeholder: "image", help: "the image that the list is about" },
  },
  examples: [
    "cooper manifest annotate --arch arm64 --variant v8 localhost/hello localhost/hello-arm64",
    "cooper manifest annotate --index --annotation org.example.made=here localhost/hello",
  ],
  namespace: onStore,
  async run({ args, flags, api, store }) {
    const [list, instance] = args as [string, string | undefined];
    const index = flags.index || flags.subject !== undefined;
    if (index && instance !== undefined) {
      throw new CooperError(
        "usage",
        `${JSON.stringify(instance)} cannot be named when the list itself is annotated`,
      );
    }
    if (!index && instance === undefined)
      throw new CooperError("usage", "An image of the list must be named, by digest or name");
    const edits = entryEdits(flags);
    const other = Object.keys(edits).find((key) => key !== "annotations");
    if (index && other !== undefined)
      throw new CooperError("usage", `--index is not compatible with --${other}`);
    const { annotateManifest } = await api();
    const { id, digest } = await annotateManifest(await store(), list, instance, {
      ...edits,
      index,
      ...(flags.subject === undefined ? {} : { subject: flags.subject }),
    });
    writeResult(flags.json, { id, digest }, [digest === undefined ? id : `${id}: ${digest}`]);
    return 0;
  },
});
