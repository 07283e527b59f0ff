import { defineCommand } from "../command.ts";
import { forEachItem } from "../each.ts";
import { goJson } from "../go-value.ts";
import { writeOut } from "../output.ts";

/** buildah-mount(1) */
export const command = defineCommand({
  name: "mount",
  summary: "Mount a working container's root file system and print its path",
  usage: "[CONTAINER…]",
  args: { max: Number.POSITIVE_INFINITY },
  flags: {
    json: { type: "bool", help: "print a JSON list of containers and their paths" },
  },
  details: [
    "Without arguments, lists the containers that are mounted. An ordinary user may mount too, without `cooper unshare`: the path leads into a namespace that belongs to the user, and files written there are root's in the container.",
    "Tools that resolve the path before they use it (npm, rsync, git clone, realpath) find a directory that refuses everything, and say so. Run these with `cooper unshare --mount`, which has no such paths.",
  ],
  examples: [
    "cooper mount",
    "cooper mount debian-working-container",
    'make install DESTDIR="$(cooper mount work)"',
  ],
  namespace: (args) => (args[0] === undefined ? undefined : { container: args[0] }),
  async run({ args, flags, signal, api, store }) {
    const { listContainers, openContainer } = await api();
    const opened = await store();
    const mounted: { container: string; mountPoint: string }[] = [];
    const print = () => {
      if (flags.json) writeOut(`${goJson(mounted, 4)}\n`);
    };
    if (args.length === 0) {
      for (const { name, mountPoint } of await listContainers(opened)) {
        if (mountPoint === undefined) continue;
        if (flags.json) mounted.push({ container: name, mountPoint });
        else writeOut(`${name} ${mountPoint}\n`);
      }
      print();
      return 0;
    }
    await forEachItem(args, signal, async (name) => {
      const mountPoint = await (await openContainer(opened, name)).mount();
      if (flags.json) mounted.push({ container: name, mountPoint });
      else writeOut(args.length === 1 ? `${mountPoint}\n` : `${name} ${mountPoint}\n`);
    });
    print();
    return 0;
  },
});
