/** ARGs before the first FROM, and the platform arguments that are always there (Dockerfile reference, "ARG"). */
import { locateError } from "../base/errors.ts";
import { expandWord } from "../dockerfile/expand.ts";
import type { ArgInstruction, EscapeToken } from "../dockerfile/instruction.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { Platform } from "../oci/types.ts";
import { EnvList } from "./env-list.ts";

export interface ArgSources {
  buildArgs: Readonly<Record<string, string>>;
  platform: Platform;
  buildPlatform: Platform;
  /** Name of the stage that is built; "default" when it has none. */
  targetStage: string;
}

/** TARGETPLATFORM, BUILDPLATFORM, their parts, and TARGETSTAGE; a build arg of the name replaces each. */
export function platformArgs(sources: ArgSources): EnvList {
  const args = new EnvList();
  const set = (name: string, value: string | undefined) =>
    args.set(name, sources.buildArgs[name] ?? value ?? "");
  for (const [prefix, platform] of [
    ["BUILD", sources.buildPlatform],
    ["TARGET", sources.platform],
  ] as const) {
    set(`${prefix}PLATFORM`, formatPlatform(platform));
    set(`${prefix}OS`, platform.os);
    set(`${prefix}OSVERSION`, platform["os.version"]);
    set(`${prefix}ARCH`, platform.architecture);
    set(`${prefix}VARIANT`, platform.variant);
  }
  set("TARGETSTAGE", sources.targetStage);
  return args;
}

/** The same with the ARGs before FROM: a build arg beats the default, which may refer to what stands before it. */
export function globalArgs(
  instructions: ArgInstruction[],
  sources: ArgSources,
  escapeToken: EscapeToken,
): EnvList {
  const values = platformArgs(sources);
  for (const instruction of instructions) {
    for (const { name, value } of instruction.args) {
      const given = Object.hasOwn(sources.buildArgs, name) ? sources.buildArgs[name] : undefined;
      if (given !== undefined) values.set(name, given);
      else if (value !== undefined) values.set(name, expandDefault(value, values, escapeToken, instruction));
    }
  }
  return values;
}

function expandDefault(
  value: string,
  values: EnvList,
  escapeToken: EscapeToken,
  instruction: ArgInstruction,
): string {
  try {
    return expandWord(value, (name) => values.get(name), { escapeToken });
  } catch (error) {
    throw locateError(error, instruction.location);
  }
}
