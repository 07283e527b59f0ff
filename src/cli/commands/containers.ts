import { CooperError } from "../../base/errors.ts";
import type { ContainerInfo } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { compileTemplate } from "../go-template.ts";
import { goJson } from "../go-value.ts";
import { writeOut } from "../output.ts";

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
    const template = flags.format === undefined ? undefined : compileTemplate(flags.format);
    const tests = parseFilters(flags.filter);
    const { listContainers } = await api();
    const containers = listContainers(await store()).filter((info) => tests.every((test) => test(info)));
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
    if (template !== undefined) return print(rows.map((row) => `${template.render(row)}\n`).join(""));
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
  return `${cut(id)}  ${builder.padEnd(8)} ${cut(imageId)} ${imageName.padEnd(32)} ${name}\n`;
}

type Test = (info: ContainerInfo) => boolean;

function parseFilters(text: string | undefined): Test[] {
  return (text ?? "")
    .split(",")
    .filter((part) => part !== "")
    .map((part) => {
      const at = part.indexOf("=");
      const value = part.slice(at + 1);
      switch (at === -1 ? "" : part.slice(0, at)) {
        case "id":
          return ({ id }) => id.startsWith(value);
        case "name":
          return ({ name }) => name === value || name.includes(value);
        case "ancestor":
          return ({ imageName, imageId }) =>
            imageId?.startsWith(value) === true ||
            imageName === value ||
            imageName === `${value}:latest` ||
            imageName?.endsWith(`/${value}`) === true ||
            imageName?.endsWith(`/${value}:latest`) === true;
        default:
          throw new CooperError("usage", `Invalid filter ${JSON.stringify(part)}`, {
            hint: "use id=…, name=… or ancestor=…",
          });
      }
    });
}
