/**
 * A user namespace of a command's own (--userns private, --userns-uid-map). Its ids are those of the files around it, the
 * same inside as outside: it can be given fewer, and no rights outside of its container, but never other ones.
 */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { mapLines } from "../base/process-ids.ts";
import type { IdRange } from "./subordinate-ids.ts";
import type { RunSpec } from "./types.ts";

/** Of users and groups; "all" that Cooper itself has. */
export type CommandIds = "all" | { uids: IdRange[]; gids: IdRange[] };

/** `linux.uidMappings` of the runtime specification. */
export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

/** The mappings for a command. Error: `unsupported`, naming the id, where Cooper's namespace or the map lacks one. */
export function identityMappings(
  ids: CommandIds,
  user: RunSpec["user"],
): { uidMappings: IdMapping[]; gidMappings: IdMapping[] } {
  const given = ids === "all" ? { uids: "all" as const, gids: "all" as const } : ids;
  return {
    uidMappings: mappingsOf("user", given.uids, [0, user.uid]),
    gidMappings: mappingsOf("group", given.gids, [0, user.gid, ...user.additionalGids]),
  };
}

/** Whether a command has a group, as far as it was asked for its ids. */
export function hasGroup(ids: CommandIds | undefined, gid: number): boolean {
  return ids === undefined || ids === "all" || holds(ids.gids, gid);
}

function mappingsOf(kind: "user" | "group", asked: "all" | IdRange[], needed: number[]): IdMapping[] {
  const lines = mapLines(readFileSync(`/proc/self/${kind === "user" ? "uid" : "gid"}_map`, "latin1"));
  const here = lines.map(([first, , count]): IdRange => ({ first: first!, count: count! }));
  const ranges = asked === "all" ? here : asked.flatMap((range) => withinLines(kind, range, here));
  const missing = needed.find((id) => !holds(ranges, id));
  if (missing !== undefined) throw lacking(`${kind} ${missing} is not among the ids that it is given`);
  return ranges.map(({ first, count }) => ({ containerID: first, hostID: first, size: count }));
}

/** A range in pieces, of which each lies in one line of the map here, as the kernel wants it. */
function withinLines(kind: string, { first, count }: IdRange, here: IdRange[]): IdRange[] {
  const pieces: IdRange[] = [];
  for (let id = first; id < first + count; ) {
    const line = here.find((each) => holds([each], id));
    if (line === undefined) throw lacking(`${kind} ${id} is not among the ids that Cooper itself has here`);
    const end = Math.min(first + count, line.first + line.count);
    pieces.push({ first: id, count: end - id });
    id = end;
  }
  return pieces;
}

const holds = (ranges: IdRange[], id: number): boolean =>
  ranges.some(({ first, count }) => id >= first && id < first + count);

function lacking(what: string): CooperError {
  return new CooperError("unsupported", `Cannot run the command in a user namespace of its own: ${what}`, {
    hint: "A command needs root, its user and its groups; `cooper unshare cat /proc/self/uid_map` shows the ids that there are",
  });
}
