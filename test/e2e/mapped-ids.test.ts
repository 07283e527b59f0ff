// Protects commands under other ids than their files have: who they are on the host, what they see, and that images stay the same.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { finished, openSite, type Site } from "../support/cooper.ts";
import { eventually, processesRunning } from "../support/leftovers.ts";

setDefaultTimeout(120_000);

const MAP = "0:100000:65536";

/** What leaves every kind of change: files of several owners, set-uid, links, deleted and replaced files and directories. */
const CHANGES = `FROM localhost/base
RUN touch /new && chown 5:6 /new && chmod 4755 /new && ln -s new /link && chown -h 7:8 /link && ln /new /hard
RUN rm /gone && rm -rf /kept && mkdir /kept && touch /kept/x && echo more >> /changed && chown 9:9 /changed
RUN mkdir -m 2770 /shared && chgrp 33 /shared && touch /shared/in && mkfifo /fifo
USER 1000:1000
RUN touch /open/mine
`;

describe.each(rootOnly)("as $kind", (person) => {
  let site: Site;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    const context = site.files({
      Dockerfile:
        "FROM localhost/busybox\nRUN touch /gone /changed && mkdir /kept && touch /kept/old && mkdir -m 1777 /open\n",
    });
    await site.ok("bud", "-q", "-t", "localhost/base", context);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const from = (...flags: string[]) => site.ok("from", ...flags, "localhost/base");
  const shell = (container: string, text: string, ...flags: string[]) =>
    site.ok("run", ...flags, container, "--", "/bin/sh", "-c", text);
  const built = (flags: string[], context: string) =>
    site.ok("bud", "-q", "--no-cache", "--timestamp", "0", ...flags, context);

  describe.each(["crun", "runc"])("%s", (isolation) => {
    test("a command is root inside and nobody on the host, and files are the image's", async () => {
      const name = await from("--isolation", isolation, "--userns-uid-map", MAP);
      const seen = await shell(
        name,
        "cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c '%u:%g' /etc/passwd /etc/hosts /open; touch /f; chown 5:6 /f; stat -c '%u:%g' /f",
      );
      expect(seen.split("\n").map((line) => line.trim().replace(/ +/g, " "))).toEqual([
        ...["0 100000 65536", "0 100000 65536", "0", "0:0", "0:0", "0:0", "5:6"],
      ]);
      const { uid, gid } = statSync(`${await site.ok("mount", name)}/f`);
      expect([uid, gid]).toEqual([5, 6]);
      await site.ok("umount", name);

      const running = site.start(["cooper", "run", "--user", "7:8", name, "--", "sleep", "98765"]);
      await eventually(() => idsOf("sleep 98765") !== undefined, 60_000);
      expect(idsOf("sleep 98765")).toEqual({ uid: 100_007, gid: 100_008 });
      process.kill(-running.pid, "SIGKILL");
      await finished(running);
      // A kill leaves nothing that the next command minds.
      expect(await shell(name, "stat -c %u:%g /f")).toBe("5:6");
    });

    test("layers are the same as without a map, with either driver", async () => {
      const context = site.files({ Dockerfile: CHANGES });
      const flags = ["--isolation", isolation];
      const plain = await built(flags, context);
      expect(await built([...flags, "--userns-uid-map", MAP], context)).toBe(plain);
      const copied = await site.script(
        `export STORAGE_DRIVER=copy; base=$(cooper bud -q --no-cache --timestamp 0 ${context})
        mapped=$(cooper bud -q --no-cache --timestamp 0 --userns-uid-map ${MAP} ${context})
        test "$base" = "$mapped" && echo same`,
        { env: { COOPER_ISOLATION: isolation } },
      );
      expect(copied).toBe("same");
    });

    test("mounts of a RUN: owners as in the image, and the same on the disk afterwards", async () => {
      const context = site.files({
        secret: "a secret of some length",
        Dockerfile: `FROM localhost/base AS other
RUN echo theirs > /f && chmod 600 /f && chown 3:4 /f
FROM localhost/base
RUN --mount=type=cache,id=${isolation},target=/c --mount=type=secret,id=s,uid=7,mode=0400 \\
    stat -c '%n %u:%g' /c /run/secrets/s && touch /c/f && chown 9:9 /c/f
RUN --mount=type=bind,from=other,target=/o --mount=type=bind,from=other,target=/w,rw \\
    stat -c '%n %u:%g' /o/f /w/f && cat /o/f && echo >> /w/f && touch /w/new
RUN --mount=type=bind,target=/x --mount=type=bind,target=/y,rw --mount=type=cache,id=${isolation},target=/c \\
    stat -c '%n %u:%g' /x/secret /y /c/f && rm /y/secret
RUN <<E
#!/bin/sh
stat -c '%n %u:%g' $0
E
RUN mkdir /volume && touch /volume/before && chown 3:4 /volume/before
VOLUME /volume
RUN stat -c '%n %u:%g' /volume /volume/before && touch /volume/within
RUN ls /volume
`,
      });
      const { stderr, exitCode } = await site.cooper(
        ...["bud", "--isolation", isolation, "--userns-uid-map", MAP, "--compat-volumes"],
        ...["--secret", `id=s,src=${join(context, "secret")}`, context],
      );
      for (const line of ["/c 0:0", "/run/secrets/s 7:0", "/o/f 3:4", "/w/f 3:4", "/x/secret 0:0", "/y 0:0"])
        expect(stderr).toContain(`${line}\n`);
      expect(stderr).toContain("/c/f 9:9\n");
      expect(stderr).toContain("/dev/pipes/E 0:0\n");
      expect(stderr).toMatch(/^\/volume 0:0\n\/volume\/before 3:4\n.*RUN ls \/volume\nbefore\nCOMMIT/ms);
      expect(exitCode).toBe(0);
      expect(readFileSync(join(context, "secret"), "utf8")).toBe("a secret of some length");
    });

    test("volumes have the host's owners, with U the command's", async () => {
      const [name, volume] = [
        await from("--isolation", isolation, "--userns-uid-map", MAP),
        site.files({ f: "x" }),
      ];
      const seen = (options: string) =>
        shell(name, "stat -c %u /v/f; touch /v/g 2>/dev/null || echo no", "-v", `${volume}:/v${options}`);
      expect(await seen("")).toBe("65534\nno");
      expect(await seen(":O")).toStartWith("65534");
      expect(await seen(":ro,U")).toBe("0\nno");
      expect(await seen(":U")).toBe("0");
      expect(statSync(join(volume, "f")).uid).toBe(100_000);
    });

    test("the namespace at a path: joined, with its map", async () => {
      await using holder = site.start(["unshare", "--user", "sleep", "97531"]);
      const namespace = `/proc/${holder.pid}/ns/user`;
      await eventually(
        () => Bun.spawnSync(["readlink", namespace]).stdout.toString().trim() !== ownNamespace(),
        60_000,
      );
      writeFileSync(`/proc/${holder.pid}/uid_map`, "0 300000 1000\n");
      writeFileSync(`/proc/${holder.pid}/gid_map`, "0 400000 1000\n");
      const name = await from("--isolation", isolation, "--userns", `ns:${namespace}`);
      const seen = await shell(
        name,
        "readlink /proc/self/ns/user; cat /proc/self/gid_map; stat -c %u /bin/sh",
      );
      const theirs = Bun.spawnSync(["readlink", namespace]).stdout.toString().trim();
      expect(seen.split("\n").map((line) => line.trim().replace(/ +/g, " "))).toEqual([
        ...[theirs, "0 400000 1000", "0"],
      ]);
      for (const network of ["host", "none", "private"])
        expect(await shell(name, "id -u", "--network", network)).toBe("0");
      process.kill(-holder.pid, "SIGKILL");
      await holder.exited;
      const { stderr } = await site.cooper("run", name, "true");
      expect(stderr).toContain(`Cannot join the user namespace ${namespace} for the command: `);
    });

    test("networks of their own, the host's IPC and PIDs, a terminal's size of /dev/shm", async () => {
      const name = await from("--isolation", isolation, "--userns-uid-map", MAP, "--shm-size", "1m");
      for (const flags of [
        ["--network", "none"],
        ["--network", "private"],
        ["--ipc", "host"],
        ["--pid", "host"],
      ])
        expect(
          await shell(name, "id -u; test -w /dev/null && test -d /sys/kernel && echo ok", ...flags),
        ).toBe("0\nok");
    });
  });

  test("what is saved with a container is shown, and maps of names are those of /etc/subuid", async () => {
    const range = subordinateRange("cooper-test");
    const inspected = async (...flags: string[]) => {
      const text = await site.ok("inspect", await from(...flags));
      return (JSON.parse(text) as { IDMappingOptions: Record<string, unknown> }).IDMappingOptions;
    };
    const map = [{ containerID: 0, hostID: range.first, size: range.count }];
    expect(await inspected("--userns-uid-map-user", "cooper-test")).toMatchObject({
      ...{ HostUIDMapping: false, UIDMap: map, GIDMap: map, AutoUserNs: false },
    });
    expect(await inspected("--userns-gid-map-group", "cooper-test")).toMatchObject({
      UIDMap: map,
      GIDMap: map,
    });
    expect(await inspected("--userns", "auto:size=7")).toMatchObject({
      ...{ HostUIDMapping: false, UIDMap: [], AutoUserNs: true, AutoUserNsOpts: { Size: 7 } },
    });
    expect(await inspected()).toMatchObject({ HostUIDMapping: true, UIDMap: [], AutoUserNs: false });
  });

  test("the global flags are the defaults of from and build", async () => {
    const uidMap = async (before: string[], ...flags: string[]) => {
      const name = await site.ok(...before, "from", ...flags, "localhost/base");
      return (await shell(name, "cat /proc/self/uid_map")).trim().split(/\s+/);
    };
    const globals = ["--userns-uid-map", "0:200000:65536", "--userns-gid-map", "0:300000:65536"];
    expect(await uidMap(globals)).toEqual(["0", "200000", "65536"]);
    expect(await uidMap(globals, "--userns-uid-map", MAP)).toEqual(["0", "100000", "65536"]);
    expect(await uidMap(globals, "--userns", "host")).toEqual(["0", "0", "4294967295"]);
    const context = site.files({ Dockerfile: "FROM localhost/base\nRUN cat /proc/self/gid_map\n" });
    const { stderr } = await site.cooper(...globals, "bud", "--no-cache", context);
    expect(stderr).toMatch(/^ *0 +300000 +65536$/m);
  });

  test("auto: as many ids as the image needs, and nobody else's while they are in use", async () => {
    const file = join(site.work, "subordinate");
    writeFileSync(file, "containers:500000:3000\n");
    const auto = (name: string, ...argv: string[]) =>
      site.run([
        ...["unshare", "--mount", "sh", "-c"],
        'mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec cooper run "$@"',
        ...[file, name, "--", ...argv],
      ]);
    const name = await from("--userns", "auto");
    const map = ({ stdout }: { stdout: string }) => stdout.trim().split(/\s+/);
    expect(map(await auto(name, "cat", "/proc/self/uid_map"))).toEqual(["0", "500000", "1024"]);
    const waits = auto(name, "sh", "-c", "cat /proc/self/uid_map; sleep 96420");
    await eventually(() => idsOf("sleep 96420") !== undefined, 60_000);
    expect(idsOf("sleep 96420")?.uid).toBe(500_000);
    const other = await from("--userns", "auto:size=1500,uidmapping=3:7:1");
    expect(map(await auto(other, "cat", "/proc/self/uid_map"))).toEqual([
      ...["3", "7", "1", "0", "501024", "3", "4", "501027", "1496"],
    ]);
    const large = await from("--userns", "auto:size=2500");
    expect((await auto(large, "true")).stderr).toContain(
      "Cannot find 2500 ids of containers in /etc/subuid: 1976 of its ids are free",
    );
    for (const pid of processesRunning("sleep 96420")) process.kill(pid, "SIGKILL");
    await waits;
    expect(map(await auto(large, "cat", "/proc/self/uid_map"))).toEqual(["0", "500000", "2500"]);
  });

  test("refused: while the container is mounted, by chroot, for ids that are there twice or for nobody", async () => {
    const name = await from("--userns-uid-map", MAP);
    await site.ok("mount", name);
    const refused = async (...argv: string[]) => {
      const { exitCode, stderr } = await site.cooper(...argv);
      expect(exitCode).toBe(125);
      return stderr;
    };
    expect(await refused("run", name, "true")).toMatch(/other ids .* is mounted\nHint: cooper umount /);
    await site.ok("umount", name);
    await site.ok("run", name, "true");
    expect(await refused("run", "--isolation", "chroot", name, "true")).toContain("--isolation chroot");
    const twice = await from("--userns-uid-map", "0:100000:10,5:200000:10");
    expect(await refused("run", twice, "true")).toContain("has ids twice: 0:100000:10, 5:200000:10");
    const few = await from("--userns-uid-map", "0:100000:10");
    expect(await refused("run", "--user", "10", few, "true")).toContain("user 10 is not among the ids");
    const rootless = await from("--userns-uid-map", "1:100000:10");
    expect(await refused("run", rootless, "true")).toContain("user 0 is not among the ids");
  });

  test("scratch, which has no overlay, may be mounted meanwhile", async () => {
    const name = await site.ok("from", "--userns-uid-map", MAP, "scratch");
    const path = await site.ok("mount", name);
    await site.script(`cp /bin/busybox ${path}/sh`);
    await site.ok("run", name, "--", "/sh", "-c", "echo x > /f");
    expect([statSync(`${path}/f`).uid, readdirSync(path)]).toEqual([0, expect.arrayContaining(["f", "sh"])]);
  });
});

const ownNamespace = () => Bun.spawnSync(["readlink", "/proc/self/ns/user"]).stdout.toString().trim();

/** Real ids, as the host has them, of the process that is this command. */
function idsOf(command: string): { uid: number; gid: number } | undefined {
  const [pid] = processesRunning(command);
  if (pid === undefined) return undefined;
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const id = (name: string) => Number(new RegExp(`^${name}:\\t(\\d+)`, "m").exec(status)?.[1]);
  return { uid: id("Uid"), gid: id("Gid") };
}

function subordinateRange(name: string): { first: number; count: number } {
  const [, first, count] = new RegExp(`^${name}:(\\d+):(\\d+)$`, "m").exec(
    readFileSync("/etc/subuid", "utf8"),
  )!;
  return { first: Number(first), count: Number(count) };
}
