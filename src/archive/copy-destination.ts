/** The root that a copy goes into: how its paths are found, and how directories are made on the way. */
import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { fsPath } from "../base/path-bytes.ts";
import { giving } from "../base/process-ids.ts";
import { cleanPath } from "../dockerfile/pattern.ts";
import { type MetadataOptions, recordOwner } from "./copy-metadata.ts";
import type { Owner } from "./owner-note.ts";
import type { Pins } from "./pinned-root.ts";
import { makeDirectories, resolveInRoot } from "./rooted-path.ts";
import { statPinned } from "./source-view.ts";

export interface Destination {
  /** Host path for a path in the root. */
  resolve(path: string): string;
  /** What is at a resolved path, as far as the copy is to know. */
  kindOf(host: string): "missing" | "directory" | "other";
  /** Makes a directory and its missing parents; returns the host paths of those made, outermost first. */
  makeDirectories(path: string): string[];
}

const ROOT_OWNER: Owner = { uid: 0, gid: 0 };

/** Owner and mode of directories made on the way: an octal --chmod counts for them, but not its setuid and kin. */
function newDirectory(options: MetadataOptions): Owner & { mode: number } {
  const mode = options.chmod?.kind === "octal" ? options.chmod.mode & 0o777 : 0o755;
  return { ...(options.owner ?? ROOT_OWNER), mode };
}

function processOwner(): Owner {
  return { uid: process.geteuid!(), gid: process.getegid!() };
}

/** A root as it is: symbolic links are followed inside it. */
export function plainDestination(root: string, options: MetadataOptions, pins: Pins): Destination {
  const wanted = newDirectory(options);
  return {
    resolve: (path) => resolveInRoot(root, path),
    kindOf(host) {
      const stat = statPinned(pins, host);
      if (stat === undefined) return "missing";
      return stat.isDirectory() ? "directory" : "other";
    },
    makeDirectories(path) {
      if (options.ownership !== "xattr") return makeDirectories(root, path, wanted, pins);
      const own = processOwner();
      const made = makeDirectories(root, path, { ...own, mode: wanted.mode }, pins);
      for (const directory of made) recordOwner(pins.directory(directory), wanted, own);
      return made;
    },
  };
}

/**
 * A root on which the copy is laid as a layer of its own (COPY --link): nothing exists but what this copy made, no link
 * is followed, what is in the way of a directory goes, and existing directories on the way are made over.
 */
export function linkDestination(root: string, options: MetadataOptions, pins: Pins): Destination {
  const top = resolveInRoot(root, "/");
  const wanted = newDirectory(options);
  const ours = new Set<string>([top]);
  const hostOf = (path: string) => {
    const clean = cleanPath(`/${path}`);
    if (clean === "/") return top;
    return top === "/" ? clean : top + clean;
  };

  function make(host: string): void {
    const stat = statPinned(pins, host);
    if (stat !== undefined && !stat.isDirectory()) unlinkSync(fsPath(pins.entry(host)));
    if (stat?.isDirectory() !== true) mkdirSync(fsPath(pins.entry(host)), 0o700);
    const itself = pins.directory(host);
    if (options.ownership !== "xattr")
      giving(wanted, () => chownSync(fsPath(itself), wanted.uid, wanted.gid));
    chmodSync(fsPath(itself), wanted.mode);
    if (options.ownership === "xattr") recordOwner(itself, wanted, lstatSync(fsPath(itself)));
  }

  return {
    resolve: hostOf,
    kindOf: (host) => (ours.has(host) ? "directory" : "missing"),
    makeDirectories(path) {
      const made: string[] = [];
      let host = top === "/" ? "" : top;
      for (const name of cleanPath(`/${path}`).slice(1).split("/")) {
        if (name === "") continue;
        host += `/${name}`;
        if (ours.has(host)) continue;
        make(host);
        ours.add(host);
        made.push(host);
      }
      return made;
    },
  };
}
