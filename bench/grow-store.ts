/**
 * Fills a store with images, each with a layer and a cached step of its own, quickly: in one process.
 *
 *   bun bench/grow-store.ts ROOT RUNROOT COUNT
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, enterUserNamespace, openStore } from "../src/index.ts";

const [root, runRoot, count] = process.argv.slice(2) as [string, string, string];
await enterUserNamespace({ root, runRoot });
const context = mkdtempSync(join(tmpdir(), "cooper-grow-"));
{
  await using store = await openStore({ root, runRoot });
  for (let number = 0; number < Number(count); number++) {
    const text = `FROM scratch\nCOPY <<E /file\n${number}\nE\nLABEL number=${number}\n`;
    writeFileSync(join(context, "Dockerfile"), text);
    await build(store, { context, tags: [`localhost/grown:${number}`] });
  }
}
rmSync(context, { recursive: true });
