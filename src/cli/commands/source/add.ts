import { defineCommand } from "../../command.ts";

/** buildah-source-add(1) */
export const command = defineCommand({
  name: "source add",
  summary: "Add a file, a directory or an archive to a source image",
  usage: "PATH ARTIFACT",
  args: { min: 2, max: 2, missing: "A source image and what is added must be named" },
  flags: {
    annotation: { type: "list", placeholder: "key=value", help: "annotate what is added" },
  },
  details: [
    "What is no tar archive becomes one, of a directory's content or of the file; what is not compressed with gzip is.",
  ],
  examples: [
    "cooper source add hello-source hello-1.0.tar.gz",
    "cooper source add --annotation kind=patch src fix.diff",
  ],
  async run({ args, flags, api }) {
    const [path, artifact] = args as [string, string];
    const { addToSource } = await api();
    await addToSource(path, artifact, { annotations: flags.annotation });
    return 0;
  },
});
