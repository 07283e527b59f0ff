// Protects the store from kill -9 at any moment: it opens, its images are whole, containers keep what was finished, nothing is left.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { containerOf, treeOf } from "../../src/container/working-container.ts";
import { importImage, openStore } from "../../src/index.ts";
import { findContainerByName } from "../../src/store/container-records.ts";
import { type DriverName, openStoreFiles, type StoreFiles } from "../../src/store/store.ts";
import { rootOnly } from "../support/as-users.ts";
import { makeImage } from "../support/make-image.ts";
import { findFaults, validateAll } from "./check-store.ts";

setDefaultTimeout(120_000);

const ROUNDS: [DriverName, number][] = [
  ["overlay", 20],
  ["copy", 8],
];

describe.each(rootOnly)("as $kind", () => {
  describe.each(ROUNDS)("%s", (driver, rounds) => {
    let work: string;
    let root: string;

    beforeAll(async () => {
      work = mkdtempSync("/var/tmp/cooper-crash-");
      root = join(work, "store");
      for (const name of ["0", "1", "2"]) {
        const entries = [{ path: "shared", content: "shared" }];
        await makeImage(join(work, "layout"), {
          name,
          layers: [entries, [{ path: `own-${name}`, content: name }]],
        });
      }
      mkdirSync(join(work, "base"));
      await using store = await openStore({ root, runRoot: join(work, "run") });
      await importImage(store, join(work, "base"), { name: "localhost/base" });
    });
    afterAll(() => rmSync(work, { recursive: true, force: true }));

    /** Kills the worker after it has done so many operations, and some milliseconds of the next. */
    async function strike(seed: string, operations: number, after: number): Promise<void> {
      const worker = join(import.meta.dir, "worker.ts");
      const child = Bun.spawn([process.execPath, worker, root, work, "victim", "0", driver, seed], {
        stdout: "pipe",
        stderr: "pipe",
      });
      let done = 0;
      // Not `for await`, which closes the pipe when it is left.
      const reader = child.stdout.getReader();
      while (done < operations) {
        const { value } = await reader.read();
        if (value === undefined) break;
        done += value.length;
      }
      await Bun.sleep(after);
      child.kill("SIGKILL");
      await child.exited;
      expect(await child.stderr.text(), "the worker did not fail by itself").toBe("");
      expect(done).toBeGreaterThanOrEqual(operations);
    }

    test("killed again and again", async () => {
      let checked = 0;
      for (let round = 0; round < rounds; round++) {
        await strike(`round ${round}`, 1 + ((round * 7) % 12), (round * 37) % 12);
        using store = openStoreFiles(root);
        expect(findFaults(store), `after round ${round}`).toEqual([]);
        checked += await validateAll(store);
        expect(lostFiles(store), `after round ${round}`).toEqual([]);
      }
      expect(checked).toBeGreaterThan(rounds);
    });

    /** Files that were copied into the container and are not there. */
    function lostFiles(store: StoreFiles): string[] {
      const record = findContainerByName(store.db, "keep-victim");
      const log = join(work, "victim.log");
      if (record === undefined || !existsSync(log)) return [];
      const { directory, lowers } = treeOf(store, containerOf(store, record));
      const places =
        driver === "copy"
          ? [join(directory, "tree")]
          : [...lowers, join(directory, "upper"), join(directory, "next")];
      const finished = readFileSync(log, "utf8").trim().split("\n");
      return finished.filter(
        (number) =>
          !places.some((place) => {
            const path = join(place, "kept", number);
            return existsSync(path) && readFileSync(path, "utf8") === number;
          }),
      );
    }
  });
});
