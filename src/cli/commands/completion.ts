import { CooperError } from "../../base/errors.ts";
import { defineCommand } from "../command.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "../completion.ts";
import { writeOut } from "../output.ts";
import { PROGRAM } from "../version.ts";

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
  run({ args }) {
    const shell = args[0]!;
    if (!Object.hasOwn(SHELLS, shell)) {
      throw new CooperError("usage", `There is no completion for the shell ${JSON.stringify(shell)}`, {
        hint: "bash, zsh and fish are there",
      });
    }
    writeOut(SHELLS[shell as keyof typeof SHELLS](PROGRAM));
    return 0;
  },
});
