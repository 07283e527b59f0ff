// Protects `cooper check`: each kind of damage is found, named, repaired without guessing, and a build works again.
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { CheckReport } from "../../../src/index.ts";
import { people } from "../../support/as-users.ts";
import { busyboxBase } from "../../support/bases.ts";
import { openSite, type Site } from "../../support/cooper.ts";
import { startRegistry } from "../../transport/registry-server.ts";

setDefaultTimeout(120_000);

/** What the damage may be done to. */
interface Victim {
  root: string;
  /** Snapshot of the layer that was pulled, its blob, and the image's documents. */
  pulled: string;
  blob: string;
  config: string;
  manifest: string;
  /** A snapshot that was committed, of the image localhost/made. */
  committed: string;
  sql(statement: string): void;
}

type StoreFault = CheckReport["faults"][number]["kind"];

interface Case {
  damage: string;
  seed: (victim: Victim) => void;
  /** Kinds of the faults that are found, each once. */
  found: StoreFault[];
  /** A part of the problem, or of the repair. */
  says: RegExp;
  /** Names that the repair forgets. */
  lost?: string[];
}

const layer = (victim: Victim, id: string) => join(victim.root, "layers", id, "diff");
const blob = (victim: Victim, hex: string) => join(victim.root, "blobs/sha256", hex);

/** Changes the content and nothing that lstat(2) tells. */
function flip(path: string): void {
  const { atime, mtime } = statSync(path);
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = bytes[middle]! ^ 1;
  writeFileSync(path, bytes);
  utimesSync(path, atime, mtime);
}

