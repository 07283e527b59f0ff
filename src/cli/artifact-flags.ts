/** Flags of `manifest add` for files in place of an image. */
import type { ArtifactOptions } from "../index.ts";
import type { FlagTable, FlagValues } from "./command.ts";
import { type ENTRY_FLAGS, entryEdits } from "./entry-flags.ts";

export const ARTIFACT_FLAGS = {
  artifact: { type: "bool", help: "add files of the host, as one artifact, in place of an image" },
  "artifact-annotation": { type: "commaList", placeholder: "name=value", help: "annotate the artifact" },
  "artifact-config": {
    type: "string",
    placeholder: "file",
    help: "the artifact's config; empty without one",
  },
  "artifact-config-type": {
    type: "string",
    placeholder: "type",
    default: "application/vnd.oci.empty.v1+json",
    help: "media type of its config",
  },
  "artifact-exclude-titles": { type: "bool", help: "leave the names of the files out" },
  "artifact-layer-type": {
    type: "string",
    placeholder: "type",
    help: "media type of the files; by default the end of each name tells",
  },
  "artifact-subject": { type: "string", placeholder: "image", help: "the image that the artifact is about" },
  "artifact-type": { type: "string", placeholder: "type", help: "what the artifact is, as a media type" },
} as const satisfies FlagTable;

/** What was asked for, as the API takes it. */
export function artifactOptions(
  flags: FlagValues<typeof ARTIFACT_FLAGS & typeof ENTRY_FLAGS>,
): ArtifactOptions {
  const options: ArtifactOptions = { ...entryEdits(flags), titles: !flags["artifact-exclude-titles"] };
  if (flags["artifact-type"] !== undefined) options.artifactType = flags["artifact-type"];
  if (flags["artifact-config"] !== undefined) options.config = flags["artifact-config"];
  if (flags["artifact-config-type"] !== undefined) options.configType = flags["artifact-config-type"];
  if (flags["artifact-layer-type"] !== undefined) options.layerType = flags["artifact-layer-type"];
  if (flags["artifact-subject"] !== undefined) options.subject = flags["artifact-subject"];
  if (flags["artifact-annotation"].length > 0) options.artifactAnnotations = flags["artifact-annotation"];
  return options;
}
