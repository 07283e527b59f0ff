import type { DiskPart, DiskUsage } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { writeOut } from "../output.ts";
import { renderTable } from "../table.ts";
import { formatSize } from "../units.ts";

export const command = defineCommand({
  name: "du",
  summary: "Show what fills the disk",
  usage: "",
  flags: {
    json: { type: "bool", help: "print JSON, sizes in bytes" },
    noheading: { type: "bool", short: "n", help: "no headings" },
    verbose: { type: "bool", short: "v", help: "also each image and container" },
  },
  details: [
    "Sizes are those of the disk. What images, containers and the cache share is counted once, in the first of these. RECLAIMABLE is what `cooper prune --all` would free.",
  ],
  examples: ["cooper du", "cooper du --verbose", "cooper du --json"],
  namespace: onStore,
  async run({ flags, api, store }) {
    const { diskUsage } = await api();
    const usage = await diskUsage(await store());
    if (flags.json) {
      writeOut(`${JSON.stringify(usage, undefined, 4)}\n`);
      return 0;
    }
    writeOut(summaryTable(usage, flags.noheading));
    if (flags.verbose) writeOut(detailTables(usage, flags.noheading));
    return 0;
  },
});

function summaryTable(usage: DiskUsage, noheading: boolean): string {
  const row = (name: string, { count, bytes, reclaimable }: DiskPart, counts = true) => [
    name,
    counts ? String(count) : "",
    formatSize(bytes),
    formatSize(reclaimable),
  ];
  const rows = [
    row("Images", usage.images),
    row("Containers", usage.containers),
    row("Build cache", usage.cache),
    row("Cache mounts", usage.cacheMounts),
    row("Logs", usage.logs),
    row("Unfinished", usage.unfinished, false),
    row("Database", usage.database, false),
  ];
  const reclaimable = [
    usage.images,
    usage.containers,
    usage.cache,
    usage.cacheMounts,
    usage.logs,
    usage.unfinished,
  ].reduce((sum, part) => sum + part.reclaimable, 0);
  const total = ["Total", "", formatSize(usage.totalBytes), formatSize(reclaimable)];
  return renderTable([...(noheading ? [] : [["TYPE", "COUNT", "SIZE", "RECLAIMABLE"]]), ...rows, total]);
}

function detailTables(usage: DiskUsage, noheading: boolean): string {
  const images = usage.perImage.map(({ id, names, bytes, sharedBytes, inUse }) => [
    id.slice(0, 12),
    formatSize(bytes),
    formatSize(sharedBytes),
    formatSize(bytes - sharedBytes),
    inUse ? "yes" : "no",
    names.join(", ") || "<none>",
  ]);
  const containers = usage.perContainer.map(({ id, name, bytes }) => [
    id.slice(0, 12),
    formatSize(bytes),
    name,
  ]);
  const imageHeading = ["IMAGE ID", "SIZE", "SHARED", "UNIQUE", "IN USE", "NAMES"];
  const containerHeading = ["CONTAINER ID", "SIZE", "NAME"];
  const table = (heading: string[], rows: string[][]) =>
    rows.length === 0 ? "" : `\n${renderTable(noheading ? rows : [heading, ...rows])}`;
  return table(imageHeading, images) + table(containerHeading, containers);
}
