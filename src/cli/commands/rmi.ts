import { CooperError } from "../../base/errors.ts";
import { defineCommand, onStore } from "../command.ts";
import { forEachItem } from "../each.ts";
import { writeOut } from "../output.ts";

/** buildah-rmi(1) */
export const command = defineCommand({
  name: "rmi",
  summary: "Remove images from the store",
  usage: "IMAGE… | --all | --prune",
  args: { max: Number.POSITIVE_INFINITY },
  flags: {
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
      for (const name of untagged) writeOut(`untagged: ${name}\n`);
      for (const id of images) writeOut(`${id}\n`);
      return 0;
    }
    const remove = async (image: string) => {
      const { untagged, deleted } = await removeImage(opened, image, { force: flags.force });
      for (const name of untagged) writeOut(`untagged: ${name}\n`);
      for (const id of deleted) writeOut(`${id}\n`);
    };
    if (!flags.all) {
      await forEachItem(args, signal, remove);
      return 0;
    }
    // Name by name: an image with several names is only removed by its id with --force.
    await forEachItem(await listImages(opened), signal, async ({ id, names }) => {
      for (const name of names.length === 0 ? [id] : names) await remove(name);
    });
    return 0;
  },
});
