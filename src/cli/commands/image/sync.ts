import { CooperError } from "../../../base/errors.ts";
import type { SyncedImage, SyncOptions } from "../../../index.ts";
import { defineCommand } from "../../command.ts";
import { writeIdFile } from "../../id-file.ts";
import { CONTENT_FLAGS, formatOf } from "../../image-flags.ts";
import { JSON_FLAG, writeResult } from "../../json-flag.ts";
import { writeErr, writeOut } from "../../output.ts";
import { openProgress, showsWarnings } from "../../progress.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../../registry-flags.ts";
import { renderError } from "../../render-error.ts";
import { SIDE_FLAGS, sideOptions } from "../../side-flags.ts";

/** skopeo-sync(1) */
export const command = defineCommand({
  name: "image sync",
  summary: "Copy many images between registries and directories",
  usage: "SOURCE DESTINATION",
  args: { min: 2, max: 2, missing: "A source and a destination must be named" },
  flags: {
    ...REGISTRY_FLAGS,
    ...RETRY_FLAGS,
    ...SIDE_FLAGS,
    all: { type: "bool", short: "a", help: "of lists, all of their images and the lists themselves" },
    ...CONTENT_FLAGS,
    "append-suffix": {
      type: "string",
      placeholder: "text",
      help: "put a text behind every name at the destination",
    },
    dest: { type: "string", short: "d", placeholder: "docker|dir", help: "what DESTINATION is" },
    digestfile: {
      type: "string",
      placeholder: "file",
      help: "write each image's digest and place to a file, one on a line",
    },
    "dry-run": { type: "bool", help: "print what would be copied, and copy nothing" },
    format: { type: "string", short: "f", placeholder: "oci|docker", help: "oci or docker (v2s2)" },
    ...JSON_FLAG,
    "keep-going": { type: "bool", help: "go on after a failure, and fail at the end" },
    "preserve-digests": { type: "bool", help: "fail where a digest would change" },
    quiet: { type: "bool", short: "q", help: "no progress" },
    "remove-signatures": { type: "bool", help: "without effect: Cooper copies none" },
    scoped: { type: "bool", help: "whole names at the destination, not only their last part" },
    src: { type: "string", short: "s", placeholder: "docker|dir|yaml", help: "what SOURCE is" },
  },
  unsupported: ["sign-by", "sign-by-sigstore-private-key", "sign-passphrase-file"],
  details: [
    "SOURCE is a repository of a registry, of which all tags are copied, or one image of it (--src docker); a directory with images below it (--src dir); or a file that lists images (--src yaml, its format is in skopeo-sync(1)). DESTINATION is a path in a registry (--dest docker) or a directory (--dest dir), below which images get the names that skopeo gives them, so that either program reads what the other one wrote. A directory that holds an image already gets the new one. Each place and its digest are printed.",
  ],
  examples: [
    "cooper image sync --src docker --dest dir registry.example.com/hello /media/usb",
    "cooper image sync --src dir --dest docker /media/usb mirror.example.com/hello",
    "cooper image sync --src yaml --dest docker --scoped --all images.yaml mirror.example.com",
  ],
  async run({ args, flags, given, signal, globals, api }) {
    const [source, destination] = args as [string, string];
    const images: SyncedImage[] = [];
    const open = () => openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    let progress = await open();
    const format = formatOf(flags.format);
    const options: SyncOptions = {
      ...registryOptions(flags, given),
      source: sideOptions(flags, "src", given),
      destination: sideOptions(flags, "dest", given),
      from: kindOf(flags.src, "src", ["docker", "dir", "yaml"]),
      to: kindOf(flags.dest, "dest", ["docker", "dir"]),
      all: flags.all,
      attestations: flags.attestations,
      foreignLayers: flags["foreign-layers"],
      scoped: flags.scoped,
      keepGoing: flags["keep-going"],
      dryRun: flags["dry-run"],
      preserveDigests: flags["preserve-digests"],
      ...(flags["append-suffix"] === undefined ? {} : { appendSuffix: flags["append-suffix"] }),
      ...(format === undefined ? {} : { format }),
      signal,
      onEvent: (event) => progress.onEvent(event),
      async onImage(image) {
        progress.end();
        images.push(image);
        tell(image, flags.json);
        progress = await open();
      },
    };
    const { sync } = await api();
    try {
      await sync(source, destination, options);
    } finally {
      progress.end();
      if (flags.digestfile !== undefined) writeIdFile(flags.digestfile, images.map(digestLine).join(""));
      if (flags.json) writeResult(true, await plain(images), []);
    }
    return 0;
  },
});

function kindOf<K extends string>(value: string | undefined, flag: string, kinds: readonly K[]): K {
  const kind = kinds.find((one) => one === value);
  if (kind !== undefined) return kind;
  const why = value === undefined ? "is missing" : `cannot be ${JSON.stringify(value)}`;
  throw new CooperError("usage", `--${flag} ${why}`, { hint: `use --${flag} ${kinds.join(" or ")}` });
}

const digestLine = ({ digest, destination }: SyncedImage) =>
  digest === undefined ? "" : `${digest} ${destination}\n`;

async function plain(images: SyncedImage[]): Promise<object[]> {
  const { errorFields } = await import("../../raw-json.ts");
  return images.map(({ error, ...image }) =>
    error === undefined ? image : { ...image, error: errorFields(error) },
  );
}

/** With `json` what was copied is told in the end. */
function tell({ source, destination, digest, error }: SyncedImage, json: boolean): void {
  if (error !== undefined) writeErr(renderError(error));
  else if (!json)
    writeOut(digest === undefined ? `${source} ${destination}\n` : `${digest} ${destination}\n`);
}
