import { CooperError } from "../../base/errors.ts";
import { defineCommand, onContainer } from "../command.ts";
import { forEachItem } from "../each.ts";
import { writeOut } from "../output.ts";

/** buildah-umount(1) */
export const command = defineCommand({
  name: "umount",
  aliases: ["unmount"],
  summary: "Unmount the root file systems of working containers",
  usage: "CONTAINER… | --all",
  args: { max: Number.POSITIVE_INFINITY },
  flags: {
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
    await forEachItem(names, signal, async (name) => {
      const container = await openContainer(opened, name);
      if (await container.umount()) writeOut(`${container.id}\n`);
    });
    return 0;
  },
});
