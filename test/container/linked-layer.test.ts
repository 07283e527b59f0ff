// Protects copy --link and add --link: layers of their own on top of a container's images, whatever becomes of the container.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { type BuildSite, openBuildSite } from "../build/site.ts";

setDefaultTimeout(120_000);

describe.each(people)("as $kind", (person) => {
  let it: BuildSite;
  beforeAll(async () => {
    it = await openBuildSite(person);
  });
  afterAll(() => it[Symbol.asyncDispose]());
  const layers = async (image: string) =>
    (await it.config(image)) as { rootfs: { diff_ids: string[] }; history: { created_by: string }[] };

  test("copy --link and add --link: not in the container, but in its images on top of all else, each as a layer", async () => {
    const { site } = it;
    const files = site.files({ one: "one", two: "two" });
    const box = await site.ok("from", "localhost/busybox");
    const base = (await layers("localhost/busybox")).rootfs.diff_ids;
    await site.script(
      `cooper run ${box} -- sh -c 'mkdir -m 1777 /deep; chown 7:8 /deep; echo somebody:x:99:98::/:/x >> /etc/passwd'`,
    );
    await site.ok("copy", "--link", box, `${files}/one`, "/d/f");
    await site.ok("add", "--link", "--chown", "somebody", "--chmod", "600", box, `${files}/two`, "/deep");
    expect(await site.ok("run", box, "sh", "-c", "ls /d /deep 2> /dev/null || true")).toBe("/deep:");
    await site.ok("run", box, "sh", "-c", "mkdir /d; echo run > /d/f");
    await site.ok("config", "--workingdir", "/wd", box);
    await site.ok("copy", "--link", "--add-history", box, `${files}/one`);
    await site.ok("commit", box, "localhost/linked");
    const look = "cat /d/f /wd/one; stat -c '%n %a %u:%g' /deep /deep/two";
    const shown = "oneone/deep 1777 7:8\n/deep/two 600 99:98";
    expect(await it.inImage("localhost/linked", look)).toBe(shown);
    const { rootfs, history } = await layers("localhost/linked");
    expect(rootfs.diff_ids).toHaveLength(base.length + 4);
    const steps = history.slice(-4).map(({ created_by }) => created_by.replace(/[0-9a-f]{64}/, "HASH"));
    expect(steps).toEqual([
      "cooper commit",
      "/bin/sh -c #(nop) COPY --link HASH in /d/f",
      "/bin/sh -c #(nop) ADD --link HASH in /deep/",
      "/bin/sh -c #(nop) COPY --link HASH in /wd/",
    ]);
    // They stay the container's: for the next image, for a squashed one, and until it goes.
    await site.ok("prune", "--force");
    await site.ok("run", box, "rm", "-r", "/d");
    await site.ok("commit", "--squash", box, "localhost/squashed");
    expect(await it.inImage("localhost/squashed", look)).toBe(shown);
    expect((await layers("localhost/squashed")).rootfs.diff_ids).toHaveLength(1);
    await site.ok("rm", box);
    expect(await it.inImage("localhost/linked", look)).toBe(shown);
    expect((await site.cooper("check")).exitCode).toBe(0);
  });

  test("the same files give the same layer, whatever is in the container", async () => {
    const { site } = it;
    const files = site.files({ one: "one" });
    const last = async (command: string, name: string) => {
      const box = await site.ok("from", "localhost/busybox");
      await site.ok("run", box, "sh", "-c", command);
      await site.ok("copy", "--link", box, `${files}/one`, "/new/");
      await site.ok("commit", "--timestamp", "1000", box, name);
      return (await layers(name)).rootfs.diff_ids.at(-1);
    };
    expect(await last("echo 1 > /x", "localhost/a")).toBe((await last("echo 2 > /y", "localhost/b"))!);
  });
});
