// Protects `mount`: one path until `umount`, writable from outside, beside which nothing can be written by mistake, and nothing left of it.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
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
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  async function nothingIsLeft(): Promise<void> {
    expect(
      await eventually(
        () => mountsMentioning(site.root).length + processesMentioning(site.root).length === 0,
      ),
    ).toBe(true);
    expect(readdirSync(join(site.root, "containers"))).toEqual([]);
    const keepers = join(site.runRoot, "keepers");
    expect(existsSync(keepers) ? readdirSync(keepers) : []).toEqual([]);
  }

  test("the path stays until umount, and everybody sees what is written there", async () => {
    const out = await site.script(`
      c=$(cooper from localhost/busybox)
      m=$(cooper mount $c)
      test "$(cooper mount $c)" = "$m"
      echo text > $m/written
      cooper run $c -- cat /written
      cooper run $c -- sh -c 'echo more >> /written'
      cat $m/written
      cooper mount | grep -qF "$m"
      cooper umount $c > /dev/null
      test ! -e $m/written
      cooper run $c -- cat /written
      cooper rm $c > /dev/null`);
    expect(out).toBe("text\ntext\nmore\ntext\nmore");
    await nothingIsLeft();
  });

  // Nothing refuses root.
  test.skipIf(person.kind === "root")(
    "beside the mount the place refuses, before, during and after",
    async () => {
      // Whoever resolves the path loses the way into the namespace.
      await site.script(`
      c=$(cooper from localhost/busybox)
      m=$(cooper mount $c)
      plain=\${m#/proc/*/root}
      test "$plain" != "$m"
      if (echo beside > $plain/oops) 2> /dev/null; then exit 1; fi
      cooper umount $c > /dev/null
      if (echo beside > $m/oops) 2> /dev/null; then exit 1; fi
      if (echo beside > $plain/oops) 2> /dev/null; then exit 1; fi
      cooper run $c -- sh -c 'test ! -e /oops'
      cooper rm $c > /dev/null`);
      await nothingIsLeft();
    },
  );

  test("asked for by six at once it is one mount", async () => {
    await site.script(`
      c=$(cooper from localhost/busybox)
      for i in 1 2 3 4 5 6; do cooper mount $c > m$i & done; wait
      test "$(sort -u m1 m2 m3 m4 m5 m6 | wc -l)" = 1
      m=$(cat m1); echo more >> $m/etc/passwd; mkdir $m/var/new; rm -r $m/var
      cooper run $c -- sh -c 'grep -q more /etc/passwd && test ! -e /var'
      cooper umount $c > /dev/null; test ! -e $m/bin; cooper rm $c > /dev/null; rm m?`);
    await nothingIsLeft();
  });

  // Root's mount is the host's, which nobody keeps.
  test.skipIf(person.kind === "root")(
    "its keeper outlives the shell; killed, it leaves a container that works",
    async () => {
      const container = await site.ok("from", "localhost/busybox");
      // The shell leads a session, whose end sends SIGHUP to those who are in it.
      const path = await site.script(`setsid --wait sh -c 'cooper mount ${container}'`);
      await site.script(`echo kept > ${path}/kept`);
      process.kill(Number(path.split("/")[2]), "SIGKILL");
      expect(await eventually(() => !existsSync(path))).toBe(true);
      expect(await site.ok("mount")).toBe("");
      expect(await site.ok("run", container, "--", "cat", "/kept")).toBe("kept");
      const again = await site.ok("mount", container);
      expect(again).not.toBe(path);
      await site.script(`cat ${again}/kept; rm ${again}/kept`);
      await site.ok("commit", "--rm", "-q", container, "localhost/after");
      await nothingIsLeft();
    },
  );

  test("a container is removed while it is mounted", async () => {
    await site.script(
      `c=$(cooper from localhost/busybox); m=$(cooper mount $c); touch $m/x; cooper rm $c > /dev/null; test ! -e $m/x`,
    );
    await nothingIsLeft();
  });

  test("two containers are mounted at once and do not meet", async () => {
    await site.script(`
      a=$(cooper from localhost/busybox); b=$(cooper from localhost/busybox)
      ma=$(cooper mount $a); mb=$(cooper mount $b)
      test "$ma" != "$mb"; touch $ma/in-a; test ! -e $mb/in-a
      test "$(cooper mount $a $b | cut -d ' ' -f 2 | tr '\\n' ' ')" = "$ma $mb "
      cooper umount $a > /dev/null; touch $mb/in-b
      cooper run $b -- test -e /in-b
      cooper rm $a $b > /dev/null`);
    await nothingIsLeft();
  });

  // Root has one namespace for all.
  test.skipIf(person.kind === "root")(
    "unshare shows two containers, unless each is mounted already",
    async () => {
      await site.script(`
      a=$(cooper from localhost/busybox); b=$(cooper from localhost/busybox)
      ma=$(cooper mount $a); touch $ma/in-a
      cooper unshare --mount a=$a,b=$b sh -c 'test -e $a/in-a && test ! -e $b/in-a && touch $b/in-b'
      mb=$(cooper mount $b); test -e $mb/in-b
      if cooper unshare --mount a=$a,b=$b true 2> said; then exit 1; fi
      grep -q "mounted in another namespace" said; grep -q "cooper umount $b" said; rm said
      touch $ma/still $mb/still; cooper rm $a $b > /dev/null`);
      await nothingIsLeft();
    },
  );

  test("a commit of a mounted container leaves it mounted; a second one has no deleted file", async () => {
    await site.script(`
      c=$(cooper from localhost/busybox); m=$(cooper mount $c)
      mkdir $m/srv; touch $m/srv/secret $m/srv/kept; rm $m/etc/group; rm -r $m/var; mkdir $m/var
      cooper commit -q $c localhost/first > /dev/null
      test -e $m/srv/secret; rm $m/srv/secret
      cooper commit -q $c localhost/second > /dev/null
      cooper rm $c > /dev/null
      for image in first second; do cooper push -q localhost/$image dir:${site.work}/$image; done`);
    const layer = async (image: string) => {
      const { layers } = JSON.parse(readFileSync(join(site.work, image, "manifest.json"), "utf8"));
      expect(layers).toHaveLength(2);
      return (await site.script(`tar -tf ${site.work}/${image}/${layers[1].digest.slice(7)}`))
        .split("\n")
        .sort();
    };
    const common = ["etc/", "etc/.wh.group", "srv/", "srv/kept", "var/", "var/.wh..wh..opq"];
    expect(await layer("first")).toEqual([...common, "srv/secret"].sort());
    expect(await layer("second")).toEqual(common);
    await nothingIsLeft();
  });

  test("unmounting what is in use, or not mounted, says so and does nothing", async () => {
    const container = await site.ok("from", "localhost/busybox");
    const path = await site.ok("mount", container);
    const sleeper = site.start(["sh", "-c", `cd ${path} && echo in && exec sleep 60`]);
    const reader = sleeper.stdout.getReader();
    await reader.read();
    const result = await site.cooper("umount", container);
    expect(result.exitCode).not.toBe(0);
    expect(result.stderr).toMatch(/use/);
    expect(existsSync(join(path, "bin")) || person.kind === "user").toBe(true);
    sleeper.kill("SIGKILL");
    await sleeper.exited;
    await site.ok("umount", container);
    await site.ok("rm", container);
    await nothingIsLeft();
  });
});
