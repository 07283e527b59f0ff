// Protects the host from a process in a container that puts links in the way while Cooper works on the container's files.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { finished, openSite, type Site } from "../support/cooper.ts";
import { eventually } from "../support/leftovers.ts";

setDefaultTimeout(120_000);

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let canary: string;
  let tree: string;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    canary = join(site.work, "canary");
    mkdirSync(canary);
    writeFileSync(join(canary, "alive"), "alive");
    tree = site.files(Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`a/b/${i}`, "evil"])));
    site.give(canary);
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  /** A directory and a link to the canary change places, until the file /stop is there. */
  const swap = () =>
    `mkdir -p /d/x; ln -s ${canary} /d/l; touch /started
     while [ ! -e /stop ]; do mv /d/x /d/y; mv /d/l /d/x; mv /d/x /d/l; mv /d/y /d/x; done 2>/dev/null`;

  function expectUntouched(): void {
    expect(readdirSync(canary)).toEqual(["alive"]);
    expect(readFileSync(join(canary, "alive"), "utf8")).toBe("alive");
  }

  test("CVE-2018-15664: copy waits for a run of the same container", async () => {
    const container = await site.ok("from", "localhost/busybox");
    const running = site.start([
      "cooper",
      "run",
      container,
      "--",
      "sh",
      "-c",
      `sh -c '${swap()}' & sleep 2; touch /stop; wait`,
    ]);
    const ran = finished(running);
    await Bun.sleep(700);
    const copied = await site.cooper("copy", container, tree, "/d/x");
    expect(running.exitCode, "the run had ended when the copy did").not.toBeNull();
    expect((await ran).exitCode).toBe(0);
    expect(copied, copied.stderr).toMatchObject({ exitCode: 0 });
    expectUntouched();
    await site.ok("rm", container);
  });

  test("what runs in a mounted container leads no copy outside, and no run is begun beside it", async () => {
    const container = await site.ok("from", "localhost/busybox");
    const other = await site.ok("from", "localhost/busybox");
    const mounted = await site.ok("mount", container);
    writeFileSync(join(site.work, "swap.sh"), swap());
    await site.script(`cp ${site.work}/swap.sh ${mounted}/swap.sh`);
    const inside =
      person.kind === "root"
        ? ["chroot", mounted, "/bin/sh", "/swap.sh"]
        : ["cooper", "unshare", "--mount", `M=${container}`, "sh", "-c", 'exec chroot "$M" /bin/sh /swap.sh'];
    const running = site.start(inside);
    const ended = finished(running);
    expect(await eventually(() => readable(`${mounted}/started`)), "it runs").toBe(true);
    for (let round = 0; round < 5; round++) {
      for (const command of ["copy", "add"]) {
        const { exitCode, stderr } = await site.cooper(command, container, tree, "/d/x");
        // A name may be gone in the moment that it is asked for.
        if (exitCode !== 0) expect(stderr).toMatch(/^Error: Cannot (?:copy|make directory)/);
        expectUntouched();
      }
    }
    const { exitCode, stderr } = await site.cooper("run", container, "--", "true");
    expect(stderr).toMatch(/process \d+ runs in it/);
    expect(exitCode).not.toBe(0);
    if (person.kind === "root" && Bun.which("strace") !== null) {
      // As before Linux 5.6, or under a seccomp filter that does not know the call.
      const without = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=openat2:error=ENOSYS"];
      const plain = await site.run([...without, "cooper", "copy", container, tree, "/d/x"]);
      expect(plain.stderr).toMatch(/process \d+ runs in it/);
      const alone = await site.run([...without, "cooper", "copy", other, tree, "/d/x"]);
      expect(alone, alone.stderr).toMatchObject({ exitCode: 0 });
    }
    await site.script(`touch ${mounted}/stop`);
    await ended;
    await site.ok("copy", container, tree, "/d/new");
    expect(await site.script(`cat ${mounted}/d/new/a/b/7`)).toBe("evil");
    expectUntouched();
    await site.ok("umount", container);
    await site.ok("rm", container, other);
  });

  function readable(path: string): boolean {
    try {
      readFileSync(path);
      return true;
    } catch {
      return false;
    }
  }
});
