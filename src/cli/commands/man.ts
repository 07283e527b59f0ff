import { statSync } from "node:fs";
import { CooperError } from "../../base/errors.ts";
import { defineCommand } from "../command.ts";
import { writeOut } from "../output.ts";
import { VERSION } from "../version.ts";

const PROGRAM = "cooper";

export const command = defineCommand({
  name: "man",
  summary: "Print the manual page of the program or of a command",
  usage: "[COMMAND]",
  args: { max: 2 },
  flags: {},
  details: ["The page is in man(7): give it to `man -l -`, or keep it as cooper.1, cooper-COMMAND.1."],
  examples: ["cooper man", "cooper man build | man -l -", "cooper man manifest add"],
  async run({ args }) {
    const [{ allManPages }, { manPageName }] = await Promise.all([
      import("../all-man-pages.ts"),
      import("../man-page.ts"),
    ]);
    // That of the program's file, which a package sets to that of its sources.
    const date = statSync(process.execPath).mtime.toISOString().slice(0, 10);
    const { pages, links } = await allManPages({ program: PROGRAM, version: VERSION, date });
    const name = args.join(" ");
    const file = `${manPageName(PROGRAM, name)}.1`;
    const page = pages.get(links.get(file) ?? file);
    if (page === undefined) {
      throw new CooperError("not-found", `There is no manual page for the command ${JSON.stringify(name)}`, {
        hint: `${PROGRAM} --help lists the commands`,
      });
    }
    writeOut(page);
    return 0;
  },
});
