/** BuildKit's build checks that concern single instructions of a stage. Names of rules are BuildKit's. */
import { nearName } from "../dockerfile/suggest.ts";
import type { ArgInstruction, EnvInstruction, Instruction } from "../dockerfile/instruction.ts";
import { type StageWalk, warn } from "./stage-walk.ts";

/** Before the instruction takes effect. */
export function checkInstruction(walk: StageWalk, instruction: Instruction): void {
  const { location } = instruction;
  switch (instruction.kind) {
    case "maintainer":
      warn(
        walk,
        "MaintainerDeprecated",
        "Maintainer instruction is deprecated in favor of using label",
        location,
      );
      return;
    case "env":
      checkSecretNames(walk, instruction, instruction.pairs);
      checkLegacy(walk, instruction.pairs, instruction);
      return;
    case "label":
      checkLegacy(walk, instruction.pairs, instruction);
      return;
    case "arg":
      checkSecretNames(walk, instruction, instruction.args);
      return;
    case "cmd":
    case "entrypoint": {
      const { keyword } = instruction;
      if (instruction.command.form === "shell" && (walk.config.Shell ?? []).length === 0) {
        const message = `JSON arguments recommended for ${keyword} to prevent unintended behavior related to OS signals`;
        warn(walk, "JSONArgsRecommended", message, location);
      }
      checkOnce(walk, instruction);
      return;
    }
    case "healthcheck":
      checkOnce(walk, instruction);
      return;
    default:
  }
}

/** The first WORKDIR of the file, expanded: a relative one depends on the base image. */
export function checkWorkdir(walk: StageWalk, path: string, instruction: Instruction): void {
  const first = !walk.seen.has("workdir");
  walk.seen.set("workdir", instruction.location);
  if (!first || path.startsWith("/")) return;
  const message = `Relative workdir "${path}" can have unexpected results if the base image changes`;
  warn(walk, "WorkdirRelativePath", message, instruction.location);
}

function checkLegacy(walk: StageWalk, pairs: { legacy: boolean }[], instruction: Instruction): void {
  if (!pairs.some((pair) => pair.legacy)) return;
  const { keyword } = instruction;
  const message = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
  warn(walk, "LegacyKeyValueFormat", message, instruction.location);
}

/** The last one counts; an earlier one was written for nothing, and is what is reported. */
function checkOnce(walk: StageWalk, instruction: Instruction): void {
  const { keyword, kind, location } = instruction;
  const earlier = walk.seen.get(kind);
  if (earlier !== undefined) {
    const message = `Multiple ${keyword} instructions should not be used in the same stage because only the last one will be used`;
    warn(walk, "MultipleInstructionsDisallowed", message, earlier);
  }
  walk.seen.set(kind, location);
}

const SECRET_WORD =
  /(?:^|_)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const HARMLESS_WORD = /(?:^|_)(?:public|file|version)(?:_|$)/i;

function checkSecretNames(
  walk: StageWalk,
  instruction: ArgInstruction | EnvInstruction,
  names: { name: string }[],
): void {
  for (const { name } of names) {
    if (!SECRET_WORD.test(name) || HARMLESS_WORD.test(name)) continue;
    const keyword = instruction.kind.toUpperCase();
    const message = `Do not use ARG or ENV instructions for sensitive data (${keyword} "${name}")`;
    warn(walk, "SecretsUsedInArgOrEnv", message, instruction.location);
  }
}

/** After the instruction was expanded: the names that it referred to and that nobody set. */
export function checkUnset(walk: StageWalk, instruction: Instruction): void {
  const declared = new Set(walk.args.map((arg) => arg.name));
  for (const name of walk.unset) {
    if (declared.has(name)) continue;
    const near = nearName(name, walk.env.names(), false);
    const suggestion = near === undefined ? "" : ` (did you mean $${near}?)`;
    warn(walk, "UndefinedVar", `Usage of undefined variable '$${name}'${suggestion}`, instruction.location);
  }
  walk.unset.clear();
}
