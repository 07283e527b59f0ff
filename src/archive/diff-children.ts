/** What a directory of a layer holds, the layer being a stack of overlayfs diff directories. */
import type { BigIntStats } from "node:fs";
import { CooperError, wrapError } from "../base/errors.ts";
import { compareNames, readNames, statusOf } from "../base/path-bytes.ts";
import { isWhiteout, WHITEOUT_PREFIX } from "./whiteouts.ts";

export interface Child {
  name: string;
  /** Which of the directory's sources has it topmost. */
  source: number;
  stat: BigIntStats;
  isWhiteout: boolean;
}

/** Children of a merged directory in their order, whiteouts among them, without what the topmost ones hide. */
export function listChildren(prefix: string, sources: string[]): Child[] {
  const children: Child[] = [];
  const seen = sources.length > 1 ? new Set<string>() : undefined;
  for (const [source, directory] of sources.entries()) {
    for (const name of namesOf(prefix, directory)) {
      if (seen?.has(name)) continue;
      seen?.add(name);
      const path = `${directory}/${name}`;
      const stat = statusOf(path);
      if (stat === undefined)
        throw new CooperError("in-use", `Cannot archive ${prefix}${name}: it vanished meanwhile`);
      const isGone = isWhiteout(stat, path);
      if (name.startsWith(WHITEOUT_PREFIX) && !isGone) {
        throw new CooperError(
          "unsupported",
          `Cannot archive ${prefix}${name}: in a layer such a name marks a deletion`,
          {
            hint: `Rename the file so that it does not begin with ${WHITEOUT_PREFIX}`,
          },
        );
      }
      children.push({ name, source, stat, isWhiteout: isGone });
    }
  }
  return children.sort((a, b) => compareNames(a.name, b.name));
}

function namesOf(prefix: string, directory: string): string[] {
  try {
    return readNames(directory);
  } catch (error) {
    throw wrapError(`Cannot archive ${prefix === "" ? directory : prefix}`, error);
  }
}
