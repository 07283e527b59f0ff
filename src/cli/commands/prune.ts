import { CooperError } from "../../base/errors.ts";
import type { PruneOptions } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { writeErr, writeOut } from "../output.ts";
import { formatSize, parseBytes, parseMoment } from "../units.ts";

/** buildah-prune(1), with podman's --filter */
export const command = defineCommand({
  name: "prune",
  summary: "Remove images without a name and the build cache",
  usage: "",
  flags: {
    all: { type: "bool", short: "a", help: "remove every image that no container comes from" },
    filter: {
      type: "list",
      placeholder: "name=value",
      help: "until=TIME (made, or last used, before a time or longer ago than 24h), label=KEY[=VALUE]",
    },
    force: { type: "bool", short: "f", help: "also containers that come from these images" },
    json: { type: "bool", help: "print JSON" },
    "keep-storage": {
      type: "string",
      placeholder: "size",
      help: "shrink the build cache to this size, as 10g, instead of emptying it: what was used longest ago goes first",
    },
    quiet: { type: "bool", short: "q", help: "names and IDs only, no summary" },
  },
  details: [
    "Names and IDs of what was removed are printed, and on the standard error how much room it made. What running builds use stays. With a label the build cache stays. What images use is no part of the cache.",
  ],
  examples: ["cooper prune", "cooper prune --all --filter until=168h", "cooper prune --keep-storage 10g"],
  namespace: onStore,
  async run({ flags, api, store }) {
    const options: PruneOptions = { all: flags.all, force: flags.force, ...filtersOf(flags.filter) };
    const keep = flags["keep-storage"];
    if (keep !== undefined) options.keepCacheBytes = parseBytes(keep, "--keep-storage");
    const { pruneImages } = await api();
    const result = await pruneImages(await store(), options);
    if (flags.json) {
      writeOut(`${JSON.stringify(result, undefined, 4)}\n`);
      return 0;
    }
    for (const name of result.containers) writeOut(`${name}\n`);
    for (const name of result.untagged) writeOut(`untagged: ${name}\n`);
    for (const id of result.images) writeOut(`${id}\n`);
    if (!flags.quiet) {
      const steps = result.cacheEntries === 1 ? "1 cached step" : `${result.cacheEntries} cached steps`;
      writeErr(
        `Removed ${result.images.length} images, ${steps}; reclaimed ${formatSize(result.reclaimedBytes)}\n`,
      );
    }
    return 0;
  },
});

function filtersOf(filters: string[]): PruneOptions {
  const options: PruneOptions = {};
  for (const filter of filters) {
    const at = filter.indexOf("=");
    const [name, value] = [filter.slice(0, at), filter.slice(at + 1)];
    if (at > 0 && name === "until") options.until = parseMoment(value, "--filter until");
    else if (at > 0 && name === "label") options.labels = [...(options.labels ?? []), value];
    else {
      throw new CooperError("usage", `Unsupported filter ${JSON.stringify(filter)}`, {
        hint: "use until=TIME or label=KEY[=VALUE]",
      });
    }
  }
  return options;
}
