import { CooperError } from "../../../base/errors.ts";
import type { ImageReferenceDetails } from "../../../index.ts";
import { defineCommand } from "../../command.ts";
import { renderTemplate } from "../../go-template.ts";
import { goJson, goMap, type GoStruct } from "../../go-value.ts";
import { PLATFORM_FLAGS, platformOf } from "../../image-flags.ts";
import { checkDocumentFlags, DOCUMENT_FLAG } from "../../json-flag.ts";
import { writeOut } from "../../output.ts";
import { warningsTo } from "../../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../../registry-flags.ts";

/** skopeo-inspect(1) */
export const command = defineCommand({
  name: "image inspect",
  summary: "Show what an image is, without bringing it into the store",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: "An image must be named" },
  flags: {
    ...PLATFORM_FLAGS,
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    config: { type: "bool", help: "the config; with --raw its bytes as they are" },
    format: { type: "string", short: "f", placeholder: "template", help: "print with a Go template" },
    ...DOCUMENT_FLAG,
    raw: { type: "bool", help: "the manifest or list, its bytes as they are" },
  },
  details: [
    "IMAGE is a name in the store, docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME (a Docker engine) or containers-storage:NAME (Podman); a name that the store does not have is looked up in a registry. No layer is read. Of a list the image for this host is shown, or for --platform.",
  ],
  examples: [
    "cooper image inspect docker://registry.example.com/hello",
    "cooper image inspect --raw oci-archive:hello.tar",
    "cooper image inspect --config --format '{{.config.Env}}' localhost/hello",
  ],
  async run({ args, flags, given, signal, globals, api, store }) {
    checkDocumentFlags(flags.format, given);
    const platform = platformOf(flags);
    const { inspectReference } = await api();
    const details = await inspectReference(args[0]!, {
      ...registryOptions(flags, given),
      ...(platform === undefined ? {} : { platform }),
      rootOnly: flags.raw && !flags.config && platform === undefined,
      store: await store(),
      signal,
      onEvent: warningsTo(globals.logLevel),
    });
    if (flags.raw) writeOut(rawOf(details, flags.config, platform !== undefined));
    else {
      const document = flags.config ? configOf(details) : summaryOf(details);
      const { format } = flags;
      writeOut(format === undefined ? `${goJson(document, 4)}\n` : `${renderTemplate(format, document)}\n`);
    }
    return 0;
  },
});

function rawOf(details: ImageReferenceDetails, config: boolean, chosen: boolean): Uint8Array {
  if (config) return details.rawConfig!;
  return chosen ? Buffer.from(JSON.stringify(details.imageManifest)) : details.raw;
}

function requireConfig({ name, config }: ImageReferenceDetails) {
  if (config !== undefined) return config;
  throw new CooperError("unsupported", `${name} is no container image`, { hint: "--raw shows its manifest" });
}

function configOf(details: ImageReferenceDetails): GoStruct {
  return requireConfig(details) as unknown as GoStruct;
}

function summaryOf(details: ImageReferenceDetails): GoStruct {
  const { architecture, os, created, config } = requireConfig(details);
  const registryName = /^docker:\/\/(.*?)(?:@sha256:[0-9a-f]+|:[^:/]+)?$/.exec(details.name)?.[1];
  const layers = details.imageManifest!.layers;
  return {
    ...(registryName === undefined ? {} : { Name: registryName }),
    Digest: details.digest,
    Created: created ?? null,
    Labels: config?.Labels === undefined ? null : goMap(config.Labels),
    Architecture: architecture,
    Os: os,
    Layers: layers.map(({ digest }) => digest),
    LayersData: layers.map(({ mediaType, digest, size, annotations }) => ({
      MIMEType: mediaType,
      Digest: digest,
      Size: size,
      Annotations: annotations === undefined ? null : goMap(annotations),
    })),
    Env: config?.Env ?? null,
  };
}
