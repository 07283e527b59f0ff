/** Names for what has no content address. */
import { randomBytes } from "node:crypto";

/** Ten hexadecimal digits, for sessions: short, since snapshots are named after them and overlay's options fit in one page. */
export function randomId(): string {
  return randomBytes(5).toString("hex");
}

/** 64 hexadecimal digits, as Buildah's container ids. */
export function randomContainerId(): string {
  return randomBytes(32).toString("hex");
}
