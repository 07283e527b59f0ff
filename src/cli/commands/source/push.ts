import { defineCommand } from "../../command.ts";
import { writeIdFile } from "../../id-file.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { REGISTRY_FLAGS, registryOptions, RETRY_FLAGS } from "../../registry-flags.ts";

/** buildah-source-push(1) */
export const command = defineCommand({
  name: "source push",
  summary: "Send a source image to a registry",
  usage: "PATH NAME",
  args: { min: 2, max: 2, missing: "A source image and a name in a registry must be given" },
  flags: {
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    digestfile: { type: "string", placeholder: "file", help: "write the digest of the manifest to a file" },
    quiet: { type: "bool", short: "q", help: "no progress" },
  },
  examples: ["cooper source push hello-source registry.example.com/hello:1.0-source"],
  async run({ args, flags, given, signal, globals, api }) {
    const [path, name] = args as [string, string];
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const { pushSource } = await api();
    const options = { ...registryOptions(flags, given), signal, onEvent: progress.onEvent };
    const digest = await pushSource(path, name, options);
    progress.end();
    if (flags.digestfile !== undefined) writeIdFile(flags.digestfile, digest);
    return 0;
  },
});
