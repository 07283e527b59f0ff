/** WORKDIR's directory. */
import { CooperError } from "../base/errors.ts";
import { pinRoot } from "../archive/pinned-root.ts";
import { makeDirectories, resolveInRoot } from "../archive/rooted-path.ts";
import { lstatSync } from "node:fs";
import { fsPath } from "../base/path-bytes.ts";
import { hasOneId } from "../base/process-ids.ts";
import { recordOwner } from "../archive/copy-metadata.ts";
import { lookupUser } from "./user.ts";

/** Makes a directory and its parents, mode 0755, owned by the user (of USER); what exists stays as it is. */
export function mkdirInContainer(root: string, path: string, user: string): void {
  const there = lstatSync(fsPath(resolveInRoot(root, path)), { throwIfNoEntry: false });
  if (there?.isDirectory()) return;
  if (there !== undefined)
    throw new CooperError("invalid", `Cannot make the directory ${path}: there is a file of that name`);
  const { uid, gid } = lookupUser(root, user);
  if (!hasOneId()) {
    makeDirectories(root, path, { uid, gid, mode: 0o755 });
    return;
  }
  const own = { uid: process.geteuid!(), gid: process.getegid!() };
  using pins = pinRoot(root);
  for (const made of makeDirectories(root, path, { ...own, mode: 0o755 }, pins))
    recordOwner(pins.directory(made), { uid, gid, mode: 0o755 }, own);
}
