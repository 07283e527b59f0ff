import type { StoreFault } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { writeErr, writeOut } from "../output.ts";
import { plainText } from "../plain-text.ts";

export const command = defineCommand({
  name: "check",
  summary: "Verify the store, and repair it",
  usage: "",
  flags: {
    json: { type: "bool", help: "print JSON" },
    quiet: { type: "bool", short: "q", help: "no summary" },
    repair: { type: "bool", help: "unpack damaged layers again, forget what cannot be had back" },
  },
  details: [
    "Blobs are compared with their digests, layers with their diff_ids, the database with the disk. Others may use the store meanwhile: what is being built is no fault. On a disk that is full or read-only they wait, and unpacked layers are not compared with their blobs, which would take room. The exit status is 1 when anything was found.",
    "A repair does not guess. A layer that came from elsewhere is unpacked again from its blob; an image, a list or a cached step that lost a part is forgotten, and its names are printed. What a working container wrote stays as long as it can be read.",
  ],
  examples: ["cooper check", "cooper check --repair", "cooper check --json"],
  namespace: onStore,
  async run({ flags, api, store, signal }) {
    const { checkStore } = await api();
    const report = await checkStore(await store(), { repair: flags.repair, signal });
    if (flags.json) writeOut(`${JSON.stringify(report, undefined, 4)}\n`);
    else for (const fault of report.faults) writeOut(`${lineOf(fault)}\n`);
    if (!flags.quiet && !flags.json) {
      const { blobs, layers, verifiedLayers, skippedLayers, images, containers, faults } = report;
      writeErr(
        `Checked ${blobs} blobs, ${layers} layers (${verifiedLayers} against their diff_id), ${images} images, ${containers} containers: ${faults.length === 0 ? "no fault" : `${faults.length} faults`}\n`,
      );
      if (skippedLayers > 0)
        writeErr(
          `Warning: ${skippedLayers} unpacked layers were not compared with their blobs: the disk is full or read-only\n`,
        );
    }
    return report.faults.length === 0 ? 0 : 1;
  },
});

function lineOf({ kind, what, problem, repair, hint }: StoreFault): string {
  const end = repair !== undefined ? ` [${repair}]` : hint !== undefined ? ` (${hint})` : "";
  return plainText(`${kind} ${what}: ${problem}${end}`);
}
