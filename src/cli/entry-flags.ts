/** Flags for what a list says about one of its images. */
import type { ManifestEntryEdits } from "../index.ts";
import type { FlagTable, FlagValues } from "./command.ts";

export const ENTRY_FLAGS = {
  annotation: { type: "commaList", placeholder: "name=value", help: "annotate the image's entry" },
  arch: { type: "string", placeholder: "arch", help: "the architecture that the list tells" },
  features: { type: "commaList", placeholder: "feature", help: "the features that the list tells" },
  os: { type: "string", placeholder: "os", help: "the operating system that the list tells" },
  "os-features": { type: "commaList", placeholder: "feature", help: "the OS features that the list tells" },
  "os-version": { type: "string", placeholder: "version", help: "the OS version that the list tells" },
  variant: { type: "string", placeholder: "variant", help: "the variant of the architecture" },
} as const satisfies FlagTable;

/** What was asked for, as the API takes it. */
export function entryEdits(flags: FlagValues<typeof ENTRY_FLAGS>): ManifestEntryEdits {
  return {
    ...(flags.annotation.length === 0 ? {} : { annotations: flags.annotation }),
    ...(flags.arch === undefined ? {} : { arch: flags.arch }),
    ...(flags.features.length === 0 ? {} : { features: flags.features }),
    ...(flags.os === undefined ? {} : { os: flags.os }),
    ...(flags["os-features"].length === 0 ? {} : { osFeatures: flags["os-features"] }),
    ...(flags["os-version"] === undefined ? {} : { osVersion: flags["os-version"] }),
    ...(flags.variant === undefined ? {} : { variant: flags.variant }),
  };
}
