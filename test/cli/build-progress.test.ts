// Protects scripts and tools that watch a build: each kind of progress, the log file, and events as JSON in their documented shape.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(60_000);

let site: Site;
let context = "";
beforeAll(async () => {
  site = openSite(people[0]!);
  await site.ok("import", busyboxBase(), "localhost/busybox");
  context = site.files({
    Dockerfile: "FROM localhost/busybox\nRUN echo to-stdout; printf '\\377\\n' >&2\nENV A=b\n",
    "failing.Dockerfile": "FROM localhost/busybox\nRUN echo last words; exit 7\n",
  });
});
afterAll(() => site[Symbol.asyncDispose]());

const events = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("rawjson: each line of stderr is an event with its time; the id alone is on stdout", async () => {
  const { exitCode, stdout, stderr } = await site.cooper(
    "bud",
    "--no-cache",
    "--progress=rawjson",
    "-t",
    "localhost/x",
    context,
  );
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^[0-9a-f]{64}\n$/);
  const seen = events(stderr);
  for (const { time } of seen) expect(new Date(String(time)).toISOString()).toBe(String(time));
  expect(seen.map(({ type }) => type)).toEqual([
    ...["step-start", "step-done", "step-start"],
    ...Array<string>(seen.filter(({ type }) => type === "output").length).fill("output"),
    ...["step-done", "step-start", "step-done", "commit-start", "commit-done"],
  ]);
  const run = {
    stage: "0",
    index: 2,
    total: 3,
    location: { file: `${context}/Dockerfile`, line: 2, endLine: 2 },
  };
  expect(seen[2]).toMatchObject({ type: "step-start", step: run });
  const written = (stream: string) =>
    Buffer.concat(
      seen.filter((event) => event.stream === stream).map(({ data }) => Buffer.from(String(data), "base64")),
    );
  expect(written("stdout").toString()).toBe("to-stdout\n");
  expect([...written("stderr")]).toEqual([0xff, 0x0a]);
  expect(seen.at(-1)).toMatchObject({ name: "localhost/x:latest", imageId: stdout.trim() });
});

test("rawjson: a failure is an event too, with the path of the log, and the status is the command's", async () => {
  const { exitCode, stderr } = await site.cooper(
    "bud",
    "--progress=rawjson",
    "-f",
    `${context}/failing.Dockerfile`,
    context,
  );
  expect(exitCode).toBe(7);
  const [failed, error] = events(stderr).slice(-2);
  expect(failed).toMatchObject({ type: "step-failed", cancelled: false });
  expect(error).toMatchObject({ type: "error", code: "run-failed", exitCode: 7, location: { line: 2 } });
  expect(await site.script(`cat '${String(error!.log)}'`)).toContain("last words");
});

test("quiet is --quiet: the id alone; a failure shows the command's last output", async () => {
  for (const flag of ["--progress=quiet", "-q"]) {
    expect(await site.cooper("bud", flag, "-t", "localhost/x", context)).toMatchObject({
      exitCode: 0,
      stderr: "",
    });
    const failed = await site.cooper("bud", flag, "-f", `${context}/failing.Dockerfile`, context);
    expect(failed.stderr).toMatch(/^last words\nError: /);
  }
});

test("--logfile: what would be shown goes there and not to stderr; a failure names it", async () => {
  const { stderr } = await site.cooper(
    "bud",
    "--no-cache",
    "--logfile",
    "one.log",
    "-t",
    "localhost/x",
    context,
  );
  expect(stderr).toBe("Successfully tagged localhost/x:latest\n");
  expect(await site.script("cat one.log")).toMatch(
    /^STEP 1\/3: FROM[\s\S]*\nto-stdout\n[\s\S]*COMMIT localhost\/x:latest\n--> /,
  );
  const failed = await site.cooper(
    "bud",
    "--logfile",
    "two.log",
    "-f",
    `${context}/failing.Dockerfile`,
    context,
  );
  expect(failed.exitCode).toBe(7);
  expect(failed.stderr).toMatch(/^Error: [\s\S]*\nLog: two\.log\n/);
  expect(await site.script("cat two.log")).toContain("last words");
  const both = await site.cooper("bud", "--progress=rawjson", "--logfile", "three.log", context);
  expect(events(both.stderr).at(-1)).toMatchObject({ type: "commit-done" });
  expect(await site.script("cat three.log")).toContain("COMMIT");
});

