/** Flags that several commands share for images: which platform, when to pull, which format, when it was made. */
import { CooperError } from "../base/errors.ts";
import type { CommitOptions, PullPolicy } from "../index.ts";
import type { FlagTable } from "./command.ts";
import { hostArchitecture, VERSION } from "./version.ts";

export const PLATFORM_FLAGS = {
  arch: { type: "string", placeholder: "arch", help: "the image's architecture in place of the host's" },
  os: { type: "string", placeholder: "os", help: "the image's operating system in place of the host's" },
  platform: {
    type: "commaList",
    placeholder: "os/arch[/variant]",
    help: "the image's platform in place of the host's",
  },
  variant: { type: "string", placeholder: "variant", help: "the variant of the image's architecture" },
} as const satisfies FlagTable;

interface PlatformValues {
  arch: string | undefined;
  os: string | undefined;
  platform: string[];
  variant: string | undefined;
}

/** The platform that --platform, or --os, --arch and --variant, ask for; undefined for the host's. */
export function platformOf(flags: PlatformValues): string | undefined {
  const [platform, second] = platformsOf(flags);
  if (second !== undefined) throw new CooperError("usage", "Only one platform can be named here");
  return platform;
}

/** All that --platform names, or the one of --os, --arch and --variant; none for the host's. */
export function platformsOf({ arch, os, platform, variant }: PlatformValues): string[] {
  const parts = arch !== undefined || os !== undefined || variant !== undefined;
  if (platform.length > 0 && parts)
    throw new CooperError("usage", "--platform cannot be combined with --os, --arch or --variant");
  for (const text of platform) {
    if (!/^[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9.]+)?$/.test(text)) {
      throw new CooperError("usage", `Cannot read the platform ${JSON.stringify(text)}`, {
        hint: "write it as linux/arm64",
      });
    }
  }
  if (!parts) return platform;
  const named = [os ?? "linux", arch ?? hostArchitecture(), ...(variant === undefined ? [] : [variant])];
  return [named.join("/")];
}

export const PULL_FLAGS = {
  pull: {
    type: "string",
    bare: "always",
    placeholder: "always|missing|newer|never",
    help: "when to bring the image anew: always (also true, and --pull alone), missing (also false), newer or never",
  },
  "pull-always": { type: "bool", help: "the same as --pull=always" },
  "pull-never": { type: "bool", help: "the same as --pull=never" },
} as const satisfies FlagTable;

/** The policy asked for; undefined leaves the default to the API. */
export function pullPolicyOf(flags: {
  pull: string | undefined;
  "pull-always": boolean;
  "pull-never": boolean;
}): PullPolicy | undefined {
  const asked = [flags.pull !== undefined, flags["pull-always"], flags["pull-never"]].filter(Boolean).length;
  if (asked > 1)
    throw new CooperError("usage", "Only one of --pull, --pull-always and --pull-never can be given");
  if (flags["pull-always"]) return "always";
  if (flags["pull-never"]) return "never";
  return flags.pull === undefined ? undefined : parsePullPolicy(flags.pull, "--pull");
}

const POLICIES: Record<string, PullPolicy> = {
  always: "always",
  true: "always",
  missing: "missing",
  ifmissing: "missing",
  false: "missing",
  never: "never",
  newer: "newer",
  ifnewer: "newer",
};

export function parsePullPolicy(text: string, shown: string): PullPolicy {
  const policy = Object.hasOwn(POLICIES, text) ? POLICIES[text] : undefined;
  if (policy === undefined) {
    throw new CooperError("usage", `Unknown policy ${JSON.stringify(text)} for ${shown}`, {
      hint: "use always, missing, newer or never",
    });
  }
  return policy;
}

/** What of an image goes along when it is sent. */
export const CONTENT_FLAGS = {
  attestations: {
    type: "bool",
    default: true,
    help: "with --all, also BuildKit's attestations; false: the images alone",
  },
  "foreign-layers": {
    type: "bool",
    help: "also layers that their publisher keeps elsewhere (non-distributable ones)",
  },
} as const satisfies FlagTable;

export const FORMAT_FLAG = {
  type: "string",
  placeholder: "oci|docker",
  help: "format of manifest and config: oci or docker (v2s2)",
  env: ["COOPER_FORMAT", "BUILDAH_FORMAT"],
} as const;

/** oci or docker by any of the names that they go by. */
export function formatOf(text: string | undefined): CommitOptions["format"] {
  switch (text) {
    case undefined:
      return undefined;
    case "oci":
    case "application/vnd.oci.image.manifest.v1+json":
      return "oci";
    case "docker":
    case "v2s2":
    case "application/vnd.docker.distribution.manifest.v2+json":
      return "docker";
    case "v2s1":
      throw new CooperError(
        "unsupported",
        "Docker's manifest schema 1 is not supported: registries have dropped it",
      );
    default:
      throw new CooperError("usage", `Unknown image format ${JSON.stringify(text)}`, {
        hint: "use oci or docker",
      });
  }
}

/** Value of the label io.buildah.version: as in Buildah an image with a time that was given has it only where it is asked for. */
export function identityLabelOf(
  flags: {
    "identity-label": boolean;
    timestamp: number | undefined;
    "source-date-epoch": number | undefined;
  },
  given: ReadonlySet<string>,
): string | undefined {
  const isDated =
    flags.timestamp !== undefined ||
    flags["source-date-epoch"] !== undefined ||
    process.env.SOURCE_DATE_EPOCH;
  return flags["identity-label"] && (given.has("identity-label") || !isDated) ? VERSION : undefined;
}

/** Flags of `commit` and `build` for the image that is made. */
export const MADE_IMAGE_FLAGS = {
  "disable-compression": {
    type: "bool",
    short: "D",
    default: true,
    help: "leave layers uncompressed, but for registries; the store always does, push compresses them",
  },
  "identity-label": {
    type: "bool",
    default: true,
    help: "add the label io.buildah.version that tells what made the image; not where a time is given, unless asked for",
  },
  "created-annotation": {
    type: "bool",
    help: "also tell the time of creation in the manifest, as org.opencontainers.image.created",
  },
  iidfile: {
    type: "string",
    placeholder: "file",
    help: "write the image's ID to a file, in place of printing it",
  },
  quiet: { type: "bool", short: "q", help: "print the image's ID only" },
  squash: { type: "bool", help: "make one layer of everything, the base's included" },
  timestamp: {
    type: "int",
    placeholder: "seconds",
    help: "time since 1970 for the image, its history and every file",
  },
} as const satisfies FlagTable;
