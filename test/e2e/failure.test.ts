// Protects the way a build fails: it says where and why, ends with the command's status, and leaves nothing behind.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { mountsMentioning, processesMentioning } from "../support/leftovers.ts";

setDefaultTimeout(60_000);

interface Case {
  title: string;
  dockerfile: string;
  args?: string[];
  exitCode: number;
  /** What the output holds. */
  says: (string | RegExp)[];
}

const CASES: Case[] = [
  {
    title: "a RUN that fails",
    dockerfile:
      "FROM localhost/busybox\nENV A=b\nRUN echo before\nRUN echo to-stdout; \\\n  echo to-stderr >&2; exit 42\nRUN echo after",
    exitCode: 42,
    says: [/Dockerfile:4\b/, /> +4 \| RUN echo to-stdout/, /^to-stdout$/m, /^to-stderr$/m, /\b42\b/],
  },
  {
    title: "a program that is not there",
    dockerfile: 'FROM localhost/busybox\nRUN ["/no/such/program"]',
    exitCode: 127,
    says: [/Dockerfile:2\b/, "/no/such/program"],
  },
  {
    title: "a RUN whose shell was told of a signal",
    dockerfile: "FROM localhost/busybox\nRUN sh -c 'kill -KILL $$'; exit $?",
    exitCode: 137,
    says: [/Dockerfile:2\b/],
  },
  {
    title: "an instruction that is misspelt",
    dockerfile: "FROM localhost/busybox\nRUN true\nCOPPY a b",
    exitCode: 125,
    says: [/Dockerfile:3\b/, "COPPY", "COPY"],
  },
  {
    title: "a source that is not there",
    dockerfile: "FROM localhost/busybox\nCOPY missing.txt /",
    exitCode: 125,
    says: [/Dockerfile:2\b/, "missing.txt"],
  },
  {
    title: "a stage that is not there",
    dockerfile: "FROM localhost/busybox AS one\nRUN true",
    args: ["--target", "two"],
    exitCode: 125,
    says: ["two", "one"],
  },
  {
    title: "an image that is not there",
    dockerfile: "FROM localhost/no-such-image",
    args: ["--pull=never"],
    exitCode: 125,
    says: [/Dockerfile:1\b/, "localhost/no-such-image"],
  },
  {
    title: "an unknown flag",
    dockerfile: "FROM localhost/busybox\nCOPY --chwon=1 a /",
    exitCode: 125,
    says: [/Dockerfile:2\b/, "--chwon", "--chown"],
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

  test.each(CASES)("$title", async ({ dockerfile, args = [], exitCode, says }) => {
    const before = await site.ok("images", "-a", "-q");
    const context = site.files({ Dockerfile: `${dockerfile}\n` });

    const result = await site.cooper("bud", "-t", "localhost/failed", ...args, context);

    const output = result.stdout + result.stderr;
    expect(result.exitCode, output).toBe(exitCode);
    for (const part of says) expect(output).toMatch(part);
    expect(output).not.toContain("    at "); // no stack trace

    expect(await site.ok("images", "-a", "-q")).toBe(before);
    expect((await site.cooper("from", "--pull=never", "localhost/failed")).exitCode).toBe(125);
    expect(await site.ok("containers", "-a", "-q")).toBe("");
    expect(mountsMentioning(site.dir)).toEqual([]);
    expect(processesMentioning(site.dir)).toEqual([]);
  });

  test("the failed build's work is not lost: what succeeded comes from the cache", async () => {
    const files = {
      Dockerfile:
        "FROM localhost/busybox\nRUN cat /proc/sys/kernel/random/uuid > /uuid\nRUN cat /uuid; test -e /marker\n",
    };
    const context = site.files(files);
    const uuid = /^[0-9a-f]{8}-[0-9a-f-]{27}$/m;
    const first = await site.cooper("bud", "--layers", "-t", "localhost/failed", context);
    expect(first.exitCode).toBe(1);
    const second = await site.cooper("bud", "--layers", "-t", "localhost/failed", context);
    expect(uuid.exec(second.stdout + second.stderr)?.[0]).toBe(
      uuid.exec(first.stdout + first.stderr)?.[0] ?? "nothing",
    );
  });

  test("a file that cannot be made does not leave a container", async () => {
    const container = await site.ok("from", "localhost/busybox");
    const push = await site.cooper("push", "localhost/busybox", "oci-archive:/proc/no/such/place.tar");
    expect(push.exitCode).toBe(125);
    expect(push.stderr).toContain("/proc/no");
    const run = await site.cooper("run", container, "--", "sh", "-c", "exit 5");
    expect(run.exitCode).toBe(5);
    const terminated = await site.cooper(
      "run",
      container,
      "--",
      "sh",
      "-c",
      "sh -c 'kill -TERM $$'; exit $?",
    );
    expect(terminated.exitCode).toBe(143);
    await site.ok("rm", container);
    expect(mountsMentioning(site.dir)).toEqual([]);
    expect(processesMentioning(site.dir)).toEqual([]);
  });
});
