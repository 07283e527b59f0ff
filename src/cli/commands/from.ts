import { CooperError } from "../../base/errors.ts";
import { defineCommand, onStore } from "../command.ts";
import { writeIdFile } from "../id-file.ts";
import {
  FORMAT_FLAG,
  formatOf,
  PLATFORM_FLAGS,
  PULL_FLAGS,
  platformOf,
  pullPolicyOf,
} from "../image-flags.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";
import { openProgress, showsWarnings } from "../progress.ts";
import { scriptProcess } from "../script-process.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../registry-flags.ts";
import { HOST_FLAGS, RUN_FLAGS, runSettings } from "../run-flags.ts";

/** buildah-from(1) */
export const command = defineCommand({
  name: "from",
  summary: "Create a working container from an image or from scratch",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: 'An image name (or "scratch") must be given' },
  flags: {
    ...RUN_FLAGS,
    ...HOST_FLAGS,
    ...PLATFORM_FLAGS,
    ...PULL_FLAGS,
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    ...JSON_FLAG,
    cidfile: { type: "string", placeholder: "file", help: "write the container's ID to a file" },
    format: {
      ...FORMAT_FLAG,
      short: "f",
      help: "without effect, as in Buildah: --format of commit decides",
    },
    name: { type: "string", placeholder: "name", help: "name of the working container" },
    "rm-on-exit": {
      type: "string",
      bare: "script",
      placeholder: "pid",
      help: "remove the container when the script that runs this has ended, or the process of that number",
    },
    quiet: { type: "bool", short: "q", help: "no progress while the image is brought" },
  },
  unsupported: ["decryption-key"],
  details: [
    "IMAGE is the name or ID of an image in the store, `scratch` for an empty container, or the place of an image: oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME, containers-storage:NAME. The container's name is printed.",
    "With --rm-on-exit a script needs no trap: the container is removed within about a second of the end of the shell that runs this command, also when that is killed. The lines of a Makefile's recipe are shells of their own: name a process that lasts there (--rm-on-exit=PID).",
  ],
  examples: [
    "cooper from scratch",
    "cooper from --name work localhost/debian",
    "cooper from oci-archive:debian.tar",
    "work=$(cooper from --rm-on-exit localhost/debian)",
    "cooper from --userns-uid-map 0:100000:65536 localhost/debian",
    "cooper from --userns auto localhost/debian",
  ],
  namespace: onStore,
  async run({ args, flags, given, signal, globals, api, store }) {
    formatOf(flags.format);
    const run = runSettings(flags, given, globals.defaultMaps);
    const platform = platformOf(flags);
    const pull = pullPolicyOf(flags);
    const removeWith = flags["rm-on-exit"] === undefined ? undefined : processOf(flags["rm-on-exit"]);
    const { from } = await api();
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const container = await from(await store(), args[0]!, {
      ...registryOptions(flags, given),
      run,
      signal,
      onEvent: progress.onEvent,
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(removeWith === undefined ? {} : { removeWith }),
      ...(platform === undefined ? {} : { platform }),
      ...(pull === undefined ? {} : { pull }),
    });
    if (flags.cidfile !== undefined) writeIdFile(flags.cidfile, container.id);
    progress.end();
    writeResult(flags.json, { id: container.id, name: container.name }, [container.name]);
    return 0;
  },
});

function processOf(text: string): number {
  if (text === "script") return scriptProcess();
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new CooperError("usage", `Cannot read --rm-on-exit ${JSON.stringify(text)}`, {
    hint: "give the number of a process, as in --rm-on-exit=$$, or nothing",
  });
}
