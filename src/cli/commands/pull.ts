import type { ImageInfo, PullOptions } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { PLATFORM_FLAGS, parsePullPolicy, platformOf } from "../image-flags.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";
import { openProgress, showsWarnings } from "../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../registry-flags.ts";

/** buildah-pull(1) */
export const command = defineCommand({
  name: "pull",
  summary: "Bring an image into the store",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: "An image must be named" },
  flags: {
    ...PLATFORM_FLAGS,
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    ...JSON_FLAG,
    "all-tags": { type: "bool", short: "a", help: "every tag of the repository; IMAGE has none then" },
    policy: {
      type: "string",
      placeholder: "missing|always|newer|never",
      default: "missing",
      help: "missing (what the store has under that name will do), always, newer or never",
    },
    quiet: { type: "bool", short: "q", help: "no progress" },
    "remove-signatures": { type: "bool", help: "without effect: Cooper copies none" },
  },
  unsupported: ["decryption-key"],
  details: [
    "IMAGE is oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME (a Docker engine), containers-storage:NAME (Podman), or a name in a registry, docker://NAME for one that is a name only. The image's ID is printed, with --all-tags each ID once.",
  ],
  examples: [
    "cooper pull registry.example.com/team/app:1.0",
    "cooper pull --policy always registry.example.com/team/app:latest",
    "cooper pull --all-tags registry.example.com/team/app",
    "cooper pull oci-archive:debian.tar",
    "cooper pull -q docker-archive:hello.tar:hello:1.0",
    "cooper pull docker-daemon:hello:1.0",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    const platform = platformOf(flags);
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const options: PullOptions = {
      ...registryOptions(flags, given),
      signal,
      onEvent: progress.onEvent,
      policy: parsePullPolicy(flags.policy!, "--policy"),
    };
    if (platform !== undefined) options.platform = platform;
    const { pull, pullAll } = await api();
    if (flags["all-tags"]) {
      const images = await pullAll(await store(), args[0]!, options);
      progress.end();
      writeResult(flags.json, images.map(pulled), [...new Set(images.map(({ id }) => id))]);
      return 0;
    }
    const image = await pull(await store(), args[0]!, options);
    progress.end();
    writeResult(flags.json, pulled(image), [image.id]);
    return 0;
  },
});

function pulled({ id, names, digest }: ImageInfo) {
  return { imageId: id, names, digest };
}