test("--logsplit adds the platform, and needs --logfile", async () => {
  await site
    .ok("bud", "--logfile", "split", "--logsplit", "--platform", "linux/arm64", "-f", "-", context)
    .catch(() => {});
  await site.script(`printf 'FROM scratch\\nCOPY Dockerfile /\\n' > split.Dockerfile`);
  await site.ok(
    "bud",
    "--logfile",
    "split",
    "--logsplit",
    "--platform",
    "linux/arm64",
    "-f",
    "split.Dockerfile",
    context,
  );
  expect(await site.script("cat split_linux_arm64")).toContain("STEP 2/2");
  const refused = await site.cooper("bud", "--logsplit", context);
  expect(refused).toMatchObject({
    exitCode: 125,
    stderr: expect.stringContaining("--logsplit needs --logfile"),
  });
});

test("what is no kind of progress is refused, and a view without a terminal", async () => {
  expect((await site.cooper("bud", "--progress=fancy", context)).stderr).toContain(
    'Unknown kind of progress "fancy"',
  );
  expect((await site.cooper("bud", "--progress=tty", context)).stderr).toContain("needs a terminal");
  // A wish for every command, as against a flag.
  for (const [wish, says] of [
    ["tty", "STEP 1/3"],
    ["rawjson", '"step-start"'],
  ] as const) {
    const env = { COOPER_PROGRESS: wish };
    const { exitCode, stderr } = await site.run(["cooper", "bud", context], { env });
    expect(exitCode).toBe(0);
    expect(stderr).toContain(says);
  }
});

test("logs are kept of failures only, not more than twenty, and prune removes them", async () => {
  await site.ok("prune");
  const kept = () => site.script(`ls '${site.root}/logs' | wc -l`);
  expect(await kept()).toBe("0");
  await site.ok("bud", "-q", "--no-cache", context);
  expect(await kept()).toBe("0");
  for (let i = 0; i < 22; i++) await site.cooper("bud", "-q", "-f", `${context}/failing.Dockerfile`, context);
  expect(await kept()).toBe("20");
  expect(await site.script(`stat -c %a '${site.root}/logs' '${site.root}/logs'/* | sort -u`)).toBe(
    "600\n700",
  );
  await site.ok("prune");
  expect(await kept()).toBe("0");
});

test("of a log without end the beginning and the end are kept", async () => {
  const dockerfile =
    "FROM localhost/busybox\nRUN echo begin; yes 0123456789012345 | head -c 40000000; echo; echo end; exit 3\n";
  const { stderr } = await site.cooper("bud", "-q", site.files({ Dockerfile: dockerfile }));
  const log = /^Log: (.*)$/m.exec(stderr)?.[1] ?? "";
  expect(Number(await site.script(`stat -c %s '${log}'`))).toBeLessThan(18 << 20);
  expect(
    await site.script(`head -n 3 '${log}'; tail -n 2 '${log}'; grep -c 'bytes are left out here' '${log}'`),
  ).toMatch(/^STEP[\s\S]*begin\n[\s\S]*\nend\n1$/);
});

test("a secret that a command prints is in no output, error or log", async () => {
  const dockerfile =
    "FROM localhost/busybox\nRUN --mount=type=secret,id=token echo it is; cat /run/secrets/token; base64 /run/secrets/token >&2; exit 4\n";
  const directory = site.files({ Dockerfile: dockerfile, token: "s3cr3t-t0ken-value" });
  for (const flags of [[], ["-q"], ["--progress=rawjson"]]) {
    const { exitCode, stderr } = await site.cooper(
      ...["bud", ...flags, "--secret", `id=token,src=${directory}/token`, directory],
    );
    expect(exitCode).toBe(4);
    const shown = flags.includes("--progress=rawjson")
      ? events(stderr)
          .map(({ data, ...rest }) => JSON.stringify(rest) + Buffer.from(String(data), "base64").toString())
          .join("")
      : stderr;
    expect(shown).toContain("[secret token]");
    expect(shown).not.toMatch(/s3cr3t|czNjcjN0/);
    const log = /Log: (.*)$|"log":"(.*?)"/m.exec(shown);
    const kept = await site.script(`cat '${log?.[1] ?? log?.[2]}'`);
    expect(kept).toContain("[secret token]");
    expect(kept).not.toMatch(/s3cr3t|czNjcjN0/);
  }
});
