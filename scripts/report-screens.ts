/** Makes docs/screens/report-*.png: `bun scripts/report-screens.ts REPORT.html`, with Debian's chromium and pngquant. Look at them before you commit them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openBrowser } from "../test/support/browser.ts";

const SCREENS = resolve(import.meta.dir, "../docs/screens");
/** Pixels that are kept of a page: more says nothing more, and the files are to stay small. */
const LONGEST = { 1280: 1900, 390: 2600 };

const [report] = Bun.argv.slice(2);
if (report === undefined) throw new Error("Name a report");
const profile = mkdtempSync(join(tmpdir(), "cooper-screens-"));
const browser = await openBrowser(profile);
for (const width of [1280, 390] as const) {
  for (const scheme of ["light", "dark"] as const) {
    const page = await browser.open(`file://${resolve(report)}`, { width, height: 900, scheme });
    const path = join(SCREENS, `report-${width}-${scheme}.png`);
    writeFileSync(path, await page.screenshot(LONGEST[width]));
    Bun.spawnSync(["pngquant", "--force", "--ext", ".png", "64", path]);
    await page.close();
  }
}
await browser.close();
rmSync(profile, { recursive: true });
