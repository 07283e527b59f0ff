/** The state that the instructions of a stage change one after the other while the stage is resolved. */
import type { Location } from "../base/errors.ts";
import { expandWord, expandWords } from "../dockerfile/expand.ts";
import type { EscapeToken, Warning } from "../dockerfile/instruction.ts";
import type { ContainerConfig } from "../oci/types.ts";
import { ruleCounts } from "./check-options.ts";
import type { EnvList } from "./env-list.ts";
import type { NameTable } from "./origins.ts";
import type { CheckOptions } from "./types.ts";

export interface StageWalk {
  /** Replaced, never changed: every step keeps its own. */
  config: ContainerConfig;
  author: string | undefined;
  /** ENV and ARG. */
  env: EnvList;
  args: { name: string; value: string | undefined }[];
  escapeToken: EscapeToken;
  table: NameTable;
  /** What ARG takes over from before FROM. */
  globalArgs: Readonly<Record<string, string>>;
  buildArgs: Readonly<Record<string, string>>;
  proxyEnv: string[];
  /** A CMD of this stage survives an ENTRYPOINT; an inherited one does not. */
  cmdSet: boolean;
  /** Instructions that count once, and WORKDIR, with the place where each was seen last. */
  seen: Map<string, Location>;
  warnings: Warning[];
  checks: CheckOptions;
  /** Comments above the current instruction, which may skip checks. */
  comments: readonly string[];
  /** Variables that the current instruction referred to and that are not set. */
  unset: Set<string>;
  /** RUN leaves what is below volumes as it is. */
  compatVolumes: boolean;
}

/** Where an instruction's expansion takes its values; a name that is not set is noted for the warning. */
function lookup(walk: StageWalk): (name: string) => string | undefined {
  return (name) => {
    const value = walk.env.get(name);
    if (value === undefined) walk.unset.add(name);
    return value;
  };
}

/** One word, as in most positions. Throws `invalid`. */
export function expandIn(walk: StageWalk, text: string): string {
  return expandWord(text, lookup(walk), { escapeToken: walk.escapeToken });
}

/** Several words, as in EXPOSE, where BuildKit does not mind names that are not set. Throws `invalid`. */
export function expandListIn(walk: StageWalk, text: string): string[] {
  return expandWords(text, (name) => walk.env.get(name), { escapeToken: walk.escapeToken });
}

/** The body of a here-document: quotes mean nothing in it, and the escape character is always `\`. Throws `invalid`. */
export function expandBodyIn(walk: StageWalk, text: string): string {
  return expandWord(text, lookup(walk), { escapeToken: "\\", ignoreQuotes: true });
}

/** Notes a warning, unless the file or the comments above the instruction skip its rule. */
export function warn(walk: StageWalk, rule: string, message: string, location: Location): void {
  if (ruleCounts(rule, walk.checks, walk.comments)) walk.warnings.push({ rule, message, location });
}
