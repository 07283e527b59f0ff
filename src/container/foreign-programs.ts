/** Programs of another architecture than this host's: why they do not run, and what it takes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { formatPlatform, hostPlatform, normalisePlatform } from "../oci/platform.ts";
import type { Platform } from "../oci/types.ts";

/** Whether an image is for another architecture than this host's. */
export function isForeign(image: Platform): boolean {
  return normalisePlatform(image).architecture !== hostPlatform().architecture;
}

/** What to do where the kernel refuses (ENOEXEC) the programs of an image. */
export function emulatorHint(image: Platform): string {
  const { architecture } = normalisePlatform(image);
  return `The image is for ${formatPlatform(image)} and this host runs ${formatPlatform(hostPlatform())}: programs of ${architecture} need an emulator, the package qemu-user-static, which registers with /proc/sys/fs/binfmt_misc; COPY and stages FROM --platform=$BUILDPLATFORM do without`;
}

/** e_machine of elf(5), by Go's names. */
const MACHINES: Record<string, number> = {
  "386": 3,
  amd64: 62,
  arm: 40,
  arm64: 183,
  loong64: 258,
  mips64le: 8,
  ppc64le: 21,
  riscv64: 243,
  s390x: 22,
};

/** Whether the kernel hands the ELF files of an image's architecture to somebody: files of binfmt_misc, as its documentation has them. */
export function hasEmulator(image: Platform, directory = "/proc/sys/fs/binfmt_misc"): boolean {
  const wanted = MACHINES[normalisePlatform(image).architecture];
  return handlers(directory).some((text) => {
    const magic = Buffer.from(/^magic ([0-9a-f]+)$/m.exec(text)?.[1] ?? "", "hex");
    if (!text.startsWith("enabled") || magic.length < 20) return false;
    const BIG_ENDIAN = 2;
    const machine = magic[5] === BIG_ENDIAN ? magic.readUInt16BE(18) : magic.readUInt16LE(18);
    return machine === wanted;
  });
}

function handlers(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => name !== "register" && name !== "status");
    return names.map((name) => readFileSync(join(directory, name), "utf8"));
  } catch {
    // Not mounted here.
    return [];
  }
}
