// Protects building with one id (no range, no newuidmap): packages install, owners in layers are those of a root build.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Person, rootOnly } from "../support/as-users.ts";
import { busyboxBase, debianBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { OneIdUser } from "../support/one-id-user.ts";

setDefaultTimeout(300_000);

/** Members of an image's layers by name: owner, group, mode; topmost layer last. */
async function owners(site: Site, image: string): Promise<Record<string, string>[]> {
  const target = join(site.dir, `work/oci-${crypto.randomUUID()}`);
  await site.ok("push", image, `oci:${target}`);
  const json = (path: string) => JSON.parse(readFileSync(join(target, path), "utf8"));
  const blob = (digest: string) => `blobs/${digest.replace(":", "/")}`;
  const manifest = json(blob(json("index.json").manifests[0].digest));
  return manifest.layers.map(({ digest }: { digest: string }) => {
    const { stdout } = spawnSync("tar", ["--numeric-owner", "-tvzf", join(target, blob(digest))], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    const lines = stdout.trim().split("\n");
    return Object.fromEntries(
      lines.map((line) => {
        const [mode = "", owner = "", , , , ...name] = line.split(/\s+/);
        return [name.join(" ").replace(/^\.\//, ""), `${mode} ${owner}`];
      }),
    );
  });
}

const DOCKERFILE = `FROM localhost/base
RUN echo 'app:x:1234:1234::/srv:/bin/sh' >> /etc/passwd && echo 'app:x:1234:' >> /etc/group
COPY plain /plain
COPY --chown=app:app --chmod=4750 plain tree /srv/app/
ADD --chown=55:66 packed.tar /unpacked/
ADD packed.tar /as-packed/
WORKDIR /made/by/workdir
USER app
WORKDIR /made/by/app
USER root
COPY --from=localhost/base --chown=7:8 /etc/passwd /from/passwd
# Links and fifos: given away, also in a layer below, moved on, given back, and copied from an image.
RUN ln -s a /made/link && chown -h 21:22 /made/link && mv /made/link /srv/moved
RUN mkfifo /made/fifo && chown 24:25 /made/fifo && chown -h 27:28 /srv/app/link && ln -s a /made/back
RUN chown -h 28:28 /made/back && chown -h 0:0 /made/back && rm /srv/app/sub/link && ln -s new /srv/app/sub/link && ln /srv/moved /srv/twin
COPY --from=localhost/base /bin /bin-copied
RUN echo more >> /made/mine && echo more >> /plain && chown 9:9 /srv/app/file && mkdir -m 2777 /shared && chown :77 /shared
# What a tool does that replaces a file and keeps what it sees of its owner; one that looks at nothing; one by path.
RUN cp /srv/app/sub/file /srv/app/kept && chown app:7 /srv/app/kept && cp /srv/app/kept /srv/app/by-path && chown 7 /srv/app/by-path
RUN sed -i s/y/z/ /srv/app/kept && touch /new && chown 0:0 /new && mv /new /srv/app/by-path && chown -R 4:5 /srv/app/sub
USER app
RUN ln -s a /tmp/mine.link && mkfifo /shared/fifo && mkdir -p /tmp/mine/deep /shared/mine && touch /tmp/mine/file /shared/file && ln /tmp/mine/file /tmp/mine/twin && chmod 600 /tmp/mine/file
`;

describe.if(rootOnly.length > 0)("a user without a range of ids", () => {
  let user: OneIdUser;
  let person: Person;

  beforeAll(() => {
    user = new OneIdUser();
    person = user.person;
  });

  afterAll(() => user[Symbol.dispose]());

  function context(site: Site): string {
    const directory = site.files({
      Dockerfile: DOCKERFILE,
      plain: "plain\n",
      "tree/file": "x\n",
      "tree/sub/file": "y\n",
    });
    for (const link of ["tree/link", "tree/sub/link"]) symlinkSync("file", join(directory, link));
    const packed = join(site.dir, "packed");
    mkdirSync(join(packed, "d"), { recursive: true });
    writeFileSync(join(packed, "d/mine"), "mine\n");
    symlinkSync("mine", join(packed, "d/link"));
    expect(spawnSync("mkfifo", [join(packed, "d/fifo")]).status).toBe(0);
    const tar = ["--owner=77", "--group=88", "-C", packed, "-cf", join(directory, "packed.tar"), "d"];
    expect(spawnSync("tar", tar).status).toBe(0);
    site.give(directory);
    return directory;
  }

  test("is told so by info and doctor", async () => {
    await using site = openSite(person);
    expect(await site.ok("info", "--format", "{{.host.tier}} {{.host.networkSummary}}")).toMatch(
      /^2 (?:private: (?:pasta|slirp4netns)|host: .*(?:tun cannot be opened|not installed|no default route))$/,
    );
    expect(await site.ok("info", "--format", "{{.host.tierSummary}}")).toContain(
      `gives the user ${person.name} no range`,
    );
    const { exitCode, stdout } = await site.cooper("doctor");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/usermod --add-subuids \d+-\d+ cooper-one-/);
    expect(stdout).toContain("Tier 2, ");
  });

  test.each(["crun", "runc", "chroot"])(
    "builds with %s what root builds, owners included",
    async (isolation) => {
      await using site = openSite(person);
      await using roots = openSite(rootOnly[0]!);
      const images: Record<string, string>[][] = [];
      for (const one of [site, roots]) {
        await one.ok("import", busyboxBase(), "localhost/base");
        await one.ok("bud", "--isolation", isolation, "-t", "localhost/built", context(one));
        images.push(await owners(one, "localhost/built"));
      }
      const [mine, reference] = images as [Record<string, string>[], Record<string, string>[]];
      expect(mine[0]).toEqual(reference[0]!);
      expect(mine.at(-1)).toEqual(reference.at(-1)!);
      expect(mine.at(-1)).toMatchObject({
        "srv/app/plain": "-rwsr-x--- 1234/1234",
        "srv/app/file": "-rwxr-x--- 9/9",
        "srv/app/kept": expect.stringMatching(/ 1234\/7$/),
        "srv/app/by-path": expect.stringMatching(/ 0\/0$/),
        "shared/mine/": expect.stringMatching(/ 1234\/77$/),
        "tmp/mine/file": expect.stringMatching(/ 1234\/1234$/),
        "unpacked/d/mine": expect.stringMatching(/ 55\/66$/),
        "as-packed/d/mine": expect.stringMatching(/ 77\/88$/),
        "made/by/app/": expect.stringMatching(/ 1234\/1234$/),
        "from/passwd": expect.stringMatching(/ 7\/8$/),
        "srv/app/link -> file": expect.stringMatching(/ 27\/28$/),
        "as-packed/d/link -> mine": expect.stringMatching(/ 77\/88$/),
        "as-packed/d/fifo": expect.stringMatching(/ 77\/88$/),
        "srv/moved -> a": expect.stringMatching(/ 21\/22$/),
        "made/fifo": expect.stringMatching(/ 24\/25$/),
        "made/back -> a": expect.stringMatching(/ 0\/0$/),
        "tmp/mine.link -> a": expect.stringMatching(/ 1234\/1234$/),
        "shared/fifo": expect.stringMatching(/ 1234\/77$/),
      });
    },
  );

  test.each(["crun", "runc", "chroot"])(
    "%s pretends to change owners and users, and makes what it can",
    async (isolation) => {
      await using site = openSite(person);
      await site.ok("import", busyboxBase(), "localhost/base");
      const name = await site.ok("from", "localhost/base");
      const run = (...argv: string[]) => site.cooper("run", "--isolation", isolation, name, "--", ...argv);
      expect(await run("sh", "-ec", "touch /f; chown 5:6 /f; chown -h 5 /f; stat -c %u:%g /f")).toMatchObject(
        {
          exitCode: 0,
          stdout: "0:0\n",
        },
      );
      expect(
        await run("sh", "-ec", "mknod /dev1 c 1 3; test ! -e /dev1; mkfifo /fifo; test -p /fifo"),
      ).toMatchObject({
        exitCode: 0,
        stderr: "",
      });
      // No filter but this one.
      const open = await site.ok("from", "--security-opt", "seccomp=unconfined", "localhost/base");
      expect(
        await site.cooper("run", "--isolation", isolation, open, "--", "chown", "5", "/bin"),
      ).toMatchObject({
        exitCode: 0,
        stderr: "",
      });
      // Groups cannot be set in such a namespace.
      await run("sh", "-c", "echo 'app:x:5:6::/:/bin/sh' >> /etc/passwd");
      expect((await run("su", "-c", "exit 3", "app")).exitCode).toBe(3);
    },
  );

  test.each([
    ["crun", "1234:1234"],
    ["runc", "0:0"],
    ["chroot", "0:0"],
  ])("%s runs the commands of a USER as %s", async (isolation, expected) => {
    await using site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/base");
    const script = "touch /home/made && chown 5 /home/made && echo as $(id -u):$(id -g)";
    const directory = site.files({
      Dockerfile: `FROM localhost/base\nRUN mkdir -p /home\nUSER 1234:1234\nRUN ${script}\nRUN rm /home/made\n`,
    });
    const { exitCode, stdout, stderr } = await site.cooper("bud", "--isolation", isolation, directory);
    expect({ exitCode, stderr: exitCode === 0 ? "" : stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout + stderr).toContain(`as ${expected}\n`);
  });

  test("a store keeps to the way that it was made", async () => {
    await using site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/base");
    const { exitCode, stderr } = openedByRoot(site);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("made by a user with one id");
  });

  function openedByRoot(site: Site): { exitCode: number; stderr: string } {
    const program = process.env.COOPER_BIN ?? join(import.meta.dir, "../../bin/cooper");
    const { status, stderr } = spawnSync(
      program,
      ["--root", site.root, "--runroot", site.runRoot, "from", "scratch"],
      {
        encoding: "utf8",
      },
    );
    return { exitCode: status ?? -1, stderr };
  }

  test("apt-get installs packages that make users and give files away", async () => {
    await using site = openSite(person);
    await site.ok("import", debianBase(), "localhost/debian");
    const directory = site.files({
      Dockerfile: `FROM localhost/debian
RUN apt-get update && apt-get install -y --no-install-recommends openssh-server dbus
RUN getent passwd sshd messagebus && test -x /usr/sbin/sshd`,
    });
    await site.ok("bud", "-t", "localhost/ssh", directory);
    const [base, top] = await owners(site, "localhost/ssh");
    expect(base!["etc/shadow"]).toBe("-rw-r----- 0/42");
    expect(Object.keys(top!).filter((name) => name.includes("zz-cooper"))).toEqual([]);
    expect(top!["usr/sbin/sshd"]).toBe("-rwxr-xr-x 0/0");
  });
});
