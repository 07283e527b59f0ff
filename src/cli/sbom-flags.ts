/** --sbom and its kin of `build` and `commit` (buildah-build(1)). */
import { CooperError } from "../base/errors.ts";
import type { SbomOptions } from "../index.ts";
import type { FlagTable, FlagValues } from "./command.ts";
import { splitWords } from "./shell-words.ts";

export const SBOM_FLAGS = {
  sbom: {
    type: "string",
    placeholder: "preset",
    help: "have a scanner list what is in the image: syft, syft-cyclonedx, syft-spdx, trivy, trivy-cyclonedx or trivy-spdx; takes one of the outputs",
  },
  "sbom-image-output": { type: "string", placeholder: "path", help: "put the list into the image" },
  "sbom-image-purl-output": {
    type: "string",
    placeholder: "path",
    help: "put the package URLs of the list into the image",
  },
  "sbom-merge-strategy": {
    type: "string",
    placeholder: "strategy",
    help: "how lists become one: cat, merge-cyclonedx-by-component-name-and-version or merge-spdx-by-package-name-and-versioninfo",
  },
  "sbom-output": { type: "string", placeholder: "file", help: "write the list to a file" },
  "sbom-purl-output": {
    type: "string",
    placeholder: "file",
    help: "write the package URLs of the list to a file",
  },
  "sbom-scanner-command": {
    type: "list",
    placeholder: "command",
    help: "a command of the scanner's image, with {ROOTFS} or {CONTEXT}, and {OUTPUT} for the file that it writes",
  },
  "sbom-scanner-image": { type: "string", placeholder: "image", help: "the scanner's image" },
} as const satisfies FlagTable;

type SbomValues = FlagValues<typeof SBOM_FLAGS>;
type Scanner = Pick<SbomOptions, "image" | "commands" | "merge">;

const CYCLONEDX = "merge-cyclonedx-by-component-name-and-version";
const SPDX = "merge-spdx-by-package-name-and-versioninfo";
const MERGES: readonly SbomOptions["merge"][] = ["cat", CYCLONEDX, SPDX];

/** Undefined where no flag of these is given. Throws `usage` for what lacks a part. */
export function sbomOptions(flags: SbomValues): SbomOptions | undefined {
  const asked = Object.keys(SBOM_FLAGS).some((name) => flags[name as keyof SbomValues]?.length);
  if (!asked) return undefined;
  const outputs = {
    ...given("output", flags["sbom-output"]),
    ...given("purlOutput", flags["sbom-purl-output"]),
    ...given("imageOutput", flags["sbom-image-output"]),
    ...given("imagePurlOutput", flags["sbom-image-purl-output"]),
  };
  if (Object.keys(outputs).length === 0)
    throw new CooperError("usage", "An SBOM needs a place", {
      hint: "give --sbom-output, --sbom-image-output, --sbom-purl-output or --sbom-image-purl-output",
    });
  return { ...scannerOf(flags), ...outputs };
}

function given<K extends string>(name: K, value: string | undefined): { [P in K]?: string } {
  return (value ? { [name]: value } : {}) as { [P in K]?: string };
}

/** Any of its flags goes before the whole of a preset, as in Buildah. */
function scannerOf(flags: SbomValues): Scanner {
  const { "sbom-scanner-image": image, "sbom-scanner-command": commands } = flags;
  const strategy = flags["sbom-merge-strategy"];
  if (!image && commands.length === 0 && !strategy) return presetOf(flags.sbom || "syft");
  if (!image || commands.length === 0)
    throw new CooperError("usage", "A scanner of one's own takes both an image and a command", {
      hint: "give --sbom-scanner-image and --sbom-scanner-command",
    });
  const merge = MERGES.find((known) => known === strategy);
  if (merge === undefined)
    throw new CooperError(
      "usage",
      strategy
        ? `Unknown --sbom-merge-strategy ${JSON.stringify(strategy)}`
        : "A scanner of one's own takes --sbom-merge-strategy",
      { hint: `use ${MERGES.join(", ")}` },
    );
  return { image, commands: commands.map(wordsOf), merge };
}

/** A scanner's image may have no shell: only what redirects needs one. */
function wordsOf(command: string): string | string[] {
  return /[<>|]/.test(command) ? command : splitWords(command, "--sbom-scanner-command");
}

function presetOf(name: string): Scanner {
  const [, tool, format = "cyclonedx"] = /^(syft|trivy)(?:-(cyclonedx|spdx))?$/.exec(name) ?? [];
  if (tool === undefined)
    throw new CooperError("usage", `Unknown preset ${JSON.stringify(name)} for --sbom`, {
      hint: "use syft, syft-cyclonedx, syft-spdx, trivy, trivy-cyclonedx or trivy-spdx",
    });
  const json = format === "spdx" ? "spdx-json" : tool === "syft" ? "cyclonedx-json" : "cyclonedx";
  const merge = format === "spdx" ? SPDX : CYCLONEDX;
  const places = ["{ROOTFS}", "{CONTEXT}"];
  if (tool === "syft")
    return {
      image: "ghcr.io/anchore/syft",
      commands: places.map((place) => [
        "/syft",
        "scan",
        "-q",
        `dir:${place}`,
        "--output",
        `${json}={OUTPUT}`,
      ]),
      merge,
    };
  return {
    image: "ghcr.io/aquasecurity/trivy",
    commands: places.map((place) => [
      "trivy",
      "filesystem",
      "-q",
      place,
      "--format",
      json,
      "--output",
      "{OUTPUT}",
    ]),
    merge,
  };
}
