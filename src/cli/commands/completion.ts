import { CooperError } from "../../base/errors.ts";
import { loadAllCommands } from "../catalog.ts";
import { defineCommand } from "../command.ts";
import { bashCompletion, completedCommands, fishCompletion, zshCompletion } from "../completion.ts";
import { GLOBAL_FLAGS } from "../global-flags.ts";
import { writeOut } from "../output.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

export const command = defineCommand({
  name: "completion",
  summary: "Print a script that completes command lines in a shell",
  usage: "bash|zsh|fish",
  args: { min: 1, max: 1, missing: "A shell must be named: bash, zsh or fish" },
  flags: {},
  details: [
    "In bash: source <(cooper completion bash), or keep the output as /etc/bash_completion.d/cooper. In zsh: keep it as _cooper in a directory of $fpath, or source it. In fish: keep it as ~/.config/fish/completions/cooper.fish.",
  ],
  examples: ["cooper completion bash", "cooper completion fish"],
  async run({ args }) {
    const shell = args[0]!;
    if (!Object.hasOwn(SHELLS, shell)) {
      throw new CooperError("usage", `There is no completion for the shell ${JSON.stringify(shell)}`, {
        hint: "bash, zsh and fish are there",
      });
    }
    const commands = await completedCommands(await loadAllCommands());
    writeOut(SHELLS[shell as keyof typeof SHELLS]("cooper", commands, GLOBAL_FLAGS));
    return 0;
  },
});
