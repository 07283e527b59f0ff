import { CooperError } from "../../base/errors.ts";
import { defineCommand, onContainer } from "../command.ts";
import { forEachItem } from "../each.ts";
import { JSON_FLAG, withResults } from "../json-flag.ts";

/** buildah-rm(1) */
export const command = defineCommand({
  name: "rm",
  aliases: ["delete"],
  summary: "Remove working containers, unmounting them if necessary",
  usage: "CONTAINER… | --all",
  args: { max: Number.POSITIVE_INFINITY },
  flags: {
    ...JSON_FLAG,
    all: { type: "bool", short: "a", help: "remove every working container" },
  },
  examples: ["cooper rm work", "cooper rm --all"],
  namespace: onContainer,
  async run({ args, flags, signal, api, store }) {
    if (flags.all && args.length > 0) throw new CooperError("usage", "With --all no containers can be named");
    if (!flags.all && args.length === 0) throw new CooperError("usage", "A container must be named");
    const { listContainers, openContainer } = await api();
    const opened = await store();
    const names = flags.all ? (await listContainers(opened)).map(({ id }) => id) : args;
    await withResults(flags.json, (done) =>
      forEachItem(names, signal, async (name) => {
        const container = await openContainer(opened, name);
        await container.remove();
        done(container.id);
      }),
    );
    return 0;
  },
});
