import { CooperError } from "../../base/errors.ts";
import { defineCommand, onContainer } from "../command.ts";
import { forEachItem } from "../each.ts";
import { JSON_FLAG, withResults } from "../json-flag.ts";

/** buildah-umount(1) */
export const command = defineCommand({
  name: "umount",
  aliases: ["unmount"],
  summary: "Unmount the root file systems of working containers",
  usage: "CONTAINER… | --all",
  args: { max: Number.POSITIVE_INFINITY },
  flags: {
    ...JSON_FLAG,
    all: { type: "bool", short: "a", help: "unmount every container that is mounted" },
  },
  examples: ["cooper umount work", "cooper umount --all"],
  namespace: onContainer,
  async run({ args, flags, signal, api, store }) {
    if (flags.all && args.length > 0) throw new CooperError("usage", "With --all no containers can be named");
    if (!flags.all && args.length === 0)
      throw new CooperError("usage", "At least one container must be named");
    const { listContainers, openContainer } = await api();
    const opened = await store();
    const names = flags.all
      ? (await listContainers(opened)).flatMap(({ id, mountPoint }) => (mountPoint === undefined ? [] : [id]))
      : args;
    await withResults(flags.json, (done) =>
      forEachItem(names, signal, async (name) => {
        const container = await openContainer(opened, name);
        if (await container.umount()) done(container.id);
      }),
    );
    return 0;
  },
});
