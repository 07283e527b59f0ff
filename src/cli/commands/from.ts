import { defineCommand, onStore } from "../command.ts";
import { writeIdFile } from "../id-file.ts";
import {
  FORMAT_FLAG,
  formatOf,
  PLATFORM_FLAGS,
  PULL_FLAGS,
  platformOf,
  pullPolicyOf,
} from "../image-flags.ts";
import { writeOut } from "../output.ts";
import { openProgress, showsWarnings } from "../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../registry-flags.ts";
import {
  HOST_FLAGS,
  RUN_FLAGS,
  runSettings,
  UNSUPPORTED_HOST_FLAGS,
  UNSUPPORTED_RUN_FLAGS,
} from "../run-flags.ts";

/** buildah-from(1) */
export const command = defineCommand({
  name: "from",
  summary: "Create a working container from an image or from scratch",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: 'An image name (or "scratch") must be given' },
  flags: {
    ...RUN_FLAGS,
    ...HOST_FLAGS,
    ...PLATFORM_FLAGS,
    ...PULL_FLAGS,
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    cidfile: { type: "string", placeholder: "file", help: "write the container's ID to a file" },
    format: {
      ...FORMAT_FLAG,
      short: "f",
      help: "without effect, as in Buildah: --format of commit decides",
    },
    name: { type: "string", placeholder: "name", help: "name of the working container" },
    quiet: { type: "bool", short: "q", help: "no progress while the image is brought" },
  },
  unsupported: [...UNSUPPORTED_RUN_FLAGS, ...UNSUPPORTED_HOST_FLAGS, "decryption-key"],
  details: [
    "IMAGE is the name or ID of an image in the store, `scratch` for an empty container, or the place of an image: oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME, containers-storage:NAME. The container's name is printed.",
  ],
  examples: [
    "cooper from scratch",
    "cooper from --name work localhost/debian",
    "cooper from oci-archive:debian.tar",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    formatOf(flags.format);
    const run = runSettings(flags);
    const platform = platformOf(flags);
    const pull = pullPolicyOf(flags);
    const { from } = await api();
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const container = await from(await store(), args[0]!, {
      ...registryOptions(flags, given),
      run,
      signal,
      onEvent: progress.onEvent,
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(platform === undefined ? {} : { platform }),
      ...(pull === undefined ? {} : { pull }),
    });
    if (flags.cidfile !== undefined) writeIdFile(flags.cidfile, container.id);
    progress.end();
    writeOut(`${container.name}\n`);
    return 0;
  },
});
