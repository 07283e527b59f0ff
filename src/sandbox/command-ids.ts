/**
 * A user namespace of a command's own (--userns, --userns-uid-map). What ids it has, and which ones of Cooper's they are; files
 * keep those of images on the disk, and are shown under others where the map has others (mapped-ids.ts).
 */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { mapLines } from "../base/process-ids.ts";
import type { RunUser } from "./types.ts";

/** So many ids from one on inside, and from another on outside: in the namespace in which Cooper is. */
export interface IdMap {
  inside: number;
  outside: number;
  count: number;
}

/** How many ids a command gets at least where it is to get as many as it needs, and at most. */
export const LEAST_IDS = 1024;
export const MOST_IDS = 65536;

/** Ids that are nobody else's, of the user `containers` in /etc/subuid and /etc/subgid. */
export interface AutoIds {
  /** How many; by default what the container's /etc/passwd and /etc/group need, within the two bounds. */
  size?: number;
  /** Maps that there are in any case. */
  uids?: IdMap[];
  gids?: IdMap[];
}

/** "all" that Cooper itself has, the same inside as outside; maps; those of the namespace at a path. */
export type CommandIds = "all" | { uids: IdMap[]; gids: IdMap[] } | { auto: AutoIds } | { namespace: string };

/** Of users and groups, as they are now. */
export interface IdMaps {
  uids: IdMap[];
  gids: IdMap[];
}

/** `linux.uidMappings` of the runtime specification. */
export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

export type IdKind = "user" | "group";

/** The maps of this process, or of another one as this one sees it. */
export function mapsOf(process: number | "self"): IdMaps {
  const read = (kind: "uid" | "gid") =>
    mapLines(readFileSync(`/proc/${process}/${kind}_map`, "latin1")).map(
      ([inside, outside, count]): IdMap => ({ inside: inside!, outside: outside!, count: count! }),
    );
  return { uids: read("uid"), gids: read("gid") };
}

/** All ids that Cooper has, each the same inside as outside. */
export function ownIds(): IdMaps {
  const same = ({ inside, count }: IdMap): IdMap => ({ inside, outside: inside, count });
  const { uids, gids } = mapsOf("self");
  return { uids: uids.map(same), gids: gids.map(same) };
}

/**
 * Maps that were asked for, in pieces of which each lies in one line of the map here, as the kernel wants it. Errors:
 * `unsupported`, naming the id that Cooper itself does not have; `usage` for ids that are there twice.
 */
export function fittingMaps({ uids, gids }: IdMaps): IdMaps {
  const here = mapsOf("self");
  return { uids: fitting("user", uids, here.uids), gids: fitting("group", gids, here.gids) };
}

function fitting(kind: IdKind, maps: IdMap[], here: IdMap[]): IdMap[] {
  for (const [index, map] of maps.entries()) {
    for (const other of maps.slice(0, index)) {
      if (overlap(map.inside, other.inside, map, other) || overlap(map.outside, other.outside, map, other))
        throw new CooperError(
          "usage",
          `The map of ${kind} ids has ids twice: ${textOf(other)}, ${textOf(map)}`,
        );
    }
  }
  return maps.flatMap((map) => pieces(kind, map, here));
}

const overlap = (a: number, b: number, { count: m }: IdMap, { count: n }: IdMap) => a < b + n && b < a + m;

const textOf = ({ inside, outside, count }: IdMap) => `${inside}:${outside}:${count}`;

function pieces(kind: IdKind, { inside, outside, count }: IdMap, here: IdMap[]): IdMap[] {
  const found: IdMap[] = [];
  for (let done = 0; done < count; ) {
    const id = outside + done;
    const line = here.find((each) => id >= each.inside && id < each.inside + each.count);
    if (line === undefined) throw lacking(`${kind} ${id} is not among the ids that Cooper itself has here`);
    const size = Math.min(count - done, line.inside + line.count - id);
    found.push({ inside: inside + done, outside: id, count: size });
    done += size;
  }
  return found;
}

/** Whether some id is another one outside. */
export function isShifted({ uids, gids }: IdMaps): boolean {
  return [...uids, ...gids].some(({ inside, outside }) => inside !== outside);
}

/** Whether a command may have other ids outside than inside, as far as that is known before it runs. */
export function mayBeShifted(ids: CommandIds | undefined): boolean {
  return ids !== undefined && ids !== "all" && !("uids" in ids && !isShifted(ids));
}

/** Whether there is such an id inside. */
export function hasId(maps: readonly IdMap[], id: number): boolean {
  return outsideId(maps, id) !== undefined;
}

/** What an id is outside, if it is there. */
export function outsideId(maps: readonly IdMap[], id: number): number | undefined {
  const map = maps.find(({ inside, count }) => id >= inside && id < inside + count);
  return map && map.outside + id - map.inside;
}

/** What a user is outside. Error: `unsupported`, naming the id that a command needs and the maps do not have. */
export function outsideUser({ uids, gids }: IdMaps, user: RunUser): { uid: number; gid: number } {
  const find = (kind: IdKind, maps: IdMap[], id: number): number => {
    const found = outsideId(maps, id);
    if (found === undefined) throw lacking(`${kind} ${id} is not among the ids that it is given`);
    return found;
  };
  const outside = { uid: find("user", uids, user.uid), gid: find("group", gids, user.gid) };
  for (const gid of user.additionalGids) find("group", gids, gid);
  return outside;
}

/** As the runtime specification has them. */
export function runtimeMappings({ uids, gids }: IdMaps): {
  uidMappings: IdMapping[];
  gidMappings: IdMapping[];
} {
  const mapping = ({ inside, outside, count }: IdMap): IdMapping => ({
    containerID: inside,
    hostID: outside,
    size: count,
  });
  return { uidMappings: uids.map(mapping), gidMappings: gids.map(mapping) };
}

function lacking(what: string): CooperError {
  return new CooperError("unsupported", `Cannot run the command in a user namespace of its own: ${what}`, {
    hint: "A command needs root, its user and its groups; `cooper unshare cat /proc/self/uid_map` shows the ids that there are",
  });
}
