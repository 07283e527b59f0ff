// Protects builds from contexts that hold what no file is: sockets, pipes, loops, what may not be read, what goes away.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(120_000);

interface Case {
  what: string;
  make: (context: string) => void;
  dockerfile: string;
  refused?: RegExp;
  /** Only for people whom modes of files bind. */
  user?: boolean;
}

const CASES: Case[] = [
  {
    what: "a pipe is copied as one and never read",
    make: (context) => void spawnSync("mkfifo", [join(context, "pipe")]),
    dockerfile: "COPY . /c\nRUN test -p /c/pipe",
  },
  {
    what: "a socket is never opened",
    make: (context) => {
      const script = "import socket,sys; socket.socket(socket.AF_UNIX).bind('socket')";
      spawnSync("python3", ["-c", script], { cwd: context });
    },
    dockerfile: "COPY . /c\nRUN test -e /c/Dockerfile",
  },
  {
    what: "links in a circle are copied as links",
    make: (context) => {
      symlinkSync("b", join(context, "a"));
      symlinkSync("a", join(context, "b"));
      symlinkSync("..", join(context, "up"));
    },
    dockerfile: 'COPY . /c\nRUN test "$(readlink /c/a)$(readlink /c/up)" = b..',
  },
  {
    what: "a source that is a circle is refused",
    make: (context) => symlinkSync("a", join(context, "a")),
    dockerfile: "COPY a/b /c",
    refused: /too many symbolic links/,
  },
  {
    what: "a link to the host is looked up in the context",
    make: (context) => symlinkSync("/etc/passwd", join(context, "a")),
    dockerfile: "COPY a /c",
    refused: /not found/,
  },
  {
    what: "a file that may not be read is named",
    make: (context) => {
      writeFileSync(join(context, "closed"), "x");
      chmodSync(join(context, "closed"), 0);
    },
    dockerfile: "COPY . /c",
    refused: /closed/,
    user: true,
  },
];

describe.each(people)("as $kind", (person) => {
  let site: Site;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  test.each(CASES.filter(({ user }) => user !== true || person.kind === "user"))("$what", async (one) => {
    const context = site.files({ Dockerfile: `FROM localhost/busybox\n${one.dockerfile}\n` });
    one.make(context);
    site.give(context);
    // Of the user's own files their root in a user namespace reads each.
    if (one.user === true && process.getuid?.() === 0) chownSync(join(context, "closed"), 0, 0);
    const { exitCode, stderr } = await site.cooper("bud", context);
    if (one.refused === undefined) expect(exitCode, stderr).toBe(0);
    else {
      expect(exitCode, stderr).not.toBe(0);
      expect(stderr).toMatch(one.refused);
    }
    expect((await site.cooper("check", "--quiet")).exitCode).toBe(0);
  });

  test("files that change and vanish while they are read: a whole image or a clear error", async () => {
    const files = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`d/${i}`, "x".repeat(20_000)]));
    const context = site.files({ ...files, Dockerfile: "FROM localhost/busybox\nCOPY d /d\n" });
    let building = true;
    const changing = (async () => {
      for (let i = 0; building; i = (i + 7) % 300) {
        writeFileSync(join(context, `d/${i}`), "y".repeat(i * 100));
        renameSync(join(context, `d/${i}`), join(context, "gone"));
        await Bun.sleep(1);
        renameSync(join(context, "gone"), join(context, `d/${i}`));
      }
    })();
    for (let round = 0; round < 3; round++) {
      const { exitCode, stderr } = await site.cooper("bud", "-t", "localhost/changing", context);
      if (exitCode !== 0) expect(stderr).toMatch(/^Error: [A-Z]/m);
      const check = await site.cooper("check", "--quiet");
      expect(check.exitCode, check.stdout).toBe(0);
    }
    building = false;
    await changing;
    await site.ok("bud", "-t", "localhost/changing", context);
  });
});
