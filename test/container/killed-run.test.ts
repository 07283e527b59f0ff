// Protects images from the empty files and directories on which a killed run had mounted things.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { finished, openSite, type Site } from "../support/cooper.ts";
import { eventually, processesRunning } from "../support/leftovers.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(60_000);
let seconds = 314_000;

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    // Without /etc, so that even that has to be made.
    const tree = join(site.work, "tree");
    await site.script(
      `mkdir ${tree}; tar -xf ${busyboxBase()} -C ${tree}; cd ${tree}; rm -r etc proc sys dev`,
    );
    await site.ok("import", tree, "localhost/bare");
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  /** Starts a run that does something and then waits; kills it. */
  async function killedRun(script: string): Promise<string> {
    const nap = `sleep ${seconds++}`;
    const container = await site.ok("from", "localhost/bare");
    const started = site.start([
      "cooper",
      "run",
      "-v",
      `${site.work}:/new/place`,
      container,
      "--",
      "sh",
      "-c",
      `${script}; ${nap}`,
    ]);
    const result = finished(started);
    expect(await eventually(() => processesRunning(nap).length > 0)).toBe(true);
    process.kill(started.pid, "SIGKILL");
    await result;
    expect(await eventually(() => processesRunning(nap).length === 0)).toBe(true);
    const id = await site.ok("inspect", "--type", "container", "--format", "{{.ContainerID}}", container);
    expect(readdirSync(join(site.root, "containers", id))).toContain("mount-points");
    expect(readFileSync(join(site.root, "containers", id, "mount-points"), "utf8")).toContain(
      "/etc/resolv.conf",
    );
    return container;
  }

  /** Paths of the files and directories in the last layer of an image. */
  async function lastLayer(image: string): Promise<string[]> {
    const out = join(site.work, image);
    await site.ok("push", `localhost/${image}`, `dir:${out}`);
    const { layers } = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
    if (layers.length === 1) return [];
    return (await site.script(`tar -tf ${out}/${layers.at(-1).digest.slice(7)}`)).split("\n").sort();
  }

  test("the next commit is without them", async () => {
    const container = await killedRun("echo kept > /kept");
    await site.ok("commit", container, "localhost/committed");
    expect(await lastLayer("committed")).toEqual(["dev/", "kept", "proc/", "sys/"]);
    await site.ok("rm", container);
  });

  test("so is the one after another run, and after a mount", async () => {
    const container = await killedRun("echo kept > /kept");
    await site.script(
      `m=$(cooper mount ${container}); test -e $m/kept; ! test -e $m/etc; ! test -e $m/new; cooper umount ${container}`,
    );
    await site.ok("run", container, "--", "true");
    await site.ok("commit", container, "localhost/again");
    expect(await lastLayer("again")).toEqual(["dev/", "kept", "proc/", "sys/"]);
    await site.ok("rm", container);
  });

  test("what the command put beside them stays", async () => {
    const container = await killedRun("echo mine > /etc/mine");
    await site.ok("commit", "--rm", container, "localhost/beside");
    expect(await lastLayer("beside")).toEqual(["dev/", "etc/", "etc/mine", "proc/", "sys/"]);
  });

  test("a container that was killed in a run is removed like any other", async () => {
    await site.ok("rm", await killedRun("true"));
    expect(readdirSync(join(site.root, "containers"))).toEqual([]);
  });
});
