/** `copy` and `add`: one shape, two verbs. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { CooperError } from "../base/errors.ts";
import type { CopyOptions } from "../index.ts";
import { type Command, defineCommand, onContainer } from "./command.ts";
import { HISTORY_FLAG, noteSteps } from "./history-flag.ts";
import { JSON_FLAG, writeResult } from "./json-flag.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "./registry-flags.ts";

/** What Docker's histories call it. */
function contentKind(sources: string[], { from, contextDir }: CopyOptions): "file" | "dir" | "multi" {
  const [only, ...others] = sources as [string, ...string[]];
  if (others.length > 0) return "multi";
  if (from !== undefined) return "file";
  return statSync(resolve(contextDir ?? ".", only), { throwIfNoEntry: false })?.isDirectory()
    ? "dir"
    : "file";
}

/** buildah-copy(1) and buildah-add(1) */
export function copyCommand(
  verb: "copy" | "add",
  summary: string,
  details: string[],
  examples: string[],
): Command {
  return defineCommand({
    name: verb,
    summary,
    usage: "CONTAINER SOURCE… [DESTINATION]",
    args: { min: 1, max: Number.POSITIVE_INFINITY, missing: "A container must be named" },
    flags: {
      ...REGISTRY_FLAGS,
      ...RETRY_FLAGS,
      ...HISTORY_FLAG,
      ...JSON_FLAG,
      checksum: {
        type: "string",
        placeholder: "digest",
        help: "what a downloaded source must hash to (sha256:…)",
      },
      chmod: {
        type: "string",
        placeholder: "mode",
        help: "permissions of everything that is copied, in octal",
      },
      chown: {
        type: "string",
        placeholder: "user[:group]",
        help: "owner of everything that is copied; names are the container's",
      },
      contextdir: {
        type: "string",
        placeholder: "dir",
        help: "sources are relative to this directory and may not leave it",
      },
      exclude: { type: "commaList", placeholder: "pattern", help: "leave out what matches" },
      from: {
        type: "string",
        placeholder: "container|image",
        help: "copy from a container or image in place of the host",
      },
      ignorefile: {
        type: "string",
        placeholder: "file",
        help: "a file of patterns to leave out, as .dockerignore has them",
      },
      link: {
        type: "bool",
        help: "make a layer of its own of it, on top of all else when the container is committed; the container does not show it",
      },
      parents: { type: "bool", help: "keep the sources' parent directories" },
      quiet: { type: "bool", short: "q", help: "do not print the digest of what was copied" },
      timestamp: {
        type: "int",
        placeholder: "seconds",
        help: "time since 1970 for everything that is copied",
      },
    },
    unsupported: ["decryption-key"],
    details,
    examples,
    namespace: (args, { from }) => ({
      ...onContainer(args),
      ...(from === undefined ? {} : { source: from }),
    }),
    async run({ args, flags, given, signal, api, store }) {
      const [name, ...paths] = args as [string, ...string[]];
      if (paths.length === 0) throw new CooperError("usage", "A source must be given");
      if (flags.ignorefile !== undefined && flags.contextdir === undefined) {
        throw new CooperError("usage", "--ignorefile needs --contextdir");
      }
      if (flags.from !== undefined && flags.contextdir !== undefined)
        throw new CooperError("usage", "Only one of --from and --contextdir can be given");
      const options: CopyOptions = { ...registryOptions(flags, given), signal };
      if (flags.checksum !== undefined) options.checksum = flags.checksum;
      if (flags.chmod !== undefined) options.chmod = flags.chmod;
      if (flags.chown !== undefined) options.chown = flags.chown;
      if (flags.contextdir !== undefined) options.contextDir = flags.contextdir;
      if (flags.exclude.length > 0) options.exclude = flags.exclude;
      if (flags.from !== undefined) options.from = flags.from;
      if (flags.ignorefile !== undefined) options.ignoreFile = flags.ignorefile;
      if (flags.timestamp !== undefined) options.timestamp = flags.timestamp;
      if (flags.parents) options.parents = true;
      if (flags.link) options.link = true;
      // One path is a source for the working directory; the last of several is the destination.
      const destination = paths.length === 1 ? undefined : paths.pop();
      const { openContainer } = await api();
      const container = await openContainer(await store(), name);
      const digest = await container[verb](paths, destination, options);
      const hash = digest.replace(/^sha256:/, "");
      // A layer of its own tells of itself.
      if (flags["add-history"] && !flags.link)
        await noteSteps(container, [`${verb.toUpperCase()} ${contentKind(paths, options)}:${hash}`]);
      if (!flags.quiet || flags.json) writeResult(flags.json, { digest }, [hash]);
      return 0;
    },
  });
}
