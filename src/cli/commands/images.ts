import { CooperError } from "../../base/errors.ts";
import type { ImageInfo } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { type GoStruct, GoTime, goJson } from "../go-value.ts";
import { filterImages, splitName } from "../image-filter.ts";
import { writeOut } from "../output.ts";
import { compileRows, renderTable } from "../table.ts";
import { formatAge, formatSize } from "../units.ts";

/** buildah-images(1) */
export const command = defineCommand({
  name: "images",
  summary: "List the images in the store",
  usage: "[IMAGE]",
  args: { max: 1 },
  flags: {
    all: {
      type: "bool",
      short: "a",
      help: "also images that are only steps of a build; the store keeps none",
    },
    digests: { type: "bool", help: "show digests" },
    filter: {
      type: "commaList",
      short: "f",
      placeholder: "name=value",
      help: "after, before, dangling, id, label, readonly, reference or since",
    },
    format: { type: "string", placeholder: "template", help: "print each image with a Go template" },
    history: { type: "bool", help: "also the other names that each image has or had" },
    json: { type: "bool", help: "print JSON" },
    "no-trunc": { type: "bool", help: "whole IDs" },
    noheading: { type: "bool", short: "n", help: "no headings" },
    quiet: { type: "bool", short: "q", help: "IDs only" },
  },
  examples: [
    "cooper images",
    "cooper images --filter dangling=true -q",
    "cooper images --format '{{.ID}} {{.Name}}:{{.Tag}} {{.Size}}' localhost/hello",
  ],
  async run({ args, flags, api, store }) {
    if (flags.all && args.length > 0) throw new CooperError("usage", "With --all no images can be named");
    if (flags.quiet && flags.format !== undefined)
      throw new CooperError("usage", "Only one of --quiet and --format can be given");
    const formatted = flags.format === undefined ? undefined : compileRows(flags.format, HEADINGS);
    const { listContainers, listImages, resolveImage } = await api();
    const opened = await store();
    const wanted = args[0] === undefined ? undefined : await resolveImage(opened, args[0]);
    const used = async () => new Set((await listContainers(opened)).flatMap(({ imageId }) => imageId ?? []));
    const images = (await filterImages(await listImages(opened), flags.filter, used))
      .filter(({ id }) => wanted === undefined || id === wanted)
      .sort((a, b) => Date.parse(b.created) - Date.parse(a.created));
    if (flags.json)
      return print(
        `${goJson(
          images.map((image) => jsonEntry(image, flags)),
          4,
        )}\n`,
      );
    const shownId = (image: ImageInfo) => (flags["no-trunc"] ? `sha256:${image.id}` : image.id.slice(0, 12));
    if (flags.quiet) return print(images.map((image) => `${shownId(image)}\n`).join(""));
    const rows = images.flatMap((image) => rowsOf(image, shownId(image)));
    if (formatted !== undefined) return print(formatted(rows));
    return print(tableOf(rows, flags));
  },
});

function print(text: string): number {
  writeOut(text);
  return 0;
}

function jsonEntry(image: ImageInfo, flags: { "no-trunc": boolean; history: boolean }): GoStruct {
  return {
    id: flags["no-trunc"] ? image.id : image.id.slice(0, 12),
    names: image.names.length === 0 ? null : image.names,
    digest: image.digest,
    createdat: formatAge(Date.parse(image.created)),
    size: formatSize(image.size),
    created: Math.floor(Date.parse(image.created) / 1000),
    createdatraw: image.created,
    readonly: false,
    history: flags.history ? image.nameHistory : null,
  };
}

/** What `table …` puts over the columns. */
const HEADINGS = {
  Name: "REPOSITORY",
  Tag: "TAG",
  ID: "IMAGE ID",
  Digest: "DIGEST",
  Created: "CREATED",
  CreatedAt: "CREATED",
  CreatedAtRaw: "CREATED",
  Size: "SIZE",
  ReadOnly: "READ ONLY",
  History: "HISTORY",
};

/** A row for each name, with the fields that templates know. */
function rowsOf(image: ImageInfo, id: string) {
  const names =
    image.names.length === 0 ? [{ repository: "<none>", tag: "<none>" }] : image.names.map(splitName);
  return names.map(({ repository, tag }) => ({
    Tag: tag,
    ID: id,
    Name: repository,
    Digest: image.digest,
    Created: Math.floor(Date.parse(image.created) / 1000),
    CreatedAt: formatAge(Date.parse(image.created)),
    Size: formatSize(image.size),
    CreatedAtRaw: new GoTime(image.created),
    ReadOnly: false,
    History: image.nameHistory.filter((name) => name !== `${repository}:${tag}`).join(", ") || "<none>",
  }));
}

interface TableFlags {
  digests: boolean;
  history: boolean;
  noheading: boolean;
}

function tableOf(rows: ReturnType<typeof rowsOf>, flags: TableFlags): string {
  const digest = (value: string) => (flags.digests ? [value] : []);
  const history = (value: string) => (flags.history ? [value] : []);
  const before = ["REPOSITORY", "TAG", ...digest("DIGEST")];
  const heading = [...before, "IMAGE ID", "CREATED", "SIZE", ...history("HISTORY")];
  const cells = rows.map((row) => [
    row.Name,
    row.Tag,
    ...digest(row.Digest),
    row.ID,
    row.CreatedAt,
    row.Size,
    ...history(row.History),
  ]);
  return renderTable(flags.noheading ? cells : [heading, ...cells]);
}
