/** What stands in for a mount that a command was given, where nothing can be mounted. */
import { chmodSync, linkSync, mkdirSync, renameSync, rmSync, type Stats, statSync } from "node:fs";
import { copyNode, copyTree } from "../archive/copy-tree.ts";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";
import { fsPath, statusOf } from "../base/path-bytes.ts";
import type { StandIns } from "./stand-ins.ts";
import type { RunMount } from "./types.ts";

/**
 * Puts a mount's files at its target: read-only ones as a copy, lent ones themselves, a socket as another name of it.
 * Error: `unsupported` for what has to be the same files here and there.
 */
export function standForMount(standIns: StandIns, mount: RunMount): void {
  const { target } = mount;
  if (mount.type === "tmpfs") {
    standIns.place(target, (path) => {
      mkdirSync(fsPath(path));
      chmodSync(fsPath(path), mount.mode ?? 0o1777);
    });
    return;
  }
  const { source } = mount;
  const stat = statSync(fsPath(source));
  if (mount.lend === true)
    standIns.place(
      target,
      (path) => move(source, path),
      (path) => giveBack(path, source),
    );
  else if (stat.isSocket()) standIns.place(target, (path) => linkSocket(source, path));
  else if (mount.readOnly === true && (stat.isFile() || stat.isDirectory()))
    standIns.place(target, (path) => copy(source, path, stat));
  else throw refusal(mount, "what it writes there would stay in the container");
}

function refusal({ source, target }: Extract<RunMount, { type: "bind" }>, why: string): CooperError {
  return new CooperError(
    "unsupported",
    `Cannot mount ${source} at ${target}: this host refuses mounts, and ${why}`,
    {
      hint: "Read-only mounts are copied (:ro). Others need an outer container with CAP_SYS_ADMIN, or one that allows user namespaces",
    },
  );
}

function copy(source: string, path: string, stat: Stats): void {
  if (stat.isDirectory()) copyTree(source, path, { ownership: "verbatim" });
  else copyNode(source, path);
}

function linkSocket(source: string, path: string): void {
  try {
    linkSync(source, fsPath(path));
  } catch (error) {
    throw refusal({ type: "bind", source, target: path }, `it cannot be linked: ${messageOf(error)}`);
  }
}

/** A whole directory cannot be renamed where it comes from a lower layer of the outer container. */
function move(from: string, to: string): void {
  try {
    renameSync(fsPath(from), fsPath(to));
  } catch (error) {
    if (errnoOf(error) !== "EXDEV") throw error;
    copyTree(from, to, { ownership: "verbatim" });
    rmSync(fsPath(from), { recursive: true, force: true });
  }
}

/** Not where somebody has made a new one meanwhile. */
function giveBack(path: string, source: string): void {
  if (statusOf(source) === undefined) move(path, source);
}
