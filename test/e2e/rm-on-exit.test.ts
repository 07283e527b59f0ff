// Protects scripts' containers from outliving them: however a script ends, its containers go, and no other ones do.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { eventually, mountsMentioning, processesMentioning } from "../support/leftovers.ts";

setDefaultTimeout(60_000);

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const names = async () =>
    (await site.ok("containers", "--format", "{{.ContainerName}}")).split("\n").filter(Boolean);
  const gone = (name: string) => eventually(async () => !(await names()).includes(name), 20_000);

  test("the container goes when the script has ended, mounted or not, and not before", async () => {
    const stays = await site.ok("from", "--name", "stays", "localhost/busybox");
    const inside = await site.script(`
      c=$(cooper from --rm-on-exit --name plain localhost/busybox)
      m=$(cooper from --rm-on-exit --name mounted localhost/busybox)
      s=$(cd / && cooper from --rm-on-exit --name subshell localhost/busybox | tail -n 1)
      touch "$(cooper mount $m)/made"
      sleep 2.5
      cooper containers --format '{{.ContainerName}}'`);
    expect(inside.split("\n").sort()).toEqual(["mounted", "plain", stays, "subshell"]);
    for (const name of ["plain", "mounted", "subshell"]) expect(await gone(name), name).toBe(true);
    expect(await names()).toEqual([stays]);
    await site.ok("rm", stays);
    expect(mountsMentioning(site.dir)).toEqual([]);
    expect(await eventually(() => processesMentioning(site.dir).length === 0)).toBe(true);
  });

  test("a script that is killed leaves nothing, and no later command of Cooper is needed", async () => {
    const started = site.start([
      "sh",
      "-c",
      "cooper from --rm-on-exit --name killed localhost/busybox >made; sleep 300",
    ]);
    expect(await eventually(async () => (await names()).includes("killed"))).toBe(true);
    const directory = (await site.script(`ls '${site.root}/containers'`)).trim();
    started.kill("SIGKILL");
    expect(
      await eventually(async () => (await site.script(`ls '${site.root}/containers'`)) === "", 20_000),
    ).toBe(true);
    expect(directory).not.toBe("");
  });

  test("bound to a process by number; what is no process is refused", async () => {
    const sleep = site.start(["sleep", "300"]);
    await site.ok("from", `--rm-on-exit=${sleep.pid}`, "--name", "bound", "localhost/busybox");
    await Bun.sleep(1500);
    expect(await names()).toContain("bound");
    sleep.kill();
    expect(await gone("bound")).toBe(true);
    for (const pid of ["0", "x", "4194999"]) {
      const { exitCode, stderr } = await site.cooper("from", `--rm-on-exit=${pid}`, "localhost/busybox");
      expect(exitCode).toBe(125);
      expect(stderr).toMatch(/process/);
    }
    expect(await names()).toEqual([]);
  });

  test("where the watcher was killed too, the next such command or prune removes it; a container in use stays", async () => {
    const orphan = async (name: string) => {
      const sleep = site.start(["sleep", "300"]);
      await site.ok("from", `--rm-on-exit=${sleep.pid}`, "--name", name, "localhost/busybox");
      await site.ok("mount", name);
      for (const { pid, command } of processesMentioning(site.dir))
        if (command.includes("cooper-watch")) process.kill(pid, "SIGKILL");
      sleep.kill();
      await sleep.exited;
    };
    await orphan("first");
    expect(await names()).toEqual(["first"]);
    const busy = site.start(["cooper", "run", "first", "sleep", "2"]);
    await Bun.sleep(1000);
    await site.ok("prune");
    expect(await names()).toEqual(["first"]);
    await busy.exited;
    expect((await site.ok("prune")).split("\n")).toContain("first");
    // Its mount is the host's, or a keeper's.
    const left = () => [...mountsMentioning(site.root), ...processesMentioning(site.root)];
    expect(await eventually(() => left().length === 0)).toBe(true);
    await orphan("second");
    await site.script("cooper from --rm-on-exit --name third localhost/busybox; cooper containers");
    expect(await names()).not.toContain("second");
    expect(await gone("third")).toBe(true);
  });
});
