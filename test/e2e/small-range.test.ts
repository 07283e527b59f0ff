// Protects the error for an owner outside of the user's range of ids: it names the file, the id, and what would help.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { holdsId } from "../../src/base/process-ids.ts";
import { becoming, people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { finished, openSite, type Site, successful } from "../support/cooper.ts";

setDefaultTimeout(60_000);
const user = people.find(({ kind }) => kind === "user")!;

describe.skipIf(process.getuid?.() !== 0)("an id that does not fit", () => {
  test.each([
    ["a user", "--chown=4000000:5", /^Error: Cannot copy \S+\/f to \/in: it belongs to user 4000000, /m],
    ["a group", "--chown=5:4000001", /^Error: Cannot copy \S+\/f to \/in: it belongs to group 4000001, /m],
  ])("COPY for %s", async (_, chown, message) => {
    await using site = openSite(user);
    const context = site.files({ f: "x", Dockerfile: `FROM scratch\nCOPY ${chown} f /in\n` });
    const { exitCode, stderr } = await site.cooper("bud", context);
    expect(stderr).toMatch(message);
    expect(stderr).toContain("Hint: a range of at least");
    expect(exitCode).toBe(125);
  });

  test("a layer", async () => {
    await using site = openSite(user);
    const tree = site.files({ big: "x" });
    spawnSync("chown", ["4000000:3", join(tree, "big")]);
    const tar = join(site.work, "layer.tar");
    spawnSync("tar", ["-C", tree, "-cf", tar, "big"]);
    const { exitCode, stderr } = await site.cooper("import", tar, "localhost/x");
    expect(stderr).toMatch(/Cannot unpack big: it belongs to user 4000000, /);
    expect(exitCode).toBe(125);
  });
});

describe.skipIf(process.getuid?.() !== 0)("two ranges of a thousand ids in /etc/subuid", () => {
  let site: Site;

  beforeAll(async () => {
    site = openSite(user);
    successful("import", await small("import", busyboxBase(), "localhost/busybox"));
  });
  afterAll(() => site[Symbol.asyncDispose]());

  /** Runs cooper as the user where the two files, in a mount namespace of this command, have the ranges. */
  const small = (...args: string[]) => {
    const ranges = join(site.dir, "ranges");
    writeFileSync(ranges, `${user.name}:165536:1000\n${user.name}:300000:1000\n`);
    const argv = [
      ...["unshare", "--mount", "sh", "-euc"],
      'mount --bind "$0" /etc/subuid; mount --bind "$0" /etc/subgid; exec "$@"',
      ...[ranges, ...becoming(user), "cooper", ...args],
    ];
    const started = Bun.spawn(argv, {
      ...{ cwd: site.work, env: site.environment(), stdin: "ignore", stdout: "pipe", stderr: "pipe" },
      detached: true,
    });
    return finished(started);
  };
  const bud = (dockerfile: string, ...flags: string[]) => {
    const Dockerfile = `FROM localhost/busybox\n${dockerfile}\n`;
    return small("bud", ...flags, site.files({ f: "x", Dockerfile }));
  };

  test("are mapped one after the other, and all of their ids can be had", async () => {
    const { stdout } = await small("unshare", "cat", "/proc/self/uid_map");
    expect(stdout.trim().split(/\s+/).map(Number)).toEqual([
      ...[0, user.uid, 1],
      ...[1, 165_536, 1000],
      ...[1001, 300_000, 1000],
    ]);
    const { exitCode, stderr } = await bud(
      "COPY --chown=1001:2000 f /f\nRUN stat -c %u:%g /f && chown 2000:1001 /f\nUSER 2000:1001\nRUN stat -c %u:%g /f && id",
    );
    expect(stderr).toContain("1001:2000\n");
    expect(stderr).toContain("2000:1001\nuid=2000 gid=1001");
    expect(exitCode).toBe(0);
  });

  test.each([
    ["user 2001", "COPY --chown=2001:5 f /in", "it belongs to user 2001"],
    ["group 2001", "COPY --chown=5:2001 f /in", "it belongs to group 2001"],
    ["USER 2001", "USER 2001\nRUN true", "Cannot run the command as user 2001"],
    ["USER 5:2001", "USER 5:2001\nRUN true", "Cannot run the command as group 2001"],
    [
      "a further group",
      "RUN echo y:x:5:5::/:/bin/sh >> /etc/passwd; echo g:x:2001:y >> /etc/group\nUSER y\nRUN true",
      "Cannot run the command as group 2001",
    ],
  ])("name an id beyond them: %s", async (_, dockerfile, message) => {
    for (const isolation of dockerfile.includes("RUN") ? ["crun", "runc", "chroot"] : ["crun"]) {
      const { exitCode, stderr } = await bud(dockerfile, "--isolation", isolation);
      expect(stderr).toContain(`${message}, who is not among the 2001 ids that this user may map\n`);
      expect(stderr).toMatch(/^Hint: .* at least 1 more ids in \/etc\/sub[ug]id /m);
      expect(exitCode).toBe(125);
    }
  });

  test("name the owner of a file that is pulled", async () => {
    await using theirs = openSite(people[0]!);
    const context = theirs.files({ f: "x", Dockerfile: "FROM scratch\nCOPY --chown=2001:5 f /in\n" });
    await theirs.ok("bud", "-q", "-t", "localhost/theirs", context);
    const archive = join(site.work, "theirs.tar");
    await theirs.ok("push", "-q", "localhost/theirs", `oci-archive:${archive}`);
    site.give(archive);
    const { exitCode, stderr } = await small("pull", `oci-archive:${archive}`);
    expect(stderr).toContain("Cannot unpack in: it belongs to user 2001, who is not among the 2001 ids ");
    expect(exitCode).toBe(125);
  });

  test("cannot be shifted, nor shared out, and the error says whose right that is", async () => {
    const run = async (...flags: string[]) => {
      const { stdout } = await small("from", ...flags, "localhost/busybox");
      return small("run", stdout.trim(), "cat", "/proc/self/uid_map");
    };
    for (const flags of [
      ["--userns-uid-map", "0:1:1000"],
      ["--userns-uid-map", "0:100000:65536"],
      ["--userns-uid-map-user", user.name],
      ["--userns", "auto"],
    ])
      expect((await run(...flags)).stderr).toContain(
        "CAP_SYS_ADMIN over the file system's own user namespace",
      );
    // Root of a namespace that is not Cooper's learns it from the kernel.
    await using inside = openSite(user);
    const script = `cooper import -q ${busyboxBase()} localhost/busybox
      cooper run $(cooper from --userns-uid-map 0:1:1000 localhost/busybox) true`;
    const tried = await inside.run([
      ...["unshare", "--map-root-user", "--map-auto", "--mount", "sh", "-c", script],
    ]);
    expect(tried.stderr).toMatch(
      /^Error: Cannot (show \S+ \(\w+\) under other ids: the kernel wants CAP_SYS_ADMIN over|make room for files under)/m,
    );
    const narrowed = await run("--userns-uid-map", "0:0:1500");
    expect(narrowed.stdout.trim().split(/\s+/).map(Number)).toEqual([0, 0, 1, 1, 1, 1000, 1001, 1001, 499]);
  });
});

test("what a map holds", () => {
  const map =
    "         0       1000          1\n         1     100000        100\n       500     300000         10\n";
  expect([0, 1, 100, 101, 499, 500, 509, 510].map((id) => holdsId(map, id))).toEqual([
    ...[true, true, true, false],
    ...[false, true, true, false],
  ]);
});
