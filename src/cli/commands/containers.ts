import { CooperError } from "../../base/errors.ts";
import type { ContainerInfo, ImageInfo } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { goJson } from "../go-value.ts";
import { idsCalled } from "../image-filter.ts";
import { writeOut } from "../output.ts";
import { compileRows } from "../table.ts";

/** buildah-containers(1) */
export const command = defineCommand({
  name: "containers",
  aliases: ["list", "ls", "ps"],
  summary: "List the working containers and their images",
  usage: "",
  flags: {
    all: { type: "bool", short: "a", help: "also containers of other tools; the store has none" },
    filter: { type: "string", short: "f", placeholder: "name=value,…", help: "id, name or ancestor" },
    format: { type: "string", placeholder: "template", help: "print each container with a Go template" },
    json: { type: "bool", help: "print JSON" },
    noheading: { type: "bool", short: "n", help: "no headings" },
    notruncate: { type: "bool", help: "whole IDs" },
    quiet: { type: "bool", short: "q", help: "IDs only" },
  },
  examples: [
    "cooper containers",
    "cooper containers --quiet --filter name=work",
    "cooper containers --format '{{.ContainerID}} {{.ContainerName}}'",
  ],
  async run({ flags, api, store }) {
    if (flags.quiet && flags.format !== undefined)
      throw new CooperError("usage", "Only one of --quiet and --format can be given");
    const formatted = flags.format === undefined ? undefined : compileRows(flags.format, HEADINGS);
    const filters = parseFilters(flags.filter);
    const { listContainers, listImages } = await api();
    const opened = await store();
    const images = filters.some(({ name }) => name === "ancestor") ? await listImages(opened) : [];
    const tests = filters.map((filter) => testOf(filter, images));
    const containers = (await listContainers(opened)).filter((info) => tests.every((test) => test(info)));
    const rows = containers.map(rowOf);
    if (flags.json) {
      const entries = rows.map((row) => ({
        id: row.ContainerID,
        builder: true,
        imageid: row.ImageID,
        imagename: row.ImageName,
        containername: row.ContainerName,
      }));
      return print(`${goJson(entries, 4)}\n`);
    }
    if (formatted !== undefined) return print(formatted(rows));
    if (flags.quiet) return print(rows.map((row) => `${row.ContainerID}\n`).join(""));
    const lines = rows.map((row) =>
      lineOf(row.ContainerID, row.Builder, row.ImageID, row.ImageName, row.ContainerName, flags.notruncate),
    );
    const heading = lineOf(
      "CONTAINER ID",
      "BUILDER",
      "IMAGE ID",
      "IMAGE NAME",
      "CONTAINER NAME",
      flags.notruncate,
    );
    return print((flags.noheading ? lines : [heading, ...lines]).join(""));
  },
});

function print(text: string): number {
  writeOut(text);
  return 0;
}

function rowOf(info: ContainerInfo) {
  return {
    ContainerID: info.id,
    Builder: "   *",
    ImageID: info.imageId ?? "",
    ImageName: info.imageName ?? (info.imageId === undefined ? "scratch" : ""),
    ContainerName: info.name,
  };
}

/** What `table …` puts over the columns. */
const HEADINGS = {
  ContainerID: "CONTAINER ID",
  Builder: "BUILDER",
  ImageID: "IMAGE ID",
  ImageName: "IMAGE NAME",
  ContainerName: "CONTAINER NAME",
};

/** Buildah's columns have fixed widths. */
function lineOf(
  id: string,
  builder: string,
  imageId: string,
  imageName: string,
  name: string,
  whole: boolean,
): string {
  const width = whole ? 64 : 12;
  const cut = (text: string) => text.slice(0, width).padEnd(width);
  const shortName = whole || imageName.length <= 32 ? imageName : `${imageName.slice(0, 29)}...`;
  return `${cut(id)}${whole ? " " : "  "}${builder.padEnd(8)} ${cut(imageId)} ${shortName.padEnd(32)} ${name}\n`;
}

interface Filter {
  name: "id" | "name" | "ancestor";
  value: string;
}

function parseFilters(text: string | undefined): Filter[] {
  const parts = (text ?? "").split(",").filter((part) => part !== "");
  return parts.map((part) => {
    const [, name, value] = /^\s*(id|name|ancestor)\s*=(.*)$/s.exec(part) ?? [];
    if (name !== undefined) return { name: name as Filter["name"], value: value! };
    throw new CooperError("usage", `Invalid filter ${JSON.stringify(part)}`, {
      hint: "use id=…, name=… or ancestor=…",
    });
  });
}

function testOf({ name, value }: Filter, images: ImageInfo[]): (info: ContainerInfo) => boolean {
  if (name === "id") return ({ id }) => id.startsWith(value);
  if (name === "name") return (info) => info.name.includes(value);
  const ids = idsCalled(images, value);
  return ({ imageId }) => imageId !== undefined && (ids.has(imageId) || imageId.startsWith(value));
}
