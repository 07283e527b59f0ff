// Protects the scripted flow in every tier: the same lines of shell, and an image with the same files.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { people, type Person } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite } from "../support/cooper.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { OneIdUser } from "../support/one-id-user.ts";
import { hasPodman, OuterContainers } from "../support/outer-container.ts";
import { describeTree } from "../support/tree.ts";

setDefaultTimeout(120_000);

/** The base, as `from` takes it; `cooper import` has made the second one. */
const BASES = ["scratch", "localhost/busybox"];

const flow = (base: string, hello: string) => `
  c=$(cooper from ${base}); make -s -C ${hello} install DESTDIR=$(cooper mount $c); cooper umount $c
  cooper config --entrypoint '["/usr/bin/tally"]' --cmd /usr/share/tally/hello.txt $c
  cooper commit --rm $c localhost/hello; cooper push localhost/hello oci-archive:hello.tar`;

const TIER = "cooper info --format '{{.host.tier}}'";

describe.if(hasPodman)("the scripted flow", () => {
  let tools: ForeignTools;
  let outer: OuterContainers;
  let oneId: OneIdUser;
  /** Where everybody may read, and everybody has a directory. */
  let shared: string;
  let hello: string;

  beforeAll(() => {
    tools = new ForeignTools();
    outer = new OuterContainers();
    oneId = new OneIdUser();
    ({ shared } = outer);
    chmodSync(shared, 0o1777);
    copyFileSync(busyboxBase(), join(shared, "busybox.tar"));
    hello = join(shared, "hello");
    const script = `cp -r ${join(import.meta.dir, "../../fixtures/hello")} ${hello}; make -s -C ${hello}; chmod -R a+rX ${shared}/*`;
    expect(spawnSync("sh", ["-euc", script], { stdio: "inherit" }).status).toBe(0);
  });
  afterAll(() => {
    tools[Symbol.dispose]();
    outer[Symbol.dispose]();
    oneId[Symbol.dispose]();
  });

  const asPerson = (person: () => Person) => async (script: string) => {
    await using site = openSite(person());
    return await site.script(script, { cwd: shared });
  };
  const HOME = ["-e", "HOME=/tmp/home", "-e", "COOPER_ROOT=/tmp/home/store"];
  // The outer image has no make; it is of this machine's Debian.
  const make = ["-v", "/usr/bin/make:/usr/bin/make:ro"];
  const PLACES: [tier: number, who: string, run: (script: string) => Promise<string> | string][] = [
    [0, "root", asPerson(() => people[0]!)],
    [1, "a user with a range of ids", asPerson(() => people[1]!)],
    [2, "a user with one id", asPerson(() => oneId.person)],
    [3, "root of a container with Podman's default flags", (script) => outer.ok(script, make)],
    [
      4,
      "a user of a container without namespaces",
      (script) =>
        outer.ok(`mkdir /tmp/home; ${script}`, [
          ...make,
          "--user",
          "1000",
          ...HOME,
          ...outer.withoutNamespaces(),
        ]),
    ],
  ];

  let number = 0;
  test.each(PLACES)("in tier %d: %s", async (tier, _, run) => {
    for (const base of BASES) {
      const out = join(shared, `out${number++}`);
      mkdirSync(out);
      chmodSync(out, 0o777);
      const shown = await run(`cd ${out}; cooper import ${shared}/busybox.tar localhost/busybox > /dev/null
        ${flow(base, hello)}
        echo "left: $(cooper containers -q)"; ${TIER}`);
      expect(shown.split("\n").slice(-2)).toEqual(["left: ", String(tier)]);
      expect(files(join(out, "hello.tar"))).toEqual(expected(base));
      expect(tools.podmanRun(`oci-archive:${out}/hello.tar`).stdout).toBe(
        "2 10 56 /usr/share/tally/hello.txt\n",
      );
    }
  });

  /** What the fixture installs and the base has, as root's. */
  function expected(base: string): string[] {
    const tree = join(shared, `expected-${base.replace("/", "-")}`);
    const unpack = base === "scratch" ? "" : `tar -C ${tree} -xpf ${shared}/busybox.tar`;
    const script = `mkdir -p ${tree}; ${unpack}\nmake -s -C ${hello} install DESTDIR=${tree}`;
    expect(spawnSync("sh", ["-euc", script]).status).toBe(0);
    return describeTree(tree);
  }

  const files = (archive: string) => describeTree(tools.unpack(archive));

  test("where the overlay that was asked for cannot be mounted, `mount` says so", () => {
    const { exitCode, stdout, stderr } = outer.run(
      `cooper import ${shared}/busybox.tar busybox > /dev/null
      export STORAGE_DRIVER=overlay; c=$(cooper from busybox); echo made; cooper mount $c`,
    );
    expect({ stdout, failed: exitCode !== 0 }).toEqual({ stdout: "made\n", failed: true });
    expect(stderr).toMatch(/Cannot mount a container with overlay: .*EPERM(?:.|\n)*--storage-driver copy/);
  });
});
