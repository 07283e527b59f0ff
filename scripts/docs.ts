/** Writes the pages of docs/ that are made from the sources: the commands, the library, the compatibility with Buildah. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { apiPage } from "./api-reference.ts";
import { compatibilityPage } from "./compatibility.ts";
import { referencePages } from "./reference.ts";
import { REPOSITORY } from "./targets.ts";

const DOCS = join(REPOSITORY, "docs");

/** Every made page by its path below docs/. */
export async function madePages(): Promise<Map<string, string>> {
  const pages = await referencePages();
  pages.set("api.md", apiPage());
  pages.set("compatibility.md", await compatibilityPage());
  return pages;
}

/** Paths below docs/ that are not what they would be made now, those of commands that are gone among them. */
export async function stalePages(): Promise<string[]> {
  const pages = await madePages();
  const stale = [...pages].filter(([path, text]) => {
    const file = join(DOCS, path);
    return !existsSync(file) || readFileSync(file, "utf8") !== text;
  });
  const kept = existsSync(join(DOCS, "reference")) ? readdirSync(join(DOCS, "reference")) : [];
  const gone = kept.map((name) => `reference/${name}`).filter((path) => !pages.has(path));
  return [...stale.map(([path]) => path), ...gone];
}

if (import.meta.main) {
  rmSync(join(DOCS, "reference"), { recursive: true, force: true });
  const pages = await madePages();
  for (const [path, text] of pages) {
    mkdirSync(dirname(join(DOCS, path)), { recursive: true });
    writeFileSync(join(DOCS, path), text);
  }
  console.log(`docs: ${pages.size} pages`);
}
