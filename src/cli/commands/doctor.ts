import type { Diagnosis } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { writeOut } from "../output.ts";

/** Cooper's own. */
export const command = defineCommand({
  name: "doctor",
  summary: "Check what this host lets Cooper do, and say what would mend it",
  usage: "",
  flags: { json: { type: "bool", help: "print JSON" } },
  details: [
    "Tries what a build needs (namespaces, an overlay mount on the store's disk, a /proc) and looks at ids, programs, room and clock. Exits with 1 when a build cannot work; warnings are about less than that.",
  ],
  examples: ["cooper doctor", "cooper doctor --json"],
  async run({ flags, api, globals }) {
    const { doctor } = await api();
    const diagnosis = await doctor({
      ...(globals.root === undefined ? {} : { root: globals.root }),
      ...(globals.runRoot === undefined ? {} : { runRoot: globals.runRoot }),
      ...(globals.driver === undefined ? {} : { driver: globals.driver }),
    });
    if (flags.json) writeOut(`${JSON.stringify(diagnosis, undefined, 4)}\n`);
    else writeOut(render(diagnosis));
    return diagnosis.works ? 0 : 1;
  },
});

const WORDS = { ok: "ok", warning: "warning", error: "ERROR" };

function render({ tier, summary, works, checks }: Diagnosis): string {
  const width = Math.max(...checks.map(({ id }) => id.length));
  const lines = checks.flatMap(({ id, status, finding, consequence, remedy }) => {
    const indent = " ".repeat(9 + width + 2);
    return [
      `${WORDS[status].padEnd(9)}${id.padEnd(width)}  ${finding}`,
      ...(consequence === undefined ? [] : [`${indent}so: ${consequence}`]),
      ...(remedy === undefined ? [] : [`${indent}fix: ${remedy}`]),
    ];
  });
  const verdict = works ? "Builds work here" : "Builds do not work here, or not all of them";
  return `${lines.join("\n")}\n\nTier ${tier}, ${summary}\n${verdict}\n`;
}
