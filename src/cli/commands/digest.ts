import { defineCommand } from "../command.ts";
import { PLATFORM_FLAGS, platformOf } from "../image-flags.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";
import { warningsTo } from "../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../registry-flags.ts";

export const command = defineCommand({
  name: "digest",
  summary: "Print the digest of an image, wherever it is",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: "An image must be named" },
  flags: { ...PLATFORM_FLAGS, ...REGISTRY_FLAGS, ...RETRY_FLAGS, ...JSON_FLAG },
  details: [
    "IMAGE is one of the store, one in a registry, or oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME, containers-storage:NAME. Of a list it is the list's digest, or with --platform that of one of its images. No layer is read.",
  ],
  examples: [
    "cooper digest localhost/hello",
    "cooper digest --platform linux/arm64 docker://registry.example.com/hello:1.0",
  ],
  async run({ args, flags, given, signal, globals, api, store }) {
    const platform = platformOf(flags);
    const { digestOfReference } = await api();
    const digest = await digestOfReference(args[0]!, {
      ...registryOptions(flags, given),
      ...(platform === undefined ? {} : { platform }),
      store: await store(),
      signal,
      onEvent: warningsTo(globals.logLevel),
    });
    writeResult(flags.json, { digest }, [digest]);
    return 0;
  },
});
