/** A diff directory that holds one of everything a layer can express, for tests that take it there and back. */
import { chmodSync, chownSync, linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { makedev, mknod, setTimes } from "../../src/base/file-calls.ts";
import { setXattr } from "../../src/base/xattrs.ts";
import { decodeName, fsPath } from "../../src/base/path-bytes.ts";

export const LONG_NAME = "n".repeat(250);
export const LATIN1_NAME = decodeName(Buffer.from([0x63, 0x61, 0x66, 0xe9]));

/** cap_net_raw+ep in the kernel's second revision, with bytes that are not UTF-8. */
export const CAPABILITY = Buffer.from("0100000200200000000000000000000000000000", "hex");

/** Needs root. */
export function makeEverything(root: string): void {
  const path = (name: string) => `${root}/${name}`;
  const directory = (name: string, mode = 0o755) => {
    mkdirSync(fsPath(path(name)));
    chmodSync(fsPath(path(name)), mode);
  };
  const file = (name: string, content: string | Uint8Array = name, mode = 0o644) => {
    writeFileSync(fsPath(path(name)), content);
    chmodSync(fsPath(path(name)), mode);
  };
  chmodSync(root, 0o755);
  directory("bin");
  file("bin/su", "setuid", 0o4755);
  file("bin/wall", "setgid", 0o2755);
  file("bin/ping", "capability");
  setXattr(path("bin/ping"), "security.capability", CAPABILITY);
  directory("tmp", 0o1777);
  directory("shared", 0o2775);
  directory("closed", 0o000);
  file("closed/inside", "x", 0o000);
  file("empty", "");
  file("owned");
  chownSync(path("owned"), 1000, 1001);
  file("far-owned");
  chownSync(path("far-owned"), 3_000_000, 4_000_000_000);
  file("attributes");
  setXattr(path("attributes"), "user.binary", Buffer.from([0, 1, 0xff, 0x0a, 0x3d]));
  setXattr(path("attributes"), "user.empty", Buffer.alloc(0));
  setXattr(path("attributes"), "user.long", Buffer.alloc(2000, "long"));
  setXattr(path("tmp"), "user.of-directory", Buffer.from("yes"));
  setXattr(path("attributes"), "user.overlay.origin", Buffer.from("not to be seen"));
  file("first");
  linkSync(path("first"), path("second"));
  linkSync(path("first"), path("bin/third"));
  symlinkSync("/etc//x/../passwd", path("absolute"));
  symlinkSync("missing/", path("dangling"));
  symlinkSync("t".repeat(300), path("far-link"));
  symlinkSync(fsPath(LATIN1_NAME), fsPath(path(`link-${LATIN1_NAME}`)));
  file(LATIN1_NAME);
  directory(`dir-${LATIN1_NAME}`);
  file(`dir-${LATIN1_NAME}/${"m".repeat(180)}${LATIN1_NAME}`);
  file("žluťoučký-kůň-💀");
  file(" leading space");
  file("new\nline");
  file("back\\slash*?");
  directory(LONG_NAME);
  file(`${LONG_NAME}/${LONG_NAME}`);
  linkSync(path(`${LONG_NAME}/${LONG_NAME}`), path("link-to-long"));
  symlinkSync("x", path(`${LONG_NAME}/link`));
  for (const [length, name] of [99, 100, 101, 155, 156].map(
    (n) => [n, `exact-${n}-`.padEnd(n, "e")] as const,
  )) {
    file(name, String(length));
    directory(`d${name}`.slice(0, length));
  }
  let deep = "deep";
  directory(deep);
  for (let i = 0; i < 14; i++) {
    deep += `/${"d".repeat(250)}`;
    directory(deep);
  }
  file(`${deep}/leaf`);
  mknod(path("null"), 0o020666, makedev(1, 3));
  mknod(path("disk"), 0o060660, makedev(259, 1_000_000));
  mknod(path("pipe"), 0o010644, 0);
  mknod(path("hidden"), 0o020000, 0);
  directory("opaque");
  setXattr(path("opaque"), "user.overlay.opaque", Buffer.from("y"));
  file("opaque/new");
  file("large", Buffer.from(Array.from({ length: 700_001 }, (_, i) => (i * 7919) & 0xff)));
  file("sparse", "");
  truncateSync(path("sparse"), 5_000_003);
  file("now", "now");
  setTimes(path("empty"), 1_700_000_000_123_456_789n);
  setTimes(path("owned"), 1_600_000_000_000_000_000n);
  setTimes(path("first"), -1_500_000_000n);
  setTimes(path("absolute"), 1_000_000_001n);
  setTimes(path("large"), 10_000_000_000_000_000_000n);
  setTimes(path("tmp"), 1_500_000_000_000_000_001n);
  setTimes(path("pipe"), 0n);
}

/** A directory below which `makeEverything`'s whiteouts have something to hide. */
export function makeBelow(root: string): void {
  writeFileSync(`${root}/hidden`, "");
  mkdirSync(`${root}/opaque`);
  writeFileSync(`${root}/opaque/old`, "");
}
