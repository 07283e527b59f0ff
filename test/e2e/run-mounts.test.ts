// Protects what `run --mount` shows a command, what becomes of its writes, and that Dockerfiles have the same caches.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(120_000);

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    await site.ok("from", "--name", "work", "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const run = (mount: string, script: string, ...flags: string[]) =>
    site.ok("run", ...flags, "--mount", mount, "work", "sh", "-c", script);

  test("files of the host: to be read, or written to without a trace", async () => {
    const files = site.files({ "d/f": "host\n", one: "1\n" });
    const tree = `type=bind,src=${join(files, "d")},target=/m`;
    expect(await run(tree, "cat /m/f; touch /m/g 2>/dev/null || echo refused")).toBe("host\nrefused");
    expect(await run(`${tree},rw`, "echo new > /m/f; touch /m/g; cat /m/f; ls /m")).toBe("new\nf\ng");
    expect(await run(`type=bind,src=${join(files, "one")},target=/m/x,rw`, "echo 2 >> /m/x; cat /m/x")).toBe(
      "1\n2",
    );
    expect(readdirSync(join(files, "d"))).toEqual(["f"]);
    expect(readFileSync(join(files, "d/f"), "utf8")).toBe("host\n");
    expect(readFileSync(join(files, "one"), "utf8")).toBe("1\n");
    expect(await site.ok("run", "work", "sh", "-c", "test -e /m || echo gone")).toBe("gone");
  });

  test("files of an image, which stays as it is", async () => {
    const made = await site.ok("from", "localhost/busybox");
    await site.ok("run", made, "sh", "-c", "mkdir /data && echo inside > /data/f && ln -s /data/f /way");
    await site.ok("commit", "-q", "--rm", made, "localhost/data");
    const from = "type=bind,from=localhost/data,target=/m";
    expect(await run(from, "cat /m/data/f; touch /m/x 2>/dev/null || echo refused")).toBe("inside\nrefused");
    expect(await run(`${from},src=/data,rw`, "echo more >> /m/f; cat /m/f")).toBe("inside\nmore");
    expect(await run(`${from},src=way`, "cat /m")).toBe("inside");
    const missing = await site.cooper("run", "--mount", `${from},src=/nothing`, "work", "true");
    expect([missing.exitCode, missing.stderr]).toEqual([
      125,
      expect.stringContaining("The image localhost/data has no /nothing"),
    ]);
    const unknown = await site.cooper(
      "run",
      "--mount",
      "type=bind,from=localhost/none,target=/m",
      "work",
      "true",
    );
    expect(unknown.exitCode).toBe(125);
    await site.ok("rmi", "localhost/data");
  });

  test("caches stay, and are those of Dockerfiles", async () => {
    const mount = "type=cache,id=kept,target=/m";
    expect(await run(mount, "echo by-run > /m/f; stat -c %a:%u:%g /m")).toBe("755:0:0");
    expect(await run(mount, "cat /m/f")).toBe("by-run");
    expect(await run(`${mount},ro`, "touch /m/x 2>/dev/null || echo refused")).toBe("refused");
    const context = site.files({
      Dockerfile: `FROM localhost/busybox\nRUN --mount=${mount} cat /m/f > /seen && echo by-build > /m/g\n`,
    });
    await site.ok("bud", "-q", "-t", "localhost/built", context);
    expect(await run(mount, "ls /m")).toBe("f\ng");
    expect(
      await run("type=cache,id=kept,mode=0700,uid=7,gid=8,target=/m", "stat -c %a:%u:%g /m; ls /m"),
    ).toBe("700:7:8");
    expect(
      await run(
        "type=cache,id=copied,from=localhost/busybox,src=/bin,target=/m",
        "test -x /m/sh && echo yes",
      ),
    ).toBe("yes");
    await site.ok("run", "--mount", mount, "work", "mkdir", "/m/sub");
    expect(await run(`${mount},src=/sub`, "touch /m/x; ls /m")).toBe("x");
  });

  test("a tmpfs: its size and mode, and what it covers on request", async () => {
    expect(
      await run(
        "type=tmpfs,tmpfs-mode=700,tmpfs-size=64k,target=/m",
        "stat -c %a /m; df -k /m | tail -1 | awk '{print $2}'",
      ),
    ).toBe("700\n64");
    await site.ok(
      "run",
      "work",
      "sh",
      "-c",
      "mkdir -p /covered/deep && echo old > /covered/deep/f && chmod 750 /covered",
    );
    const script =
      "cat /covered/deep/f; stat -c %a /covered; echo new > /covered/deep/f; stat -f -c %T /covered";
    expect(await run("type=tmpfs,tmpcopyup,target=/covered", script)).toBe("old\n750\ntmpfs");
    expect(await site.ok("run", "work", "cat", "/covered/deep/f")).toBe("old");
    expect(await run("type=tmpfs,tmpcopyup,target=/new", "ls /new | wc -l; touch /new/x")).toBe("0");
  });

  test.each(["oci", "chroot"])("devices under other names, isolated by %s", async (isolation) => {
    const script = "echo x > /dev/other && head -c 2 /zeros/dev/z | od -An -tx1; ls -l /dev/other | cut -c1";
    const devices = ["--device", "/dev/null:/dev/other", "--device", "/dev/zero:/zeros/dev/z:rwm"];
    const box = await site.ok("from", ...devices, "--isolation", isolation, "localhost/busybox");
    expect(await site.ok("run", box, "sh", "-c", script)).toMatch(/^\s*00 00\nc$/);
    expect(await site.ok("run", box, "ls", "/dev/other")).toBe("/dev/other");
    const refused = await site.cooper("run", "--device", "/dev/null:r", box, "true");
    expect([refused.exitCode, refused.stderr]).toEqual([
      125,
      expect.stringContaining("no cgroup of devices"),
    ]);
    await site.ok("rm", box);
  });

  describe("secrets", () => {
    const VALUE = "s3cret-0123456789";
    let flags: string[] = [];
    beforeAll(() => {
      flags = [
        "--secret",
        `id=token,src=${join(site.files({ token: VALUE }), "token")}`,
        "--mount",
        "type=secret,id=token",
      ];
    });
    const withSecret = (mount: string, script: string, ...more: string[]) =>
      site.cooper(
        "run",
        ...flags.with(3, `type=secret,id=token${mount}`),
        ...more,
        "work",
        "sh",
        "-c",
        script,
      );

    test("are files in memory, or variables, while the command runs", async () => {
      const shown = await withSecret(
        "",
        "cat /run/secrets/token | wc -c; stat -c %a:%u /run/secrets/token; stat -f -c %T /run/secrets/token",
      );
      expect(shown).toMatchObject({ exitCode: 0, stdout: "17\n400:0\ntmpfs\n" });
      const placed = await withSecret(
        ",target=/etc/tok,mode=0444,uid=5",
        "stat -c %a:%u /etc/tok; ls /run/secrets 2>/dev/null | wc -l",
      );
      expect(placed.stdout).toBe("444:5\n0\n");
      const variable = await withSecret(
        ",env=TOKEN",
        "echo -n $TOKEN | wc -c; ls /run/secrets 2>/dev/null | wc -l",
      );
      expect(variable.stdout).toBe("17\n0\n");
      expect(await site.ok("run", "work", "sh", "-c", "ls /run/secrets /etc/tok 2>/dev/null | wc -l")).toBe(
        "0",
      );
      expect((await site.cooper("run", "--mount", "type=secret,id=none", "work", "true")).exitCode).toBe(0);
      expect(
        await site.cooper("run", "--mount", "type=secret,id=none,required", "work", "true"),
      ).toMatchObject({
        exitCode: 125,
        stderr: expect.stringContaining('There is no secret "none"'),
      });
      expect((await site.cooper("run", "--secret", "id=a,src=-", "work", "true")).stderr).toContain(
        "standard input",
      );
    });

    test("that a command leaves in the container are found, in any form", async () => {
      for (const [script, place] of [
        ["cp /run/secrets/token /leak", "/leak at byte 0"],
        ["base64 /run/secrets/token > /etc/leak", '"token" (base64) in /etc/leak at byte 0'],
        ["ln -s $(cat /run/secrets/token) /way", "the target of the link /way"],
      ] as const) {
        expect(await withSecret("", script)).toMatchObject({
          exitCode: 125,
          stderr: expect.stringContaining(place),
        });
        const allowed = await withSecret("", "true", "--allow-secret-leak", "token");
        expect(allowed).toMatchObject({
          exitCode: 0,
          stderr: expect.stringContaining("Warning: the container holds"),
        });
        expect(await withSecret("", "rm /leak /etc/leak /way 2>/dev/null; true")).toMatchObject({
          exitCode: 0,
          stderr: "",
        });
      }
    });

    test("that a command prints are not in what is kept of its output", async () => {
      const { stdout } = await withSecret("", "cat /run/secrets/token >&2; cat /run/secrets/token", "--json");
      expect(JSON.parse(stdout)).toMatchObject({
        exitCode: 0,
        stdout: "[secret token]",
        stderr: "[secret token]",
      });
    });

    test("count in the cache as in a Dockerfile", async () => {
      const text = "test -s /run/secrets/token; cat /proc/sys/kernel/random/uuid > /id";
      const context = site.files({
        Dockerfile: `FROM localhost/busybox\nRUN --mount=type=secret,id=token ${text}\n`,
      });
      await site.ok("bud", "-q", ...flags.slice(0, 2), "-t", "localhost/secret", context);
      const once = async (secret: string) => {
        const name = await site.ok("from", "localhost/busybox");
        const argv = ["run", "--cache", "--secret", secret, ...flags.slice(2), name, "/bin/sh", "-c", text];
        const { exitCode, stderr } = await site.cooper(...argv);
        await site.ok("rm", name);
        return exitCode === 0 && stderr.includes("Using cache");
      };
      const other = `id=token,src=${join(site.files({ token: "another value" }), "token")}`;
      expect(await once(flags[1]!)).toBe(true);
      expect(await once(other)).toBe(true);
      expect([await once(`${other},cache-salt`), await once(`${other},cache-salt`)]).toEqual([false, true]);
      expect([await once(`${flags[1]},cache-salt`), await once(`${flags[1]},cache-salt=x`)]).toEqual([
        false,
        false,
      ]);
    });
  });

  test("with --cache: the files of a mount are inputs, wherever they come from", async () => {
    const files = site.files({ f: "1" });
    const script = "cat /m/* | cksum; cat /proc/sys/kernel/random/uuid > /id";
    const once = async (mount: string) => {
      const name = await site.ok("from", "localhost/busybox");
      const { stderr } = await site.cooper("run", "--cache", "--mount", mount, name, "sh", "-c", script);
      await site.ok("rm", name);
      return stderr.includes("Using cache");
    };
    const mounts = [
      `type=bind,src=${files},target=/m,rw`,
      "type=bind,from=localhost/busybox,src=/etc,target=/m",
      "type=cache,id=cached,target=/m",
    ];
    for (const mount of mounts) expect([mount, await once(mount)]).toEqual([mount, false]);
    for (const mount of mounts) expect([mount, await once(mount)]).toEqual([mount, true]);
    expect(await once(`type=bind,src=${site.files({ f: "2" })},target=/m,rw`)).toBe(false);
    expect(await once(`type=bind,src=${site.files({ f: "1" })},target=/m,rw`)).toBe(true);
  });
});
