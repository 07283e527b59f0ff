// Protects the store and the host from `kill -9`: in the middle of a RUN, and of a commit.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { finished, openSite, type Site, type Started } from "../support/cooper.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { eventually, mountsMentioning, processesMentioning, processesRunning } from "../support/leftovers.ts";

setDefaultTimeout(120_000);

// Each sleeps for a time of its own, by which its process is found.
let seconds = 271_800;

const VICTIMS: { victim: string; strike: (started: Started) => void }[] = [
  { victim: "the cooper process", strike: (started) => process.kill(started.pid, "SIGKILL") },
  { victim: "its process group", strike: (started) => process.kill(-started.pid, "SIGKILL") },
];

/** SIGKILL to a process that may have ended. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It was quicker.
  }
}

describe.each(people)("as $kind", (person) => {
  let site: Site;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  async function expectHealthy(): Promise<void> {
    expect((await site.ok("images", "--format", "{{.Name}}")).split("\n")).toContain("localhost/busybox");
    expect(mountsMentioning(site.dir)).toEqual([]);
    const context = site.files({ Dockerfile: `FROM localhost/busybox\nRUN echo ${seconds++} > /next\n` });
    await site.ok("bud", "-t", "localhost/next", context);
    expect(mountsMentioning(site.dir)).toEqual([]);
  }

  test.each(VICTIMS)("kill -9 of $victim in the middle of a RUN", async ({ strike }) => {
    const image = `localhost/killed-${seconds}`;
    const nap = `sleep ${seconds++}`;
    const context = site.files({
      Dockerfile: `FROM localhost/busybox\nRUN echo done > /first\nRUN ${nap}\n`,
    });
    const started = site.start(["cooper", "bud", "--layers", "-t", image, context]);
    const result = finished(started);
    expect(await eventually(() => processesRunning(nap).length > 0, 20_000), "the RUN started").toBe(true);

    strike(started);
    await started.exited;

    expect(await eventually(() => processesRunning(nap).length === 0), "the RUN ended with it").toBe(true);
    expect((await result).exitCode).not.toBe(0);
    expect(await eventually(() => processesMentioning(site.dir).length === 0)).toBe(true);
    expect(await site.ok("containers", "-a", "-q")).toBe("");
    expect(await site.ok("images", "--format", "{{.Name}}")).not.toContain(image);
    await expectHealthy();

    // The same build again: now it may finish.
    const again = site.files({
      Dockerfile: "FROM localhost/busybox\nRUN echo done > /first\nRUN cat /first\n",
    });
    expect(await site.ok("bud", "--layers", "-t", image, again)).toBeDefined();
  });

  test("kill -9 in the middle of a `run` leaves the container usable", async () => {
    const nap = `sleep ${seconds++}`;
    const container = await site.ok("from", "localhost/busybox");
    await site.ok("run", container, "--", "sh", "-c", "echo kept > /kept");
    const started = site.start(["cooper", "run", container, "--", "sh", "-c", nap]);
    const result = finished(started);
    expect(await eventually(() => processesRunning(nap).length > 0, 20_000), "the command started").toBe(
      true,
    );

    process.kill(started.pid, "SIGKILL");
    await started.exited;

    expect(await eventually(() => processesRunning(nap).length === 0), "the command ended with it").toBe(
      true,
    );
    await result;
    expect(await site.ok("run", container, "--", "cat", "/kept")).toBe("kept");
    await site.ok("rm", container);
    await expectHealthy();
  });

  test("kill -9 in the middle of a commit: the image is whole or has no name", async () => {
    using tools = new ForeignTools();
    const container = await site.ok("from", "localhost/busybox");
    await site.ok(
      "run",
      container,
      "--",
      "sh",
      "-c",
      "head -c 96M /dev/urandom > /big; sha256sum < /big > /sum",
    );
    const check = "cooper run $c -- sh -c 'sha256sum < /big | cmp - /sum'";
    const archive = join(site.work, "whole.tar");
    const start = Date.now();
    await site.ok("commit", container, "localhost/undisturbed");
    const duration = Date.now() - start;

    let killed = 0;
    for (const share of [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1]) {
      const name = `localhost/committed-${share * 100}`;
      // Without a change the layer's digest would be known already.
      await site.ok("run", container, "--", "sh", "-c", `echo ${share} > /round`);
      const started = site.start(["cooper", "commit", container, name]);
      const result = finished(started);
      await Bun.sleep(duration * share);
      kill(started.pid);
      const { exitCode } = await result;
      if (exitCode === 137) killed++;

      const images = (await site.ok("images", "--format", "{{.Name}}")).split("\n");
      if (exitCode === 0) expect(images).toContain(name);
      if (images.includes(name))
        await site.script(`c=$(cooper from ${name}); ${check}; cooper rm $c > /dev/null`);
      // The container has lost nothing.
      await site.script(`c=${container}; ${check}`);
      expect(mountsMentioning(site.dir)).toEqual([]);
    }
    expect(killed).toBeGreaterThan(0);

    await site.ok("commit", "--rm", container, "localhost/committed");
    await site.ok("push", "localhost/committed", `oci-archive:${archive}`);
    expect(tools.layerEntries(archive, -1).map((name) => name.replace(/^\.?\//, ""))).toEqual(
      expect.arrayContaining(["big", "sum"]),
    );
    expect(await site.ok("containers", "-a", "-q")).toBe("");
    await expectHealthy();
  });
});
