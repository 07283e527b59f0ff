/** Writes the manual pages for packages: dist/man/*.1, dated by SOURCE_DATE_EPOCH, the last commit, or today. */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { allManPages } from "../src/cli/all-man-pages.ts";
import { VERSION } from "../src/cli/version.ts";
import { REPOSITORY } from "./targets.ts";

/** When this source is from. */
export function sourceDate(): Date {
  const { SOURCE_DATE_EPOCH } = process.env;
  if (SOURCE_DATE_EPOCH) return new Date(Number(SOURCE_DATE_EPOCH) * 1000);
  const { status, stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], {
    cwd: REPOSITORY,
    encoding: "utf8",
  });
  return status === 0 && /^\d+\n$/.test(stdout) ? new Date(Number(stdout) * 1000) : new Date();
}

/** Writes all pages into `directory`, which is made anew. Returns how many. */
export async function writeManPages(directory: string): Promise<number> {
  const date = sourceDate().toISOString().slice(0, 10);
  const { pages, links } = await allManPages({ program: "cooper", version: VERSION, date });
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [name, page] of pages) writeFileSync(join(directory, name), page);
  for (const [name, page] of links) symlinkSync(page, join(directory, name));
  return pages.size + links.size;
}

if (import.meta.main) console.log(`dist/man: ${await writeManPages(join(REPOSITORY, "dist/man"))} pages`);
