/** Ids for rootless builds: ranges in /etc/subuid and /etc/subgid, newuidmap and newgidmap. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { hasNoNewPrivileges, isPrivileged, lacksCapability } from "../id-mapping.ts";
import { type IdRange, loginName, subordinateRanges } from "../../base/subordinate-ids.ts";
import { type Check, install, ok, warning } from "./check.ts";
import type { Host } from "./host.ts";

/** Ids that images of distributions use, nobody (65534) included. */
const ENOUGH = 65_536;
const ONE_ID =
  "without it a build has one id: commands see one owner, and cannot become other users (tier 2)";

/** Ranges of both kinds and the programs that map them; nothing for root, who needs none. */
export function checkIds(host: Host): Check[] {
  if (host.state.kind === "root") return [];
  const { uid } = host.state;
  const user = { uid, name: loginName(uid, host.paths.passwd) };
  return [
    checkRange("subuid", host.paths.subuid, user),
    checkRange("subgid", host.paths.subgid, user),
    checkMapper(host, "newuidmap"),
    checkMapper(host, "newgidmap"),
    ...checkPrivileges(host),
  ];
}

function checkRange(id: "subuid" | "subgid", file: string, user: { uid: number; name: string }): Check {
  const ranges = subordinateRanges(file, user);
  const total = ranges.reduce((sum, { count }) => sum + count, 0);
  const start = firstFree(file);
  const add = `usermod --add-${id}s ${start}-${start + ENOUGH - 1} ${user.name}`;
  const bad = malformedLine(file, user.name);
  if (bad !== undefined)
    return warning(
      id,
      `${file} has a line that newuidmap does not read: ${JSON.stringify(bad)}`,
      ONE_ID,
      add,
    );
  if (total === 0) return warning(id, `${file} gives the user ${user.name} no range of ids`, ONE_ID, add);
  const other = overlapping(file, user, ranges);
  if (other !== undefined) {
    return warning(
      id,
      `In ${file} the ranges of ${user.name} and ${other} overlap`,
      `${other} can read and change the files of ${user.name}'s containers, and the other way round`,
      `give each user a range of its own in ${file}`,
    );
  }
  if (total < ENOUGH) {
    return warning(
      id,
      `${file} gives the user ${user.name} only ${total} ids`,
      `an image with files of an id above ${total} (nobody is 65534) cannot be unpacked`,
      add,
    );
  }
  return ok(id, `${total} ids in ${ranges.length === 1 ? "one range" : `${ranges.length} ranges`}`);
}

/** Where a new range meets no other one. */
function firstFree(file: string): number {
  const ends = lines(file).map((line) => {
    const [, first, count] = line.split(":").map(Number);
    return (first ?? 0) + (count ?? 0);
  });
  return Math.max(100_000, ...ends.filter(Number.isFinite));
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return [];
  }
}

function malformedLine(file: string, name: string): string | undefined {
  return lines(file).find((line) => line.startsWith(`${name}:`) && !/^[^:]+:\d+:\d+\s*$/.test(line));
}

function overlapping(
  file: string,
  user: { uid: number; name: string },
  ranges: IdRange[],
): string | undefined {
  for (const line of lines(file)) {
    const [name, first, count] = line.split(":");
    if (name === undefined || name === "" || name === user.name || name === String(user.uid)) continue;
    const start = Number(first);
    const end = start + Number(count);
    if (ranges.some((range) => start < range.first + range.count && range.first < end)) return name;
  }
  return undefined;
}

function checkMapper(host: Host, name: "newuidmap" | "newgidmap"): Check {
  const path = host.find(name);
  if (path === undefined)
    return warning(name, `${name} is not installed`, ONE_ID, install(host, "uidmap", "shadow-utils"));
  const stat = statSync(path);
  const setuid = (stat.mode & 0o4000) !== 0 && stat.uid === 0;
  const capability = name === "newuidmap" ? "cap_setuid" : "cap_setgid";
  if (!isPrivileged(path)) {
    return warning(
      name,
      `${path} has neither the set-uid bit of root nor a file capability`,
      ONE_ID,
      `chown root ${path} && chmod u+s ${path} (or: setcap ${capability}+ep ${path})`,
    );
  }
  if (isNosuid(host, path)) {
    return warning(
      name,
      `${path} is on a file system that is mounted nosuid`,
      ONE_ID,
      `mount -o remount,suid $(findmnt -n -o TARGET --target ${path})`,
    );
  }
  if (lacksCapability(path, host.paths.proc)) {
    return warning(
      name,
      `${path} is set-uid root, which cannot map ids in a container whose root lacks CAP_SYS_ADMIN`,
      ONE_ID,
      `in the container's image: chmod u-s ${path} && setcap ${capability}+ep ${path}`,
    );
  }
  return ok(name, `${path}, ${setuid ? "set-uid root" : "with a file capability"}`);
}

/** Whether the mount that holds a path ignores set-uid bits (proc_pid_mountinfo(5)). */
function isNosuid(host: Host, path: string): boolean {
  const real = realpathSync(path);
  let best: { point: string; options: string[] } = { point: "", options: [] };
  for (const line of lines(`${host.paths.proc}/self/mountinfo`)) {
    const fields = line.split(" ");
    const point = fields[4] ?? "";
    const holds = real === point || real.startsWith(point === "/" ? "/" : `${point}/`);
    if (point !== "" && holds && point.length >= best.point.length)
      best = { point, options: (fields[5] ?? "").split(",") };
  }
  return best.options.includes("nosuid");
}

function checkPrivileges(host: Host): Check[] {
  if (!hasNoNewPrivileges(host.paths.proc)) return [];
  return [
    warning(
      "no-new-privs",
      "This process may not gain privileges (no_new_privs), so that newuidmap has no effect",
      ONE_ID,
      "allow it: allowPrivilegeEscalation: true in a pod, no --security-opt no-new-privileges, NoNewPrivileges=no in a unit",
    ),
  ];
}
