/** A process in a root: lets /d/x there be a directory and a link to elsewhere in turns, as fast as it can. */
import { dlopen, FFIType } from "bun:ffi";
import { symlinkSync, writeFileSync } from "node:fs";
import { chroot } from "../../src/base/mounts.ts";

const { i32, u32, pointer } = FFIType;
const libc = dlopen("libc.so.6", { renameat2: { args: [i32, pointer, i32, pointer, u32], returns: i32 } });
const [root, elsewhere] = process.argv.slice(2) as [string, string];
chroot(root);
symlinkSync(elsewhere, "/d/l");
const [one, other] = [Buffer.from("/d/x\0"), Buffer.from("/d/l\0")];
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;
writeFileSync("/started", "");
while (libc.symbols.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) === 0);
