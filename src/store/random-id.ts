/** Names for what has no content address. */

/** Ten hexadecimal digits, for sessions: short, since snapshots are named after them and overlay's options fit in one page. */
export function randomId(): string {
  return randomHex(5);
}

/** 64 hexadecimal digits, as Buildah's container ids. */
export function randomContainerId(): string {
  return randomHex(32);
}

function randomHex(bytes: number): string {
  return Buffer.from(randomBytes(bytes)).toString("hex");
}

/** Bytes that nobody can guess, by the global object's generator: `node:crypto` takes a millisecond to load. */
export function randomBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}
