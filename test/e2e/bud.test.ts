// Protects `cooper bud`: the real Dockerfile of the fixture, and what each instruction and flag leaves in the image.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase, debianBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { mountsMentioning, processesMentioning } from "../support/leftovers.ts";

setDefaultTimeout(300_000);

interface Case {
  title: string;
  dockerfile: string;
  files?: Record<string, string>;
  args?: string[];
  /** A shell command in the result, and what it prints. */
  shows?: [command: string, output: string];
  /** Fields of the result's config. */
  config?: Record<string, unknown>;
}

const CASES: Case[] = [
  {
    title: "ENV is expanded in later instructions and seen by RUN",
    dockerfile: `FROM localhost/busybox\nENV A=one B="two words"\nENV C=\${A}-\${D:-none}\nRUN echo "$A|$B|$C" > /out`,
    shows: ["cat /out", "one|two words|one-none"],
    config: { Env: expect.arrayContaining(["A=one", "B=two words", "C=one-none"]) },
  },
  {
    title: "ARG before and after FROM, with and without a default",
    dockerfile: `ARG BASE=wrong\nFROM localhost/\${BASE}\nARG BASE\nARG GIVEN=default\nARG KEPT=default\nRUN echo "$BASE $GIVEN $KEPT" > /out`,
    args: ["--build-arg", "BASE=busybox", "--build-arg", "GIVEN=given"],
    shows: ["cat /out; env | grep -c GIVEN || true", "busybox given default\n0"],
  },
  {
    title: "COPY of directories, globs and modes",
    dockerfile:
      "FROM localhost/busybox\nWORKDIR /a/b\nCOPY dir ./dir/\nCOPY *.txt ../\nCOPY --chmod=0710 --chown=7:8 one.txt /own/",
    files: { "dir/x": "x\n", "dir/sub/y": "y\n", "one.txt": "1\n", "two.txt": "2\n", "three.md": "3\n" },
    shows: [
      "cd /; find a own -type f | sort; stat -c '%a %u:%g' own/one.txt a/one.txt",
      "a/b/dir/sub/y\na/b/dir/x\na/one.txt\na/two.txt\nown/one.txt\n710 7:8\n644 0:0",
    ],
    config: { WorkingDir: "/a/b" },
  },
  {
    title: ".dockerignore",
    dockerfile: "FROM localhost/busybox\nCOPY . /all/",
    files: {
      ".dockerignore": "*.log\n!keep.log\nsecret\n",
      "a.log": "",
      "keep.log": "",
      "secret/key": "",
      "b.txt": "",
    },
    shows: [
      "cd /all; find . -type f -not -name Dockerfile -not -name .dockerignore | sort",
      "./b.txt\n./keep.log",
    ],
  },
  {
    title: "WORKDIR is relative to the one before, USER is who RUN is",
    dockerfile:
      "FROM localhost/busybox\nWORKDIR /srv\nWORKDIR app\nUSER www-data\nRUN echo $(pwd) $(id -u):$(id -g) > /tmp/out\nUSER 5:6\nRUN id -u > /tmp/second",
    shows: ["cat /tmp/out /tmp/second; id -u; id -g", "/srv/app 33:33\n5\n5\n6"],
    config: { User: "5:6", WorkingDir: "/srv/app" },
  },
  {
    title: "several stages by name and by number",
    dockerfile:
      "FROM localhost/busybox AS first\nRUN echo one > /one\nFROM localhost/busybox\nRUN echo two > /two\nFROM first AS third\nRUN echo three > /three\nFROM localhost/busybox\nCOPY --from=first /one /\nCOPY --from=1 /two /\nCOPY --from=third /one /three /both/",
    shows: ["cat /one /two /both/one /both/three; ls /three 2>&1 | grep -c three", "one\ntwo\none\nthree\n1"],
  },
  {
    title: "--target, and stages that it does not need are not run",
    dockerfile:
      "FROM localhost/busybox AS a\nRUN echo a > /out\nFROM localhost/busybox AS b\nRUN exit 3\nFROM b\nRUN exit 4",
    args: ["--target", "a"],
    shows: ["cat /out", "a"],
  },
  {
    title: "SHELL, the JSON form of RUN, and continued lines",
    dockerfile: `FROM localhost/busybox\nRUN ["/bin/sh", "-c", "echo $0 json > /json", "zero"]\nSHELL ["/bin/sh", "-e", "-c"]\nRUN echo one \\\n  # a comment within\n  two > /shell; \\\n  echo $- | grep -o e >> /shell`,
    shows: ["cat /json /shell", "zero json\none two\ne"],
    config: { Shell: ["/bin/sh", "-e", "-c"] },
  },
  {
    title: "a heredoc as a script and as a file",
    dockerfile: `FROM localhost/busybox\nARG WHO=world\nRUN <<EOF\nset -e\necho "hello $WHO" > /out\nEOF\nCOPY <<"EOF" /file\nliteral $WHO\nEOF`,
    shows: ["cat /out /file", "hello world\nliteral $WHO"],
  },
  {
    title: "what the config says",
    dockerfile: `FROM localhost/busybox
LABEL one=1 two="a b"
EXPOSE 80 53/udp 8000-8001
VOLUME ["/data", "/logs"]
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD wget -q localhost || exit 1
ENTRYPOINT ["/bin/echo", "-n"]
CMD ["hello"]
ONBUILD RUN echo triggered`,
    config: {
      Labels: expect.objectContaining({ one: "1", two: "a b" }),
      ExposedPorts: { "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {} },
      Volumes: { "/data": {}, "/logs": {} },
      StopSignal: "SIGQUIT",
      Healthcheck: {
        Test: ["CMD-SHELL", "wget -q localhost || exit 1"],
        Interval: 5e9,
        Timeout: 3e9,
        Retries: 2,
      },
      Entrypoint: ["/bin/echo", "-n"],
      Cmd: ["hello"],
      OnBuild: ["RUN echo triggered"],
    },
  },
];

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let tools: ForeignTools;

  beforeAll(async () => {
    site = openSite(person);
    tools = new ForeignTools();
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(async () => {
    tools[Symbol.dispose]();
    await site[Symbol.asyncDispose]();
  });

  /** The image as an archive that other tools read. */
  async function archived(image: string): Promise<string> {
    const file = join(site.work, `${image.replaceAll(/\W/g, "-")}.tar`);
    await site.run(["rm", "-f", file]);
    await site.ok("push", image, `oci-archive:${file}`);
    return file;
  }

  async function runIn(image: string, command: string): Promise<string> {
    return site.script(
      `
      c=$(cooper from ${image})
      cooper run $c -- /bin/sh -c "$COMMAND"
      cooper rm $c > /dev/null`,
      { env: { COMMAND: command } },
    );
  }

  test.each(CASES)("$title", async ({ dockerfile, files, args = [], shows, config }) => {
    const context = site.files({ Dockerfile: `${dockerfile}\n`, ...files });
    await site.ok("bud", "-t", "localhost/case", ...args, context);
    if (shows !== undefined) expect(await runIn("localhost/case", shows[0])).toBe(shows[1]);
    if (config !== undefined) {
      // HEALTHCHECK and SHELL are in the OCI format too, where others drop them.
      const archive = await archived("localhost/case");
      expect(tools.inspectConfig(`oci-archive:${archive}`).config).toMatchObject(config);
    }
  });

  test("ADD unpacks a local archive, COPY does not", async () => {
    const context = site.files({
      Dockerfile: "FROM localhost/busybox\nADD a.tar.gz /added/\nCOPY a.tar.gz /copied/\n",
      "tree/in/file": "content\n",
    });
    await site.script(`tar -C ${context}/tree -czf ${context}/a.tar.gz in`);
    await site.ok("bud", "-t", "localhost/case", context);
    expect(await runIn("localhost/case", "cat /added/in/file; ls /copied")).toBe("content\na.tar.gz");
  });

  test("ONBUILD triggers run in the build that stands on it, once", async () => {
    const first = site.files({
      Dockerfile: "FROM localhost/busybox\nONBUILD COPY given /given\nONBUILD RUN cat /given > /seen\n",
    });
    await site.ok("bud", "-t", "localhost/onbuild", first);
    const second = site.files({
      Dockerfile: "FROM localhost/onbuild\nRUN echo after >> /seen\n",
      given: "given\n",
    });
    await site.ok("bud", "-t", "localhost/second", second);
    expect(await runIn("localhost/second", "cat /seen")).toBe("given\nafter");
    const third = site.files({ Dockerfile: "FROM localhost/second\nRUN wc -l < /seen > /lines\n" });
    await site.ok("bud", "-t", "localhost/third", third);
    expect(await runIn("localhost/third", "cat /lines")).toBe("2");
  });

  test("one layer on the base without --layers, one for each that changes files with it", async () => {
    const context = site.files({
      Dockerfile: "FROM localhost/busybox\nENV A=b\nRUN echo 1 > /1\nRUN echo 2 > /2; rm /1\nCOPY file /\n",
      file: "x",
    });
    await site.ok("bud", "--layers=false", "-t", "localhost/flat", context);
    await site.ok("bud", "--layers", "-t", "localhost/layered", context);
    const flat = await archived("localhost/flat");
    const layered = await archived("localhost/layered");
    expect(tools.inspectConfig(`oci-archive:${flat}`).rootfs.diff_ids.length).toBe(2);
    expect(tools.inspectConfig(`oci-archive:${layered}`).rootfs.diff_ids.length).toBe(4);
    // A file that came and went between two snapshots is in no layer of the flat image.
    expect(tools.layerEntries(flat, -1).some((name) => /(^|\/)(\.wh\.)?1$/.test(name))).toBe(false);
    expect(await runIn("localhost/layered", "cat /2; ls /1 2>/dev/null || echo gone")).toBe("2\ngone");
  });

  test("a second build runs nothing again, unless --no-cache asks for it", async () => {
    const context = site.files({
      Dockerfile: "FROM localhost/busybox\nCOPY file /\nRUN cat /proc/sys/kernel/random/uuid > /uuid\n",
      file: "x",
    });
    const build = async (...flags: string[]) => {
      await site.ok("bud", "--layers", ...flags, "-t", "localhost/cached", context);
      return runIn("localhost/cached", "cat /uuid");
    };
    const first = await build();
    expect(await build()).toBe(first);
    const again = await build("--no-cache");
    expect(again).not.toBe(first);
    await site.script(`echo changed > ${context}/file`);
    expect([first, again]).not.toContain(await build());
  });

  test("-q, --iidfile, -f and several names", async () => {
    const context = site.files({ "other/Build.file": "FROM localhost/busybox\nRUN echo noise\n" });
    const build = [
      "bud",
      "-q",
      "-f",
      join(context, "other/Build.file"),
      "-t",
      "localhost/n1",
      "-t",
      "localhost/n2:v3",
    ];
    const id = await site.ok(...build, context);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const images = await site.ok("images", "--no-trunc", "--format", "{{.Name}}:{{.Tag}} {{.ID}}");
    expect(images.replaceAll(/ +/g, " ").split("\n")).toEqual(
      expect.arrayContaining([`localhost/n1:latest sha256:${id}`, `localhost/n2:v3 sha256:${id}`]),
    );

    const iidfile = join(site.work, "iid");
    await site.ok(...build, "--iidfile", iidfile, context);
    const written = readFileSync(iidfile, "utf8");
    expect(written).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await site.ok("images", "-q", "--no-trunc", "localhost/n1")).toBe(written);
  });

  test("the fixture: a compiler from apt-get, the result on scratch", async () => {
    await site.ok("import", debianBase(), "localhost/debian");
    const built = await site.cooper(
      "bud",
      "--build-arg",
      "BASE=localhost/debian",
      "-t",
      "localhost/tally",
      site.fixture("hello"),
    );
    expect(built).toMatchObject({ exitCode: 0 });
    expect(built.stdout + built.stderr).not.toContain("must not run\n");

    const output = await site.script(`
      c=$(cooper from localhost/tally)
      cooper run $c -- /usr/bin/tally -u
      cooper run $c -- /usr/bin/tally -w /usr/share/tally/hello.txt
      cooper rm $c > /dev/null`);
    expect(output).toBe("uid 65534 gid 65534\n10 /usr/share/tally/hello.txt");

    const archive = await archived("localhost/tally");
    const reference = `oci-archive:${archive}`;
    expect(tools.podmanRun(reference)).toMatchObject({
      exitCode: 0,
      stdout: "2 10 56 /usr/share/tally/hello.txt\n",
    });
    expect(tools.podmanRun(reference, ["-x", "9", "/usr/share/tally/hello.txt"]).exitCode).toBe(9);
    const { config, rootfs } = tools.inspectConfig(reference);
    expect(config).toMatchObject({
      User: "65534:65534",
      WorkingDir: "/work",
      Entrypoint: ["/usr/bin/tally"],
      Cmd: ["/usr/share/tally/hello.txt"],
      Labels: expect.objectContaining({ "org.opencontainers.image.version": "1.2.0" }),
    });
    expect(config?.Env).toContain("TALLY_HOME=/var/lib/tally");
    expect(rootfs.diff_ids.length).toBe(1);
    const unpacked = tools.unpack(archive);
    expect(existsSync(join(unpacked, "usr/bin/gcc"))).toBe(false);
    expect(existsSync(join(unpacked, "usr/libexec/tally/record"))).toBe(true);
  });

  test("nothing is left mounted or running", async () => {
    expect(await site.ok("containers", "-q")).toBe("");
    expect(mountsMentioning(site.dir)).toEqual([]);
    expect(processesMentioning(site.dir)).toEqual([]);
  });
});
