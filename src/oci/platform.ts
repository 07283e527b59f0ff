/** Platforms as containerd writes and matches them: `os/architecture[/variant]`, in Go's names. */
import { arch, platform as nodePlatform } from "node:process";
import { CooperError } from "../base/errors.ts";
import { isMarkedZstd } from "./compression-mark.ts";
import type { Descriptor, Platform } from "./types.ts";

const KNOWN_OS = new Set(
  "linux windows darwin freebsd netbsd openbsd dragonfly solaris illumos plan9 aix android ios js wasip1".split(
    " ",
  ),
);

/** This host's platform. */
export function hostPlatform(): Platform {
  const goNames: Record<string, string> = { x64: "amd64", ia32: "386", ppc64: "ppc64le", loong64: "loong64" };
  const os = nodePlatform === "win32" ? "windows" : nodePlatform;
  return normalisePlatform({ os, architecture: goNames[arch] ?? arch });
}

/**
 * Parses `os`, `architecture`, `os/architecture` or `os/architecture/variant`; what is missing is the host's.
 * Throws `usage`.
 */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = text.trim().split("/");
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(part))) {
    throw new CooperError("usage", `"${text}" is not a platform`, {
      hint: "write os/architecture[/variant], as in linux/arm64",
    });
  }
  const [first, second, third] = parts.map((part) => part.toLowerCase()) as [string, string?, string?];
  if (second !== undefined) {
    return normalisePlatform({
      os: first,
      architecture: second,
      ...(third === undefined ? {} : { variant: third }),
    });
  }
  if (KNOWN_OS.has(osName(first))) return normalisePlatform({ ...host, os: first });
  return normalisePlatform({ os: host.os, architecture: first });
}

/** `linux/arm64/v8` and the like. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant]
    .filter((part) => part !== undefined && part !== "")
    .join("/");
}

function osName(os: string): string {
  return os === "macos" ? "darwin" : os;
}

/**
 * The usual names for what others call differently (`x86_64`, `aarch64`), and no variant where it is the default one:
 * arm64 is arm64/v8, arm is arm/v7, amd64 is amd64/v1.
 */
export function normalisePlatform(platform: Platform): Platform {
  const { variant: given, ...rest } = platform;
  const { architecture, variant } = normaliseArchitecture(
    platform.architecture.toLowerCase(),
    (given ?? "").toLowerCase(),
  );
  return {
    ...rest,
    os: osName(platform.os.toLowerCase()),
    architecture,
    ...(variant === "" ? {} : { variant }),
  };
}

function normaliseArchitecture(
  architecture: string,
  variant: string,
): { architecture: string; variant: string } {
  switch (architecture) {
    case "i386":
    case "i686":
    case "386":
      return { architecture: "386", variant: "" };
    case "x86_64":
    case "x86-64":
    case "amd64":
      return { architecture: "amd64", variant: variant === "v1" ? "" : variant };
    case "aarch64":
    case "arm64":
      return { architecture: "arm64", variant: variant === "8" || variant === "v8" ? "" : variant };
    case "armhf":
      return { architecture: "arm", variant: "v7" };
    case "armel":
      return { architecture: "arm", variant: "v6" };
    case "arm":
      return { architecture: "arm", variant: variant === "" ? "v7" : variant.replace(/^(?=\d)/, "v") };
    default:
      return { architecture, variant };
  }
}

/**
 * Variants that run on a wanted platform, best first: an ARM v7 runs v6 and v5, an amd64/v3 runs v2 and v1. Arm64 hosts
 * run 32-bit ARM in principle; it is not offered, since some of them cannot.
 */
function acceptableVariants(wanted: Platform): string[] {
  const variant = wanted.variant ?? "";
  const level = /^v(\d)$/.exec(variant)?.[1];
  if (wanted.architecture === "arm" && level !== undefined) {
    return descending(Number(level), 5).map((n) => `v${n}`);
  }
  if (wanted.architecture === "amd64" && level !== undefined) {
    return descending(Number(level), 1).map((n) => (n === 1 ? "" : `v${n}`));
  }
  if (wanted.architecture === "arm64" && variant !== "") return [variant, ""];
  return [variant];
}

function descending(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, from - to + 1) }, (_, i) => from - i);
}

/** Whether something made for `offered` runs on `wanted`. */
export function matchesPlatform(wanted: Platform, offered: Platform): boolean {
  return rank(normalisePlatform(wanted), offered) !== undefined;
}

/** Position of an offer among those that would do; smaller is better; undefined when it would not. */
function rank(wanted: Platform, offered: Platform): number | undefined {
  const { os, architecture, variant = "" } = normalisePlatform(offered);
  if (os !== wanted.os || architecture !== wanted.architecture) return undefined;
  const position = acceptableVariants(wanted).indexOf(variant);
  return position === -1 ? undefined : position;
}

/**
 * The entry of an index that suits a platform best, of equals one that is marked as compressed with zstd, else the first;
 * undefined when none does. Entries without a platform are taken only when there is no other entry that could be an image.
 */
export function choosePlatform(manifests: Descriptor[], platform: Platform): Descriptor | undefined {
  const wanted = normalisePlatform(platform);
  const ranked = manifests
    .map((descriptor) => ({
      descriptor,
      rank: descriptor.platform === undefined ? undefined : rank(wanted, descriptor.platform),
    }))
    .filter((entry): entry is { descriptor: Descriptor; rank: number } => entry.rank !== undefined)
    .sort(
      (a, b) => a.rank - b.rank || Number(isMarkedZstd(b.descriptor)) - Number(isMarkedZstd(a.descriptor)),
    );
  if (ranked[0] !== undefined) return ranked[0].descriptor;
  const images = manifests.filter((descriptor) => descriptor.artifactType === undefined);
  return images.length === 1 && images[0]!.platform === undefined ? images[0] : undefined;
}
