import type { ImportOptions } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { formatOf, FORMAT_FLAG, PLATFORM_FLAGS, platformOf } from "../image-flags.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";

/** The counterpart of `docker import` and podman-import(1); Buildah has none. */
export const command = defineCommand({
  name: "import",
  summary: "Make an image of one layer from a root file system",
  usage: "PATH|- [NAME]",
  args: {
    min: 1,
    max: 2,
    missing: "A directory or tar file must be named, or - for a tar on standard input",
  },
  flags: {
    ...PLATFORM_FLAGS,
    ...JSON_FLAG,
    change: {
      type: "list",
      short: "c",
      placeholder: "instruction",
      help: "Dockerfile instruction for the config: CMD, ENV, LABEL…",
    },
    format: FORMAT_FLAG,
    message: { type: "string", short: "m", placeholder: "text", help: "comment in the image's history" },
    quiet: { type: "bool", short: "q", help: "do not print the image's ID" },
  },
  details: ["PATH is a directory, or a tar file (compressed or not). The image's ID is printed."],
  examples: [
    "cooper import rootfs.tar localhost/debian",
    "mmdebstrap --variant=minbase trixie - | cooper import - localhost/debian:trixie",
    `cooper import --change 'CMD ["/bin/sh"]' --message "from the build tree" ./rootfs localhost/base`,
  ],
  namespace: onStore,
  async run({ args, flags, signal, api, store }) {
    const [source, name] = args as [string, string | undefined];
    const platform = platformOf(flags);
    const format = formatOf(flags.format);
    const options: ImportOptions = { signal };
    if (name !== undefined) options.name = name;
    if (flags.change.length > 0) options.changes = flags.change;
    if (flags.message !== undefined) options.message = flags.message;
    if (platform !== undefined) options.platform = platform;
    if (format !== undefined) options.format = format;
    const { importImage } = await api();
    const { id, names, digest } = await importImage(await store(), source, options);
    if (!flags.quiet || flags.json) writeResult(flags.json, { imageId: id, names, digest }, [id]);
    return 0;
  },
});
