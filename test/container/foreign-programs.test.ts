// Protects whom a container of another architecture is said to need: an emulator, unless the kernel has one.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasEmulator, isForeign } from "../../src/container/foreign-programs.ts";
import { hostPlatform } from "../../src/oci/platform.ts";

const directory = mkdtempSync(join(tmpdir(), "cooper-binfmt-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The beginning of an ELF file: its class and byte order, and its type and machine. */
const elf = (order: string, machine: string) => `7f454c46${order}${"0".repeat(18)}${machine}`;
/** As the kernel shows what Debian's qemu-user-static and jarwrapper register. */
const handler = (state: string, magic: string) =>
  `${state}\ninterpreter /usr/bin/x\nflags: OCF\noffset 0\nmagic ${magic}\nmask ffffffffffffff00fffffffffffffffffeffffff\n`;
writeFileSync(join(directory, "status"), "enabled\n");
writeFileSync(join(directory, "qemu-aarch64"), handler("enabled", elf("020101", "0200b700")));
writeFileSync(join(directory, "qemu-s390x"), handler("enabled", elf("020201", "00020016")));
writeFileSync(join(directory, "qemu-riscv64"), handler("disabled", elf("020101", "0200f300")));
writeFileSync(join(directory, "jar"), handler("enabled", "504b0304"));

test.each([
  ["arm64", true],
  ["s390x", true],
  ["riscv64", false],
  ["ppc64le", false],
  ["unheard-of", false],
])("%s: %p", (architecture, there) => {
  expect(hasEmulator({ os: "linux", architecture }, directory)).toBe(there);
});

test("without binfmt_misc there is none", () => {
  expect(hasEmulator({ os: "linux", architecture: "arm64" }, join(directory, "missing"))).toBe(false);
});

test("this host's own architecture is not foreign", () => {
  expect(isForeign(hostPlatform())).toBe(false);
  expect(isForeign({ os: "linux", architecture: "s390x" })).toBe(true);
});
