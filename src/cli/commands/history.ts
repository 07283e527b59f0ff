import { CooperError } from "../../base/errors.ts";
import type { HistoryItem } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { type GoStruct, goJson } from "../go-value.ts";
import { writeOut } from "../output.ts";
import { compileRows, renderTable } from "../table.ts";
import { formatAge, formatSize } from "../units.ts";

/** podman-history(1), docker-history(1) */
export const command = defineCommand({
  name: "history",
  summary: "Show the steps by which an image was made",
  usage: "IMAGE",
  args: { min: 1, max: 1, missing: "An image must be named" },
  flags: {
    format: { type: "string", placeholder: "template", help: "print each step with a Go template, or json" },
    human: {
      type: "bool",
      short: "H",
      default: true,
      help: "sizes and times for people; false: bytes, and times as ISO 8601",
    },
    json: { type: "bool", help: "print JSON" },
    "no-trunc": { type: "bool", help: "whole commands and IDs" },
    noheading: { type: "bool", short: "n", help: "no headings" },
    quiet: { type: "bool", short: "q", help: "IDs only" },
  },
  details: ["The latest step comes first. A step's size is that of its layer, uncompressed."],
  examples: [
    "cooper history localhost/hello",
    "cooper history --no-trunc --format '{{.Size}} {{.CreatedBy}}' localhost/hello",
  ],
  async run({ args, flags, api, store }) {
    if (flags.quiet && flags.format !== undefined)
      throw new CooperError("usage", "Only one of --quiet and --format can be given");
    const json = flags.json || flags.format === "json";
    const formatted = json || flags.format === undefined ? undefined : compileRows(flags.format, HEADINGS);
    const { imageHistory } = await api();
    const items = await imageHistory(await store(), args[0]!);
    if (json) writeOut(`${goJson(items.map(jsonEntry), 4)}\n`);
    else {
      const rows = items.map((item) => rowOf(item, flags));
      if (flags.quiet) writeOut(rows.map((row) => `${row.ID}\n`).join(""));
      else if (formatted !== undefined) writeOut(formatted(rows));
      else writeOut(tableOf(rows, flags.noheading));
    }
    return 0;
  },
});

const HEADINGS = {
  ID: "ID",
  Created: "CREATED",
  CreatedAt: "CREATED AT",
  CreatedSince: "CREATED",
  CreatedBy: "CREATED BY",
  Size: "SIZE",
  Comment: "COMMENT",
  Author: "AUTHOR",
  Tags: "TAGS",
};

const COMMAND_WIDTH = 45;

function rowOf(item: HistoryItem, flags: { human: boolean; "no-trunc": boolean }) {
  const id = item.imageId ?? "<missing>";
  const short = (text: string, width: number) =>
    flags["no-trunc"] || text.length <= width ? text : `${text.slice(0, width - 1)}…`;
  const age = item.created === undefined ? "" : formatAge(Date.parse(item.created));
  const shownTime = flags.human ? age : (item.created ?? "");
  return {
    ID: flags["no-trunc"] ? id : id.slice(0, 12),
    Created: shownTime,
    CreatedAt: item.created ?? "",
    CreatedSince: age,
    CreatedBy: short(item.createdBy.replace(/\s+/g, " "), COMMAND_WIDTH),
    Size: flags.human ? formatSize(item.size) : String(item.size),
    Comment: item.comment.replace(/\s+/g, " "),
    Author: item.author,
    Tags: item.names ?? [],
  };
}

function tableOf(rows: ReturnType<typeof rowOf>[], noheading: boolean): string {
  const cells = rows.map((row) => [row.ID, row.Created, row.CreatedBy, row.Size, row.Comment]);
  const heading = ["ID", "CREATED", "CREATED BY", "SIZE", "COMMENT"];
  return renderTable(noheading ? cells : [heading, ...cells]);
}

function jsonEntry(item: HistoryItem): GoStruct {
  return {
    id: item.imageId ?? "",
    tags: item.names ?? [],
    created: item.created ?? null,
    createdBy: item.createdBy,
    author: item.author,
    comment: item.comment,
    size: item.size,
    diffId: item.diffId ?? null,
  };
}
