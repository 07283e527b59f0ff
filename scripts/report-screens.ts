/** Makes docs/screens/report-*.png of fixtures/report: `bun scripts/report-screens.ts`, with mmdebstrap, Debian's chromium and pngquant. Look at them before you commit them. */
import { appendFileSync, cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openBrowser, type View } from "../test/support/browser.ts";

const TOP = resolve(import.meta.dir, "..");
const work = mkdtempSync(join(tmpdir(), "cooper-screens-"));
const context = join(work, "context");

function run(command: string[], expected = 0): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: TOP });
  if (exitCode !== expected) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout.toString().trim();
}

const cooper = (expected: number, ...args: string[]) =>
  run(["bin/cooper", "--root", join(work, "store"), "--runroot", join(work, "run"), ...args], expected);

const build = (report: string, expected: number, ...flags: string[]) =>
  cooper(expected, "bud", "-q", "--layers", "-t", "localhost/words", "--report", report, ...flags, context);

/** One report of a second build, after a few edits, and one of a build that fails. */
function makeReports(): { built: string; failed: string } {
  const reports = { built: join(work, "built.html"), failed: join(work, "failed.html") };
  cpSync(join(TOP, "fixtures/report"), context, { recursive: true });
  cooper(0, "import", run(["scripts/make-debian-base"]), "localhost/debian");
  build(join(work, "first.html"), 0);
  appendFileSync(join(context, "src/main.c"), "/* The end. */\n");
  renameSync(join(context, "docs/install.md"), join(context, "docs/setup.md"));
  build(reports.built, 0, "--build-arg", "VERSION=2");
  appendFileSync(join(context, "src/main.c"), "int main(void) { return 0 }\n");
  build(reports.failed, 2, "--build-arg", "VERSION=2");
  return reports;
}

try {
  const { built, failed } = makeReports();
  const browser = await openBrowser(join(work, "profile"));
  const shots: [name: string, report: string, view: Omit<View, "height">][] = [
    ...([1280, 390] as const).flatMap((width) =>
      (["light", "dark"] as const).map((scheme): (typeof shots)[number] => [
        "report",
        built,
        { width, scheme },
      ]),
    ),
    ["report-failed", failed, { width: 1280, scheme: "light" }],
    ["report-failed", failed, { width: 390, scheme: "dark" }],
  ];
  for (const [name, report, view] of shots) {
    const page = await browser.open(`file://${report}`, { ...view, height: 900 });
    const path = join(TOP, `docs/screens/${name}-${view.width}-${view.scheme}.png`);
    writeFileSync(path, await page.screenshot());
    run(["pngquant", "--force", "--ext", ".png", "64", path]);
    await page.close();
  }
  await browser.close();
} finally {
  rmSync(work, { recursive: true, force: true });
}
