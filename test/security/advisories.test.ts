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
    else expect(dockerfile, result.stderr).toContain("/proc/self/fd");
  });
});
