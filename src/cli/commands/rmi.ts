import { CooperError } from "../../base/errors.ts";
import type { Store } from "../../index.ts";
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
    const calls = await api();
    const { listImages, pruneImages, removeImage } = calls;
    const opened = await store();
    if (flags.prune) {
      const { untagged, images } = await pruneImages(opened, { keepCache: true });
      writeRemoved(flags.json, { untagged, deleted: images });
      return 0;
    }
    // Name by name: an image with several names is only removed by its id with --force.
    const named = flags.all
      ? (await listImages(opened)).map(({ id, names }) => (names.length === 0 ? [id] : names))
      : args.map((image) => [image]);
    await withRemoved(flags.json, (done) =>
      forEachItem(named, signal, async (names) => {
        for (const name of names) {
          const removal = await removeImage(opened, name, { force: flags.force });
          done(removal);
          if (flags.force) await removeContainers(calls, opened, removal.deleted);
        }
      }),
    );
    return 0;
  },
});

/** Those that stand on the images. */
async function removeContainers(
  { listContainers, openContainer }: typeof import("../../index.ts"),
  store: Store,
  images: string[],
): Promise<void> {
  if (images.length === 0) return;
  for (const { id, imageId } of await listContainers(store))
    if (imageId !== undefined && images.includes(imageId)) await (await openContainer(store, id)).remove();
}
