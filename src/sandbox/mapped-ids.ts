/**
 * The ids of a command, from what was asked for to what is there: found, held while it runs, and given back. Where they are
 * others outside than inside, files are shown through mounts that map the ids which they have on the disk, so that in the
 * container they are what they are in the image.
 */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CooperError, wrapError } from "../base/errors.ts";
import type { MappedView } from "../base/mapped-mounts.ts";
import { MS, mount, umount } from "../base/mounts.ts";
import { hasOneId } from "../base/process-ids.ts";
import { takeAutoIds } from "./auto-ids.ts";
import {
  type CommandIds,
  fittingMaps,
  type IdMaps,
  isShifted,
  outsideUser,
  LEAST_IDS,
  ownIds,
} from "./command-ids.ts";
import { type HeldNamespace, joinNamespace, makeNamespace } from "./held-namespace.ts";
import { privateMountNamespace } from "./mount-namespace.ts";
import type { RunUser } from "./types.ts";
import { namespaceState } from "./user-namespace.ts";

export interface MappedIds {
  maps: IdMaps;
  /** A user namespace to join; else one is to be made with these maps. */
  path?: string;
  /** What the command's user is outside. */
  user: { uid: number; gid: number };
  /** Where files have to be shown under other ids. */
  view?: MappedView;
  close(): void;
}

const ROOT: RunUser = { uid: 0, gid: 0, additionalGids: [] };

/** Finds them. `directory`: the run's own. Errors: `unsupported`, naming an id that is missing, or what the host lacks. */
export async function mappedIds(ids: CommandIds, user: RunUser, directory: string): Promise<MappedIds> {
  const undo: (() => void)[] = [];
  const close = () => {
    for (const action of undo.splice(0).reverse()) action();
  };
  try {
    const { maps, joined } = await take(ids, directory, undo);
    // Where there is one id, everybody is it.
    const found: MappedIds = { maps, user: outsideUser(maps, hasOneId() ? ROOT : user), close };
    const root = outsideUser(maps, ROOT);
    if (joined !== undefined) found.path = keepNamespace(joined.path, directory, undo);
    if (!isShifted(maps)) return found;
    requireRoot();
    const held = joined ?? (await makeNamespace(maps));
    if (joined === undefined) undo.push(held.close);
    found.view = { namespace: held.fd, root, place: makePlace() };
    return found;
  } catch (error) {
    close();
    throw error;
  }
}

async function take(
  ids: CommandIds,
  directory: string,
  undo: (() => void)[],
): Promise<{ maps: IdMaps; joined?: HeldNamespace & { path: string } }> {
  if (ids === "all") return { maps: ownIds() };
  if ("namespace" in ids) {
    const held = await joinNamespace(ids.namespace);
    undo.push(held.close);
    return { maps: held.maps, joined: { ...held, path: ids.namespace } };
  }
  if ("auto" in ids || isShifted(ids)) requireRoot();
  if (!("auto" in ids)) return { maps: fittingMaps(ids) };
  const { size = LEAST_IDS } = ids.auto;
  const { maps, release } = takeAutoIds({ ...ids.auto, size }, dirname(directory));
  undo.push(release);
  return { maps: fittingMaps(maps) };
}

/** Error: `unsupported` for users, with what keeps them from it. */
function requireRoot(): void {
  if (namespaceState().kind === "root") return;
  throw new CooperError(
    "unsupported",
    "Cannot run the command under other ids than those of its files: to show files so, the kernel wants CAP_SYS_ADMIN over the file system's own user namespace, which is root's",
    {
      hint: "Give the same ids inside and outside (0:0:1000), which without root are none of the host's own anyway; or run Cooper as root",
    },
  );
}

/** A path of the namespace that lasts as long as the run: one below /proc means nothing in another PID namespace. */
function keepNamespace(path: string, directory: string, undo: (() => void)[]): string {
  const file = join(directory, "user-namespace");
  writeFileSync(file, "");
  privateMountNamespace();
  mount(path, file, undefined, MS.BIND);
  undo.push(() => umount(file));
  return file;
}

/** All of whose parents everybody may search: the runtime looks for the root when it has become the container's. */
const PLACES = "/run/cooper-userns";
let areCovered = false;

/** In this process's mount namespace only, and gone with it. */
function makePlace(): string {
  privateMountNamespace();
  try {
    mkdirSync(PLACES, { recursive: true, mode: 0o711 });
    if (!areCovered) mount("tmpfs", PLACES, "tmpfs", MS.NOSUID | MS.NODEV, "size=1m,mode=711");
    areCovered = true;
    const place = mkdtempSync(join(PLACES, "ids-"));
    chmodSync(place, 0o711);
    return place;
  } catch (error) {
    throw wrapError("Cannot make room for files under other ids", error);
  }
}
