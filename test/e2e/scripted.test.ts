// Protects the scripted flow: what `make install` puts into a mounted container is what other tools read from the image.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { debianBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { mountsMentioning, processesMentioning } from "../support/leftovers.ts";
import { describeTree } from "../support/tree.ts";

setDefaultTimeout(180_000);

const CONFIG = `--entrypoint '["/usr/bin/tally"]' --cmd /usr/share/tally/hello.txt --workingdir /usr/share/tally \
--env TALLY_HOME=/var/lib/tally --env 'GREETING=two words' --label org.opencontainers.image.title=tally \
--port 8080/tcp --port 53/udp --volume /var/lib/tally --stop-signal SIGINT --author 'A. Tester <a@example.org>'`;

const EXPECTED_CONFIG = {
  Entrypoint: ["/usr/bin/tally"],
  Cmd: ["/usr/share/tally/hello.txt"],
  WorkingDir: "/usr/share/tally",
  Labels: { "org.opencontainers.image.title": "tally" },
  ExposedPorts: { "8080/tcp": {}, "53/udp": {} },
  Volumes: { "/var/lib/tally": {} },
  StopSignal: "SIGINT",
};

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let tools: ForeignTools;
  let fixture: string;

  beforeAll(() => {
    site = openSite(person);
    tools = new ForeignTools();
    fixture = site.fixture("hello");
  });
  afterAll(async () => {
    tools[Symbol.dispose]();
    await site[Symbol.asyncDispose]();
  });

  /** What the fixture installs, seen by the people who write it: owners are those that the image must have. */
  async function expectedTree(settings: string): Promise<string[]> {
    const plain = join(site.work, `plain-${Math.random().toString(36).slice(2)}`);
    await site.script(`make -s -C ${fixture} ${settings} install DESTDIR=${plain}`);
    // A layer holds what was put in as root's; the person's own files outside are the person's.
    return describeTree(plain).map((line) => line.replace(` ${person.uid}:${person.gid}`, " 0:0"));
  }

  test("from scratch", async () => {
    await site.script(`
      c=$(cooper from scratch)
      make -s -C ${fixture} install DESTDIR="$(cooper mount $c)"
      cooper umount $c
      cooper config ${CONFIG} $c
      cooper commit --rm $c localhost/hello
      cooper push localhost/hello oci-archive:hello.tar
    `);
    const archive = join(site.work, "hello.tar");

    // Whoever made an archive can read it: unprivileged, skopeo fails to make directories that have no entry.
    const seen = await site.run(["skopeo", "inspect", `oci-archive:${archive}`]);
    expect(seen, seen.stderr).toMatchObject({ exitCode: 0 });

    expect(describeTree(tools.unpack(archive))).toEqual(await expectedTree(""));

    const { os, author, config, rootfs } = tools.inspectConfig(`oci-archive:${archive}`);
    expect(os).toBe("linux");
    expect(author).toBe("A. Tester <a@example.org>");
    expect(config).toMatchObject(EXPECTED_CONFIG);
    expect(config?.Env).toEqual(expect.arrayContaining(["TALLY_HOME=/var/lib/tally", "GREETING=two words"]));
    expect(rootfs.diff_ids.length).toBe(1);
    expect(tools.inspect(`oci-archive:${archive}`).Layers.length).toBe(1);

    expect(tools.podmanRun(`oci-archive:${archive}`)).toMatchObject({
      exitCode: 0,
      stdout: "2 10 56 /usr/share/tally/hello.txt\n",
    });
    const byHand = { options: ["--entrypoint", "/usr/bin/wordcount"], stdin: "one two three" };
    expect(tools.podmanRun(`oci-archive:${archive}`, [], byHand).stdout).toBe("3\n");

    expect(await site.ok("containers", "-q")).toBe("");
    expect(await site.ok("images")).toContain("localhost/hello");
    expect(mountsMentioning(site.dir)).toEqual([]);
    expect(processesMentioning(site.dir)).toEqual([]);
  });

  test("an empty DESTDIR is what mount prints, and two containers do not meet", async () => {
    const [one, two] = (
      await site.script(`
        a=$(cooper from scratch); b=$(cooper from --name second scratch)
        echo from-a > "$(cooper mount $a)/name"; echo from-b > "$(cooper mount $b)/name"
        cat "$(cooper mount $a)/name" "$(cooper mount second)/name"
        cooper umount $a $b > /dev/null; cooper rm $a second > /dev/null
      `)
    ).split("\n");
    expect([one, two]).toEqual(["from-a", "from-b"]);
  });

  describe("from Debian", () => {
    beforeAll(async () => {
      await site.ok("import", debianBase(), "localhost/debian");
    });

    test("DESTDIR is an overlay", async () => {
      const before = await site.script(`c=$(cooper from --name before localhost/debian)
        cooper mount before > /dev/null
        cooper push localhost/debian oci-archive:debian.tar
        cooper umount before > /dev/null
        cooper rm before > /dev/null
        echo done`);
      expect(before).toEndWith("done");

      await site.script(`
        make -s -C ${fixture} clean
        c=$(cooper from localhost/debian)
        root=$(cooper mount $c)
        make -s -C ${fixture} STATIC=0 install DESTDIR="$root"
        # A base's file deleted, another renamed, a directory replaced, a mode changed.
        rm "$root/etc/issue.net"
        mv "$root/etc/issue" "$root/etc/issue.old"
        rm -r "$root/etc/skel"; mkdir "$root/etc/skel"; echo only > "$root/etc/skel/only"
        chmod 0700 "$root/usr/bin/tac"
        cooper umount $c
        cooper run $c -- ldconfig
        test "$(cooper run $c -- tally -V)" = "tally 1.2.0"
        cooper config ${CONFIG} $c
        cooper commit --rm $c localhost/hello-debian
        cooper push localhost/hello-debian oci-archive:hello-debian.tar
      `);
      const archive = join(site.work, "hello-debian.tar");
      const reference = `oci-archive:${archive}`;

      const base = tools.inspectConfig(`oci-archive:${site.work}/debian.tar`);
      const image = tools.inspectConfig(reference);
      expect(image.rootfs.diff_ids.slice(0, -1)).toEqual(base.rootfs.diff_ids);
      expect(image.config).toMatchObject(EXPECTED_CONFIG);

      const rootfs = tools.unpack(archive);
      const tree = describeTree(rootfs);
      const lineOf = new Map(tree.map((line) => [line.split(" ")[0], line]));
      for (const line of await expectedTree("STATIC=0"))
        expect(lineOf.get(line.split(" ")[0]) ?? "nothing").toBe(line);
      // Owners and modes of the base are still its own.
      expect(lineOf.get("etc/shadow")).toStartWith("etc/shadow file 0640 0:42 ");
      expect(lineOf.get("usr/bin/passwd")).toStartWith("usr/bin/passwd file 4755 0:0 ");
      expect(lineOf.get("usr/bin/tac")).toStartWith("usr/bin/tac file 0700 0:0 ");
      expect(existsSync(join(rootfs, "etc/issue.net"))).toBe(false);
      expect(existsSync(join(rootfs, "etc/issue"))).toBe(false);
      expect(lstatSync(join(rootfs, "etc/issue.old")).isFile()).toBe(true);
      expect(tree.filter((line) => line.startsWith("etc/skel/")).length).toBe(1);
      expect(readFileSync(join(rootfs, "etc/skel/only"), "utf8")).toBe("only\n");

      // The new layer holds the change and nothing else of the base.
      const entries = tools
        .layerEntries(archive, -1)
        .map((name) => name.replace(/^\.?\//, "").replace(/\/$/, ""));
      expect(entries).toContain("etc/.wh.issue.net");
      expect(entries).toContain("etc/.wh.issue");
      expect(
        entries.filter((name) =>
          /^(etc\/(passwd|debian_version)|usr\/bin\/(cat|passwd)|var\/lib\/dpkg\/status)$/.test(name),
        ),
      ).toEqual([]);
      expect(entries.length).toBeLessThan(60);

      expect(tools.podmanRun(reference)).toMatchObject({
        exitCode: 0,
        stdout: "2 10 56 /usr/share/tally/hello.txt\n",
      });
      expect(mountsMentioning(site.dir)).toEqual([]);
      expect(processesMentioning(site.dir)).toEqual([]);
    });
  });
});
