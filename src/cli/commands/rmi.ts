import { CooperError } from "../../base/errors.ts";
import { defineCommand, onStore } from "../command.ts";
import { forEachItem } from "../each.ts";
import { JSON_FLAG, withRemoved, writeRemoved } from "../json-flag.ts";

/** buildah-rmi(1) */
export const command = defineCommand({
  name: "rmi",
  summary: "Remove images from the store",
  usage: "IMAGE… | --all | --prune",
  args: { max: Number.POSITIVE_INFINITY },
  flags: {
    ...JSON_FLAG,
    all: { type: "bool", short: "a", help: "remove every image" },
    force: {
      type: "bool",
      short: "f",
      help: "remove containers that use the image too, and all of its names",
    },
    prune: { type: "bool", short: "p", help: "remove images without a name that nothing uses" },
  },
  details: ["A name is taken from its image; the image goes with its last name."],
  examples: ["cooper rmi localhost/hello", "cooper rmi --all --force", "cooper rmi --prune"],
  namespace: onStore,
  async run({ args, flags, signal, api, store }) {
    if (flags.all && flags.prune)
      throw new CooperError("usage", "Only one of --all and --prune can be given");
    if ((flags.all || flags.prune) && args.length > 0) {
      throw new CooperError("usage", `With --${flags.all ? "all" : "prune"} no images can be named`);
    }
    if (!flags.all && !flags.prune && args.length === 0)
      throw new CooperError("usage", "An image must be named");
    const { listImages, pruneImages, removeImage } = await api();
    const opened = await store();
    if (flags.prune) {
      const { untagged, images } = await pruneImages(opened, { keepCache: true });
      writeRemoved(flags.json, [{ untagged, deleted: images }]);
      return 0;
    }
    // Name by name: an image with several names is only removed by its id with --force.
    const named = flags.all
      ? (await listImages(opened)).map(({ id, names }) => (names.length === 0 ? [id] : names))
      : args.map((image) => [image]);
    await withRemoved(flags.json, (done) =>
      forEachItem(named, signal, async (names) => {
        for (const name of names) done(await removeImage(opened, name, { force: flags.force }));
      }),
    );
    return 0;
  },
});
