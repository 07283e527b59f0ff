import { isTerminal } from "../../base/terminals.ts";
import { CooperError } from "../../base/errors.ts";
import { defineCommand, onContainer } from "../command.ts";
import { warningsTo } from "../progress.ts";

/** Cooper's own. */
export const command = defineCommand({
  name: "enter",
  summary: "Open a shell in a working container",
  usage: "CONTAINER",
  args: { min: 1, max: 1, missing: "A container must be named" },
  flags: {
    user: {
      type: "string",
      placeholder: "user[:group]",
      help: "whose shell, in place of the container's user",
    },
    workingdir: {
      type: "string",
      placeholder: "dir",
      help: "where it starts, in place of the container's directory",
    },
  },
  details: [
    "The shell is the container's own bash or sh; where it has none, a static busybox of the host is lent to it for that time. What is changed stays. On a terminal the shell has one; otherwise it reads commands from standard input. The exit status is the shell's.",
  ],
  examples: ["cooper enter work", "cooper enter --user root work"],
  namespace: onContainer,
  async run({ args, flags, globals, signal, api, store }) {
    const { openContainer } = await api();
    const container = await openContainer(await store(), args[0]!);
    const { exitCode } = await container.shell({
      inherit: true,
      terminal: isTerminal(0) && isTerminal(1),
      onEvent: warningsTo(globals.logLevel),
      signal,
      ...(flags.user === undefined ? {} : { user: flags.user }),
      ...(flags.workingdir === undefined ? {} : { workingDir: flags.workingdir }),
    });
    if (exitCode === 0) return 0;
    const message = `The shell in ${container.name} ended with exit status ${exitCode}`;
    throw new CooperError("run-failed", message, { exitCode });
  },
});