const CASES: Case[] = [
  {
    damage: "a flipped byte in a layer's blob",
    seed: (v) => flip(blob(v, v.blob)),
    found: ["blob", "image", "image"],
    says: /its content has the digest sha256:/,
    lost: ["localhost/base:latest", "localhost/made:latest"],
  },
  {
    damage: "a blob cut short",
    seed: (v) => writeFileSync(blob(v, v.blob), readFileSync(blob(v, v.blob)).subarray(0, 1000)),
    found: ["blob", "image", "image"],
    says: /its content has the digest sha256:/,
    lost: ["localhost/base:latest", "localhost/made:latest"],
  },
  {
    damage: "a missing layer blob",
    seed: (v) => rmSync(blob(v, v.blob)),
    found: ["blob", "image", "image"],
    says: /missing/,
    lost: ["localhost/base:latest", "localhost/made:latest"],
  },
  {
    damage: "a config that is no JSON",
    seed: (v) => writeFileSync(blob(v, v.config), "no"),
    found: ["blob", "image"],
    says: /blob sha256:[0-9a-f]+: its content/,
    lost: ["localhost/base:latest"],
  },
  {
    damage: "a missing manifest",
    seed: (v) => rmSync(blob(v, v.manifest)),
    found: ["blob", "image"],
    says: /missing/,
    lost: ["localhost/base:latest"],
  },
  {
    damage: "a pulled layer's directory that is gone",
    seed: (v) => rmSync(join(v.root, "layers", v.pulled), { recursive: true }),
    found: ["layer"],
    says: /unpacked again from sha256:/,
  },
  {
    damage: "a changed byte in a file of a pulled layer",
    seed: (v) => flip(join(layer(v, v.pulled), "etc/passwd")),
    found: ["layer"],
    says: /etc\/passwd: other content/,
  },
  {
    damage: "a file added to a pulled layer",
    seed: (v) => writeFileSync(join(layer(v, v.pulled), "etc/added"), ""),
    found: ["layer"],
    says: /etc\/added: does not belong there/,
  },
  {
    damage: "a file removed from a pulled layer",
    seed: (v) => rmSync(join(layer(v, v.pulled), "etc/passwd")),
    found: ["layer"],
    says: /etc\/passwd: missing/,
  },
  {
    damage: "a pulled layer with another mode",
    seed: (v) => {
      spawnSync("chmod", ["4777", join(layer(v, v.pulled), "etc/passwd")]);
    },
    found: ["layer"],
    says: /etc\/passwd: another mode/,
  },
  {
    damage: "a changed byte in a committed layer",
    seed: (v) => flip(join(layer(v, v.committed), "made")),
    found: ["layer", "image", "cache"],
    says: /it packs to sha256:/,
    lost: ["localhost/made:latest"],
  },
  {
    damage: "a committed layer's directory that is gone",
    seed: (v) => rmSync(join(v.root, "layers", v.committed), { recursive: true }),
    found: ["layer", "image", "cache"],
    says: /its directory is missing/,
    lost: ["localhost/made:latest"],
  },
  {
    damage: "a name for nothing",
    seed: (v) => v.sql(`INSERT INTO names VALUES ('localhost/ghost:latest', '${"0".repeat(64)}')`),
    found: ["image"],
    says: /names an image that is not there/,
  },
  {
    damage: "claims of an image that is gone",
    seed: (v) => v.sql(`INSERT INTO uses VALUES ('${v.pulled}', 'image:${"1".repeat(64)}')`),
    found: ["database"],
    says: /still claims things/,
  },
  {
    damage: "claims of a process that is gone",
    seed: (v) => v.sql(`INSERT INTO uses VALUES ('${v.pulled}', 'session:zzzzzzzzzz')`),
    found: ["database"],
    says: /still claims things/,
  },
  {
    damage: "a claim for a snapshot that nobody knows",
    seed: (v) => v.sql("INSERT INTO uses SELECT 'zzzzzzzzzz000', 'image:' || id FROM images LIMIT 1"),
    found: ["database"],
    says: /claimed and not known/,
  },
  {
    damage: "an image whose claims are lost",
    seed: (v) => v.sql(`DELETE FROM uses WHERE user = 'image:${v.config}'`),
    found: ["image"],
    says: /does not claim what it needs/,
  },
  {
    damage: "an image without its layers' rows",
    seed: (v) => v.sql(`DELETE FROM image_layers WHERE image_id = '${v.config}'`),
    found: ["image"],
    says: /layers in the manifest/,
    lost: ["localhost/base:latest"],
  },
  {
    damage: "rows of layers and blobs that are gone",
    seed: (v) => {
      v.sql(
        `INSERT INTO layer_blobs VALUES ('sha256:${"2".repeat(64)}', 'sha256:${"7".repeat(64)}', 'x', 1)`,
      );
      v.sql(`INSERT INTO layers VALUES ('zzzzzzzzzz001', '', 'sha256:${"3".repeat(64)}', 1)`);
      v.sql(`INSERT INTO image_layers VALUES ('${"4".repeat(64)}', 0, 'x', 'y')`);
    },
    found: ["database", "database", "database"],
    says: /that are gone/,
  },
  {
    damage: "a cached step whose snapshot is gone",
    seed: (v) =>
      v.sql(
        `INSERT INTO cache (key, snapshot, used) VALUES ('sha256:${"5".repeat(64)}', 'zzzzzzzzzz002', 0)`,
      ),
    found: ["cache"],
    says: /not known/,
  },
  {
    damage: "a container without its files",
    seed: (v) => {
      for (const id of readdirSync(join(v.root, "containers")))
        rmSync(join(v.root, "containers", id), { recursive: true });
    },
    found: ["container"],
    says: /forgotten: worker/,
  },
  {
    damage: "files that nobody knows",
    seed: (v) => {
      mkdirSync(join(v.root, "layers/zzzzzzzzzz003/diff"), { recursive: true });
      mkdirSync(join(v.root, "containers/abc"));
      mkdirSync(join(v.root, "tmp/zzzzzzzzzz"));
      writeFileSync(blob(v, "6".repeat(64)), "");
    },
    found: ["leftover", "leftover", "leftover", "leftover"],
    says: /nothing knows it/,
  },
];

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let whole: string;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/first");
    await site.ok("push", "localhost/first", `oci:${site.work}/layout:base`);
    await site.ok("rmi", "localhost/first");
    await pullBase();

    const context = site.files({ Dockerfile: "FROM localhost/base\nRUN echo made > /made\n" });
    await site.ok("bud", "-t", "localhost/made", context);
    await site.ok("from", "--name", "worker", "localhost/base");
    whole = join(site.dir, "whole");
    copyTree(site.root, whole);
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  async function pullBase(): Promise<void> {
    await site.ok("tag", await site.ok("pull", `oci:${site.work}/layout:base`), "localhost/base");
  }

  function copyTree(from: string, to: string): void {
    rmSync(to, { recursive: true, force: true });
    expect(spawnSync("cp", ["-a", from, to]).status).toBe(0);
  }

  function victim(): Victim {
    using db = new Database(join(site.root, "cooper.db"), { strict: true });
    const one = (sql: string) => Object.values(db.query(sql).get() as Record<string, string>)[0]!;
    const config = one("SELECT image_id FROM names WHERE name = 'localhost/base:latest'");
    return {
      root: site.root,
      pulled: one("SELECT stack FROM layers WHERE variant = 'unpacked'"),
      committed: one("SELECT snapshot FROM cache WHERE snapshot IS NOT NULL"),
      blob: one("SELECT digest FROM layer_blobs").slice(7),
      config,
      manifest: one(`SELECT manifest FROM images WHERE id = '${config}'`).slice(7),
      sql: (statement) => {
        using writable = new Database(join(site.root, "cooper.db"), { strict: true });
        writable.run(statement);
      },
    };
  }

  async function check(...flags: string[]): Promise<CheckReport> {
    const { exitCode, stdout, stderr } = await site.cooper("check", "--json", ...flags);
    expect(stderr).toBe("");
    const report = JSON.parse(stdout) as CheckReport;
    expect(exitCode).toBe(report.faults.length === 0 ? 0 : 1);
    return report;
  }

  const imageNames = async () =>
    (await site.ok("images", "--format", "{{.Name}}")).split("\n").filter((name) => name !== "");

  test("a whole store has no fault, and says what was looked at", async () => {
    expect(await check()).toEqual({
      faults: [],
      blobs: 5,
      layers: 2,
      verifiedLayers: 2,
      skippedLayers: 0,
      images: 2,
      containers: 1,
    });
    expect((await site.cooper("check")).stderr).toMatch(/^Checked 5 blobs, 2 layers .*: no fault\n$/);
  });

  // What files hold and belong to differs between the two, not what the database says.
  const cases =
    person.kind === "root"
      ? CASES
      : CASES.filter(
          ({ damage }) => damage.includes("pulled layer's directory") || damage.includes("changed byte"),
        );

  test.each(cases)("$damage", async ({ seed, found, says, lost = [] }) => {
    copyTree(whole, site.root);
    seed(victim());
    site.give(join(site.root, "cooper.db"));

    const report = await check();
    expect(report.faults.map(({ kind }) => kind).sort(), "found").toEqual([...found].sort());
    expect(report.faults.every(({ repair }) => repair === undefined)).toBe(true);

    const repaired = await check("--repair");
    expect(repaired.faults.map(({ kind }) => kind).sort(), "repaired").toEqual([...found].sort());
    expect(repaired.faults.filter(({ repair }) => repair === undefined)).toEqual([]);
    expect(repaired.faults.map((fault) => `${fault.problem} ${fault.repair}`).join("\n")).toMatch(says);
    for (const name of lost) expect(JSON.stringify(repaired.faults)).toContain(name);
    expect((await check()).faults).toEqual([]);

    if (lost.includes("localhost/base:latest")) {
      await pullBase();
    }
    const context = site.files({ Dockerfile: "FROM localhost/base\nRUN echo made > /made\nRUN id > /id\n" });
    await site.ok("bud", "-t", "localhost/again", context);
  });

  test("a container on a changed layer keeps what was written into it", async () => {
    copyTree(whole, site.root);
    await site.ok("rmi", "localhost/made");
    await site.ok("rmi", "--force", "localhost/base");
    const container = await site.ok("from", "scratch");
    writeFileSync(join(site.work, "kept"), "kept");
    await site.ok("copy", container, join(site.work, "kept"), "/kept");
    await site.ok("commit", container, "localhost/own");
    const own = await site.ok("from", "--name", "own", "localhost/own");
    await site.ok("copy", own, join(site.work, "kept"), "/mine");
    const snapshots = readdirSync(join(site.root, "layers"));
    const kept = snapshots.find((id) => existsSync(join(site.root, "layers", id, "diff/kept")))!;
    flip(join(site.root, "layers", kept, "diff/kept"));

    const { faults } = await check("--repair");
    expect(
      faults.filter(({ kind }) => kind === "container").map(({ what, repair }) => ({ what, repair })),
    ).toContainEqual({
      what: "own",
      repair: undefined,
    });
    expect(await imageNames()).not.toContain("localhost/own");
    await site.ok("commit", own, "localhost/rescued");
    expect(await imageNames()).toContain("localhost/rescued");
  });

  test("what a registry was sent, and what came back of it, is no fault", async () => {
    copyTree(whole, site.root);
    using registry = await startRegistry();
    const remote = `docker://${registry.host}/it`;
    const context = site.files({ Dockerfile: "FROM localhost/base\nRUN rm /etc/passwd; echo it > /it\n" });
    await site.ok("bud", "-t", "localhost/it", context);
    await site.ok("push", "--tls-verify=false", "localhost/it", remote);
    expect((await check()).faults, "the blob of a committed layer is elsewhere").toEqual([]);
    await site.ok("prune", "--all");
    expect((await check()).faults, "the layer is gone").toEqual([]);
    // What was deleted has no time of its own: it is made anew whenever the layer is unpacked.
    await site.ok("pull", "--tls-verify=false", remote);
    expect((await check()).faults, "the layer was unpacked").toEqual([]);
  });

  test("what others build and remove meanwhile is no fault", async () => {
    copyTree(whole, site.root);
    const context = site.files({ Dockerfile: "FROM localhost/base\nARG N\nRUN echo $N > /n\n" });
    let ended = false;
    const others = (async () => {
      for (let n = 0; n < 6; n++) {
        await site.ok("bud", "--build-arg", `N=${n}`, "-t", "localhost/n", context);
        await site.ok("pull", `oci:${site.work}/layout:base`);
        await site.ok("rmi", "localhost/n");
        await site.ok("prune");
      }
      ended = true;
    })();
    let rounds = 0;
    for (; !ended; rounds++)
      expect((await check(...(rounds % 2 === 0 ? [] : ["--repair"]))).faults).toEqual([]);
    await others;
    expect(rounds).toBeGreaterThan(2);
    expect((await check()).faults).toEqual([]);
  });

  test("a layer that is mounted is not taken away", async () => {
    copyTree(whole, site.root);
    await site.ok("mount", "worker");
    const { pulled } = victim();
    const passwd = join(site.root, "layers", pulled, "diff/etc/passwd");
    renameSync(passwd, `${passwd}.moved`);
    const { faults } = await check("--repair");
    expect(faults).toMatchObject([{ kind: "layer", hint: expect.stringContaining("unmount") }]);
    await site.ok("umount", "worker");
    // Processes of other tests may still have a copy of the mount, made with their namespace.
    let repaired = (await check("--repair")).faults;
    for (let n = 0; n < 100 && repaired[0]?.repair === undefined; n++) {
      await Bun.sleep(200);
      repaired = (await check("--repair")).faults;
    }
    expect(repaired).toMatchObject([{ repair: expect.any(String) }]);
    expect(lstatSync(passwd).isFile()).toBe(true);
    expect((await check()).faults).toEqual([]);
  });
});
