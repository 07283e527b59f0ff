// Protects one store from many processes that make and remove images with shared layers: no half-gone things, no locks that fail, no garbage.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { importImage, openStore } from "../../src/index.ts";
import { openStoreFiles } from "../../src/store/store.ts";
import { rootOnly } from "../support/as-users.ts";
import { makeImage } from "../support/make-image.ts";
import { findFaults, validateAll } from "./check-store.ts";

setDefaultTimeout(120_000);

const WORKERS = 5;
const OPERATIONS = 60;

describe.each(rootOnly)("as $kind", () => {
  let work: string;
  let root: string;

  beforeAll(async () => {
    work = mkdtempSync("/var/tmp/cooper-concurrency-");
    root = join(work, "store");
    for (const name of ["0", "1", "2"]) {
      const entries = [{ path: "shared", content: "shared" }];
      await makeImage(join(work, "layout"), {
        name,
        layers: [entries, [{ path: `own-${name}`, content: name }]],
      });
    }
  });
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  test("a new store opened by many at once is made once", async () => {
    const script = `
      import { openStoreFiles } from ${JSON.stringify(join(import.meta.dir, "../../src/store/store.ts"))};
      for (let n = 0; n < 40; n++) { using store = openStoreFiles(${JSON.stringify(work)} + "/new-" + n); void store.session; }`;
    const children = Array.from({ length: 6 }, () =>
      Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" }),
    );
    const errors = await Promise.all(children.map((child) => child.stderr.text()));
    expect(errors).toEqual(children.map(() => ""));
    expect(await Promise.all(children.map((child) => child.exited))).toEqual(children.map(() => 0));
    for (let n = 0; n < 40; n++) expect(readdirSync(join(work, `new-${n}/tmp`))).toEqual([]);
  });

  test("workers that take each other's images away", async () => {
    mkdirSync(join(work, "base"));
    {
      await using store = await openStore({ root, runRoot: join(work, "run") });
      await importImage(store, join(work, "base"), { name: "localhost/base" });
    }
    const worker = join(import.meta.dir, "worker.ts");
    const children = Array.from({ length: WORKERS }, (_, number) =>
      Bun.spawn([process.execPath, worker, root, work, `worker-${number}`, String(OPERATIONS), "overlay"], {
        stdout: "ignore",
        stderr: "pipe",
      }),
    );
    const errors = await Promise.all(children.map((child) => child.stderr.text()));
    expect(errors).toEqual(children.map(() => ""));

    using store = openStoreFiles(root);
    expect(findFaults(store)).toEqual([]);
    expect(await validateAll(store)).toBeGreaterThan(3);
    // Nothing had died: whatever was left would not have been found by the next session.
    expect(readdirSync(join(root, "tmp"))).toHaveLength(2);
  });
});
