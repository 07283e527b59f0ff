/** Users and groups by name, looked up in a root file system's own /etc/passwd and /etc/group, never the host's. */
import { closeSync, fstatSync, readFileSync } from "node:fs";
import { openFileInRoot } from "../archive/pinned-root.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { CooperError } from "../base/errors.ts";
import type { RunUser } from "../sandbox/types.ts";

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

/** A user as a command in the container has it. */
export interface ContainerUser extends RunUser {
  /** From /etc/passwd; `/` for a user that it does not list. */
  home: string;
}

/** Databases this large are no databases. */
const MAX_BYTES = 16 << 20;

const MAX_ID = 2 ** 32 - 2;

function readLines(root: string, path: string): string[][] {
  try {
    const fd = openFileInRoot(root, path, () => resolveInRoot(root, path));
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile() || stat.size > MAX_BYTES) return [];
      return readFileSync(fd, "utf8")
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"))
        .map((line) => line.split(":"));
    } finally {
      closeSync(fd);
    }
  } catch {
    return []; // No such file: names are unknown and numbers stand for themselves.
  }
}

/** Lines without ids tell of nobody; libraries that read them as 0 make root of such a user. */
function readPasswd(root: string): PasswdEntry[] {
  return readLines(root, "/etc/passwd").flatMap((fields) => {
    const [uid, gid] = [listedId(fields[2]), listedId(fields[3])];
    if (uid === undefined || gid === undefined) return [];
    return [{ name: fields[0] ?? "", uid, gid, home: fields[5] || "/" }];
  });
}

function readGroups(root: string): GroupEntry[] {
  return readLines(root, "/etc/group").flatMap((fields) => {
    const gid = listedId(fields[2]);
    if (gid === undefined) return [];
    return [{ name: fields[0] ?? "", gid, members: (fields[3] ?? "").split(",").filter(Boolean) }];
  });
}

function listedId(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,10}$/.test(text) && Number(text) <= MAX_ID
    ? Number(text)
    : undefined;
}

/** A decimal id, or undefined for anything else. */
function parseId(text: string): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const id = Number(text);
  if (id > MAX_ID) throw new CooperError("invalid", `The id ${text} is too large`);
  return id;
}

/**
 * Who a command runs as: `user[:group]` by name or number, empty for root. As in Docker: a user without a group gets the
 * group of /etc/passwd (0 when it is not listed) and the supplementary groups that list it by name.
 */
export function lookupUser(root: string, text: string): ContainerUser {
  const [userPart = "", groupPart] = splitOnce(text);
  const entry = findUser(root, userPart === "" ? "0" : userPart);
  const uid = entry?.uid ?? parseId(userPart === "" ? "0" : userPart);
  if (uid === undefined) throw unknown("user", userPart, "/etc/passwd");
  const home = entry?.home ?? "/";
  if (groupPart !== undefined && groupPart !== "") {
    const gid = lookupGroup(root, groupPart);
    return { uid, gid, additionalGids: [gid], home };
  }
  const gid = entry?.gid ?? 0;
  const listed = entry === undefined ? [] : groupsOf(root, entry.name);
  // The primary group is among the others, as containerd has it since CVE-2022-36109: else a setgid program could shed it.
  return { uid, gid, additionalGids: [...new Set([gid, ...listed])], home };
}

/** Who owns copied files: `user[:group]`; as in BuildKit a user without a group owns with the group of /etc/passwd. */
export function lookupOwner(root: string, text: string): { uid: number; gid: number } {
  const { uid, gid } = lookupUser(root, text);
  const [userPart = "", groupPart] = splitOnce(text);
  // A bare number stands for the group as well, whatever /etc/passwd says of it.
  if ((groupPart === undefined || groupPart === "") && parseId(userPart) !== undefined)
    return { uid, gid: uid };
  return { uid, gid };
}

function splitOnce(text: string): string[] {
  const at = text.indexOf(":");
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function findUser(root: string, text: string): PasswdEntry | undefined {
  const id = parseId(text);
  return readPasswd(root).find((user) => (id === undefined ? user.name === text : user.uid === id));
}

/** A group by its name in the root, or by number. Throws `not-found`. */
export function lookupGroup(root: string, text: string): number {
  const gid = parseId(text) ?? readGroups(root).find((group) => group.name === text)?.gid;
  if (gid === undefined) throw unknown("group", text, "/etc/group");
  return gid;
}

/** nobody and nogroup: the ids of whom has none. */
const NOBODY = 65534;

/** The highest id below a bound that a root's users and groups have, nobody's apart. */
export function highestId(root: string, bound: number): number {
  const ids = [
    ...readPasswd(root).flatMap(({ uid, gid }) => [uid, gid]),
    ...readGroups(root).map(({ gid }) => gid),
  ];
  return Math.max(0, ...ids.filter((id) => id !== NOBODY && id < bound));
}

function groupsOf(root: string, user: string): number[] {
  return readGroups(root)
    .filter((group) => group.members.includes(user))
    .map((group) => group.gid);
}

function unknown(kind: string, name: string, file: string): CooperError {
  return new CooperError("not-found", `The container has no ${kind} "${name}" in ${file}`, {
    hint: `create it in an earlier step, or give its number`,
  });
}
