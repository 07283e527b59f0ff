import { CooperError } from "../../base/errors.ts";
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
    policy: { type: "string", placeholder: "policy", help: "always, missing, newer or never" },
    quiet: { type: "bool", short: "q", help: "no progress" },
    "remove-signatures": { type: "bool", help: "without effect: Cooper copies none" },
  },
  unsupported: ["decryption-key"],
  details: [
    "IMAGE is oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME (a Docker engine), containers-storage:NAME (Podman), or a name in a registry, docker://NAME for one that is a name only. The image's ID is printed, with --all-tags each ID once.",
  ],
  examples: [
    "cooper pull registry.example.com/team/app:1.0",
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
    };
    if (platform !== undefined) options.platform = platform;
    if (flags.policy !== undefined) options.policy = parsePullPolicy(flags.policy, "--policy");
    const { pull, pullAll } = await api();
    if (flags["all-tags"]) {
      if (options.policy !== undefined && options.policy !== "always")
        throw new CooperError("usage", "--all-tags asks the registry: --policy can only be always with it");
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
