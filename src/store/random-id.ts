/** Names for what has no content address. */

/** Ten hexadecimal digits, for sessions: short, since snapshots are named after them and overlay's options fit in one page. */
export function randomId(): string {
  return randomHex(5);
}

/** 64 hexadecimal digits, as Buildah's container ids. */
export function randomContainerId(): string {
  return randomHex(32);
}

/** The global object's generator: `node:crypto` takes a millisecond to load, in every command. */
function randomHex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
}
