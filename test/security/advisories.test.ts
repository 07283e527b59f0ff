// Protects the host from what public advisories of builders and runtimes tell of: each as a build, beside a canary.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Result, type Site } from "../support/cooper.ts";

setDefaultTimeout(120_000);

interface Advisory {
  id: string;
  what: string;
  /** Instructions behind `FROM localhost/evil`, whose /link is a link to / and whose /out one to the canary; `C` is that. */
  dockerfile: string;
  flags?: string[];
  env?: Record<string, string>;
  /** Words of the error; without it the build must succeed. */
  refused?: RegExp;
}

const BIND = "RUN --mount=type=bind,from=localhost/evil";

const ADVISORIES: Advisory[] = [
  {
    id: "CVE-2024-1753",
    what: "a bind mount's source that is a link to the root",
    dockerfile: `${BIND},source=/link,target=/m,rw test ! -e /m$C/alive && echo x > /m/new && test -e /m/bin/busybox`,
  },
  {
    id: "CVE-2024-1753",
    what: "a bind mount's source that is a link to the host",
    dockerfile: `${BIND},source=/out,target=/m,rw echo x > /m/alive`,
    refused: /not found|does not exist/,
  },
  {
    id: "CVE-2024-11218",
    what: "the same from a stage that runs at the same time",
    dockerfile:
      "FROM localhost/evil AS swaps\nRUN mkdir /d && sleep 0.3 && rmdir /d && ln -s / /d\nFROM localhost/evil\nRUN --mount=type=bind,from=swaps,source=/d,target=/m,rw test ! -e /m$C/alive && echo x > /m/new",
    flags: ["--jobs", "2"],
  },
  {
    id: "CVE-2024-9407",
    what: "options of mount(8) by way of bind-propagation",
    dockerfile: `${BIND},source=/bin,target=/m,bind-propagation=rshared:Z true`,
    refused: /bind-propagation/,
  },
  {
    id: "CVE-2024-9675",
    what: "a cache's name that leads out of the caches",
    dockerfile:
      "RUN --mount=type=cache,id=../../../../../../../../../../$C,target=/m test ! -e /m/alive && echo x > /m/new",
  },
  {
    id: "CVE-2024-23651",
    what: "a cache that begins with files behind a link to the root",
    dockerfile: "RUN --mount=type=cache,from=localhost/evil,source=/link/out,target=/m echo x > /m/alive",
    refused: /./,
  },
  {
    id: "CVE-2024-23652",
    what: "a mount point whose parent becomes a link before it is removed",
    dockerfile:
      "RUN --mount=type=tmpfs,target=/d/empty --mount=type=bind,from=localhost/evil,source=/bin/busybox,target=/e/none mv /d /d2 2>/dev/null; mv /e /e2 2>/dev/null; ln -s $C /d; ln -s $C /e; true",
  },
  {
    id: "CVE-2024-23653",
    what: "a command that asks for all privileges",
    dockerfile: "RUN --security=insecure true",
    refused: /./,
  },
  {
    id: "CVE-2022-2990",
    what: "groups that the command's user is not in",
    dockerfile: 'USER www-data\nRUN test "$(id -G)" = 33',
  },
  {
    id: "CVE-2022-27651",
    what: "capabilities that are inherited",
    dockerfile: "RUN grep -q 'CapInh:.*0000000000000000' /proc/self/status",
  },
  {
    id: "CVE-2021-3602",
    what: "the caller's environment in the chroot isolation",
    dockerfile: "RUN ! env | grep HOSTSECRET && ! cat /proc/*/environ 2>/dev/null | grep HOSTSECRET",
    flags: ["--isolation", "chroot"],
    env: { HOSTSECRET: "x" },
  },
  {
    id: "CVE-2020-14370",
    what: "an earlier command's environment in the image",
    dockerfile: "RUN LEAK=1 true\nRUN ! env | grep LEAK",
  },
  {
    id: "CVE-2019-14271",
    what: "names of users looked up in files that lead out",
    dockerfile: "RUN rm /etc/passwd && ln -s $C/alive /etc/passwd\nCOPY --chown=alive Dockerfile /x",
    refused: /alive/,
  },
  {
    id: "CVE-2019-10152",
    what: "a destination that is a link to the host",
    dockerfile:
      "COPY Dockerfile /out/alive\nADD Dockerfile /link/$C/alive\nCOPY --link Dockerfile /out/new\nWORKDIR /out/work",
  },
  {
    id: "CVE-2023-27561",
    what: "a /proc that is a link to a directory of the image (CVE-2019-19921)",
    dockerfile:
      "RUN mkdir -p /y /fake/sys/kernel && ln -s /fake /y/proc\nFROM scratch\nCOPY --from=0 /bin /bin\nCOPY --from=0 /fake /fake\nCOPY --from=0 /y/ /\nRUN test ! -L /proc/self/exe || ! (echo x > /proc/sys/kernel/hostname) 2>/dev/null",
    refused: /proc/,
  },
  {
    id: "CVE-2019-16884",
    what: "a volume over /proc, under which nothing is hidden",
    dockerfile: "VOLUME /proc\nRUN cat /proc/keys /proc/timer_list 2>/dev/null | wc -c | grep -qx 0",
  },
  {
    id: "CVE-2021-30465",
    what: "mounts at and below links to the host",
    dockerfile: `${BIND},source=/bin,target=/out ls /out/busybox\nRUN --mount=type=tmpfs,target=/out/empty touch /out/empty/x`,
  },
  {
    id: "CVE-2024-45310",
    what: "mount points that lack behind a link to the host",
    dockerfile: `RUN --mount=type=tmpfs,target=/out/new/deep true\n${BIND},source=/bin/busybox,target=/out/file true`,
  },
  {
    id: "CVE-2025-31133",
    what: "a /dev/null that is a link to the host, and hides nothing (CVE-2025-52565: /dev/console)",
    dockerfile:
      "RUN mkdir /x && ln -s $C/alive /x/null && ln -s $C/alive /x/console\nFROM scratch\nCOPY --from=0 /bin /bin\nCOPY --from=0 /x/ /dev/\nRUN echo evil > /dev/null; cat /proc/keys /proc/timer_list 2>/dev/null | wc -c | grep -qx 0",
  },
  {
    id: "CVE-2024-9676",
    what: "a list of users that is a fifo, or one of the host's files",
    dockerfile: "RUN rm /etc/passwd && mkfifo /etc/passwd\nUSER nobody-here\nRUN true",
    refused: /nobody-here|passwd/,
  },
  ...Array.from(
    { length: 3 },
    (_, i): Advisory => ({
      id: "CVE-2024-21626",
      what: `a working directory that is the runtime's descriptor ${i + 7}`,
      dockerfile: `WORKDIR /proc/self/fd/${i + 7}\nRUN test ! -e ../../../../../../../../../..$C/alive`,
      refused: /./,
    }),
  ),
];

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let canary: string;

  beforeAll(async () => {
    site = openSite(person);
    canary = join(site.work, "canary");
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  async function evilBase(): Promise<void> {
    if ((await site.cooper("inspect", "--type", "image", "localhost/evil")).exitCode === 0) return;
    const dockerfile = `FROM localhost/busybox\nRUN ln -s / /link && ln -s ${canary} /out\n`;
    await site.ok("bud", "-q", "-t", "localhost/evil", site.files({ Dockerfile: dockerfile }));
  }

  function facts() {
    const inner = statSync(join(canary, "alive"));
    return [
      readdirSync(canary).sort(),
      readFileSync(join(canary, "alive"), "utf8"),
      inner.ctimeMs,
      statSync(canary).mode,
    ];
  }

  test.each(ADVISORIES)("$id: $what", async ({ dockerfile, flags = [], env = {}, refused }) => {
    await evilBase();
    rmSync(canary, { recursive: true, force: true });
    mkdirSync(join(canary, "empty"), { recursive: true });
    writeFileSync(join(canary, "alive"), "alive");
    writeFileSync(join(canary, "none"), "");
    site.give(canary);
    const before = facts();

    const text = `FROM localhost/evil\n${dockerfile.replaceAll("$C", canary)}\n`;
    const argv = ["cooper", "bud", "--no-cache", ...flags, site.files({ Dockerfile: text })];
    const result: Result = await site.run(argv, { env });

    expect(facts(), result.stderr).toEqual(before);
    if (refused === undefined) expect(result, result.stderr).toMatchObject({ exitCode: 0 });
    // What a runtime refuses and what it passes is its own affair, as long as nothing of the host is seen.
    else if (result.exitCode !== 0) expect(result.stderr).toMatch(refused);
    else expect(dockerfile, result.stderr).toMatch(/\/proc\/self\/fd|\/y\/proc/);
  });

  test("CVE-2019-5736: no command can write to the programs that start it", async () => {
    const programs = ["crun", "runc", "unshare", "setpriv", "nsenter"].flatMap(
      (name) => Bun.which(name) ?? [],
    );
    const facts = () => programs.map((path) => [path, statSync(path).mtimeMs, Bun.hash(readFileSync(path))]);
    const before = facts();
    for (const isolation of ["oci", "chroot"]) {
      const dockerfile = `FROM localhost/busybox
RUN for p in /proc/self /proc/[0-9]*; do (echo evil >> $p/exe) 2>/dev/null && echo written to $p; done; true
SHELL ["/proc/self/exe"]
RUN true
`;
      const context = site.files({ Dockerfile: dockerfile });
      const { stderr } = await site.cooper("bud", "--no-cache", "--isolation", isolation, context);
      expect(stderr).not.toContain("\nwritten to");
      expect(facts()).toEqual(before);
    }
  });

  test("CVE-2024-24557: an image that says it is what a step gave is not taken for it", async () => {
    await evilBase();
    const step = "RUN echo good > /poisoned";
    await site.script(
      `c=$(cooper from localhost/evil); cooper run $c -- sh -c 'echo evil > /poisoned'
       cooper config --created-by '/bin/sh -c echo good > /poisoned' --history-comment buildkit.dockerfile.v0 $c
       cooper commit -q --rm $c localhost/claims`,
    );
    const dockerfile = `FROM localhost/evil\n${step}\nRUN grep -qx good /poisoned\n`;
    for (const flags of [[], ["--layers"]]) {
      const { exitCode, stderr } = await site.cooper("bud", ...flags, site.files({ Dockerfile: dockerfile }));
      expect(exitCode, stderr).toBe(0);
    }
  });
});
