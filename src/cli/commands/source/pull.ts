import { defineCommand } from "../../command.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { REGISTRY_FLAGS, registryOptions, RETRY_FLAGS } from "../../registry-flags.ts";

/** buildah-source-pull(1) */
export const command = defineCommand({
  name: "source pull",
  summary: "Bring a source image from a registry",
  usage: "NAME PATH",
  args: { min: 2, max: 2, missing: "A name in a registry and a path must be given" },
  flags: {
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    quiet: { type: "bool", short: "q", help: "no progress" },
  },
  details: [
    "PATH is a directory that is made; nothing may be there. An image that is no source image is refused.",
  ],
  examples: ["cooper source pull registry.example.com/hello:1.0-source hello-source"],
  async run({ args, flags, given, signal, globals, api }) {
    const [name, path] = args as [string, string];
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const { pullSource } = await api();
    await pullSource(name, path, { ...registryOptions(flags, given), signal, onEvent: progress.onEvent });
    progress.end();
    return 0;
  },
});
