// Protects the flags of a build that change the image or which steps run, and --check with its words and exit status.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rootOnly, people } from "../support/as-users.ts";
import { type BuildSite, openBuildSite } from "./site.ts";

setDefaultTimeout(120_000);
const FROM = "FROM localhost/busybox\n";
// What they do has nothing to do with who runs them.
const person = rootOnly[0] ?? people[0]!;

let it: BuildSite;
beforeAll(async () => {
  it = await openBuildSite(person);
});
afterAll(() => it[Symbol.asyncDispose]());

interface Config {
  config: { Env?: string[]; Labels?: Record<string, string> };
  history?: unknown[];
}
const config = async () => (await it.config("localhost/case")) as unknown as Config;

test("--env is there for all stages and the image; --unsetenv takes away", async () => {
  const dockerfile = `FROM localhost/busybox AS a\nRUN echo $E > /e\n${FROM}COPY --from=a /e /e\nENV F=f G=\${E}g`;
  const flags = ["--env", "E=env", "--env", "H=h", "--unsetenv", "F", "--unsetenv", "none"];
  expect(await it.shows("cat /e", dockerfile, flags)).toBe("env");
  const { Env } = (await config()).config;
  expect(Env).toEqual(expect.arrayContaining(["E=env", "G=envg", "H=h"]));
  expect(Env).not.toContain("F=f");
});

test("--label and --unsetlabel", async () => {
  await it.build(`${FROM}LABEL a=1 b=2`, ["--label", "c=3", "--unsetlabel", "a", "--identity-label=false"]);
  expect((await config()).config.Labels).toEqual({ b: "2", c: "3" });
});

test("--omit-history leaves none", async () => {
  await it.build(`${FROM}RUN true\nENV A=b`);
  expect((await config()).history?.length).toBeGreaterThan(1);
  await it.build(`${FROM}RUN true\nENV A=b`, ["--omit-history"]);
  expect((await config()).history ?? []).toEqual([]);
});

test("--no-cache-filter runs the steps of the stages that it names anew, and what stands on them", async () => {
  const uuid = "cat /proc/sys/kernel/random/uuid";
  const context = it.site.files({
    Dockerfile: `FROM localhost/busybox AS one\nRUN ${uuid} > /1\nFROM localhost/busybox AS Two\nRUN ${uuid} > /2\n${FROM}COPY --from=one /1 /\nCOPY --from=two /2 /\nRUN ${uuid} > /3\n`,
  });
  const build = async (...flags: string[]) => {
    await it.site.ok("bud", "-t", "localhost/filtered", ...flags, context);
    return (await it.inImage("localhost/filtered", "cat /1 /2 /3")).split("\n");
  };
  const first = await build();
  expect(await build()).toEqual(first);
  const second = await build("--no-cache-filter", "TWO");
  expect(second[0]).toBe(first[0]!);
  expect(second[1]).not.toBe(first[1]);
  expect(second[2]).not.toBe(first[2]);
  const third = await build("--no-cache-filter", "2");
  expect(third.slice(0, 2)).toEqual(second.slice(0, 2));
  expect(third[2]).not.toBe(second[2]);
});

describe("--check", () => {
  const check = async (dockerfile: string, files: Record<string, string> = {}, ...flags: string[]) => {
    const context = it.site.files({ Dockerfile: dockerfile, ...files });
    return it.site.cooper("bud", "--check", ...flags, context);
  };

  test("nothing to say: status 0, and nothing is run", async () => {
    expect(await check(`${FROM}RUN exit 3\n`)).toMatchObject({
      exitCode: 0,
      stdout: "Check complete, no warnings found.\n",
    });
  });

  test("warnings: the rule, its page, the lines; status 1", async () => {
    const { exitCode, stdout } = await check(`# a comment\nFROM localhost/busybox AS Foo\nRUN true\n`);
    expect(exitCode).toBe(1);
    expect(stdout).toBe(`Check complete, 1 warning has been found!

WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/
Stage name 'Foo' should be lowercase
Dockerfile:2
--------------------
   1 |     # a comment
   2 | >>> FROM localhost/busybox AS Foo
   3 |     RUN true
--------------------
`);
  });

  test("what an ignore file hides from COPY, unless it has exceptions", async () => {
    const dockerfile = `${FROM}COPY a.log sub/ /x/\n`;
    const { stdout } = await check(dockerfile, { ".dockerignore": "*.log\nsub\n", "a.log": "", "sub/x": "" });
    expect(stdout).toContain(`Attempting to Copy file "a.log" that is excluded by .dockerignore`);
    expect(stdout).toContain(`"sub"`);
    const excepted = await check(dockerfile, {
      ".dockerignore": "*.log\n!a.log\n",
      "a.log": "",
      "sub/x": "",
    });
    expect(excepted.stdout).not.toContain("CopyIgnoredFile");
    const skipped = await check(`# check=skip=CopyIgnoredFile\n${dockerfile}`, {
      ".dockerignore": "*.log\n",
      "a.log": "",
    });
    expect(skipped).toMatchObject({ exitCode: 0 });
  });

  test("a base of another platform", async () => {
    const { stdout } = await check(`ARG P=linux/s390x\nFROM --platform=$P localhost/busybox\n`);
    expect(stdout).toContain("WARNING: InvalidBaseImagePlatform\n");
    expect(stdout).toContain(`expected "linux/s390x"`);
  });

  test("of several platforms each, and once what is said of all", async () => {
    const both = "--platform=linux/amd64,linux/s390x";
    const { stdout } = await check(`${FROM}MAINTAINER me\n`, {}, both);
    expect(stdout).toStartWith("Check complete, 2 warnings have been found!\n");
    expect(stdout).toContain("WARNING: MaintainerDeprecated ");
    expect(stdout).toContain(`expected "linux/s390x"`);
    const broken = "FROM localhost/busybox AS amd64\nFROM $TARGETARCH\nCOPY --from=nobody a b\n";
    const { exitCode, stderr } = await check(broken, {}, both, "--pull=never");
    expect([exitCode, stderr]).toEqual([125, expect.stringContaining("Cannot build for linux/")]);
  });

  test("an error is an error", async () => {
    const { exitCode, stderr } = await check(`${FROM}COPYY a b\n`);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("COPY");
  });
});

test("# check=error=true fails a build before its first step", async () => {
  const { exitCode, stderr } = await it.build(
    `# check=error=true\n${FROM}RUN echo must not run\nMAINTAINER me`,
  );
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("MaintainerDeprecated");
  expect(stderr).not.toContain("\nmust not run");
});

test("BuildKit's own build args: the hostname of steps, the checks, namespaces of caches", async () => {
  const args = (...given: string[]) => given.flatMap((arg) => ["--build-arg", arg]);
  const dockerfile = `${FROM}RUN hostname > /h\nRUN --mount=type=cache,target=/c,id=ns ls -A /c | wc -l >> /h; touch /c/x`;
  expect(await it.shows("cat /h", dockerfile)).toBe("buildkitsandbox\n0");
  const given = args("BUILDKIT_SANDBOX_HOSTNAME=own", "BUILDKIT_CACHE_MOUNT_NS=other");
  expect(await it.shows("cat /h", dockerfile, [...given, "--no-cache"])).toBe("own\n0");
  const { exitCode, stderr } = await it.build(
    `${FROM}MAINTAINER me`,
    args("BUILDKIT_DOCKERFILE_CHECK=error=true"),
  );
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("MaintainerDeprecated");
  expect(
    await it.build(`# check=error=true\n${FROM}MAINTAINER me`, args("BUILDKIT_DOCKERFILE_CHECK=skip=all")),
  ).toMatchObject({ exitCode: 0 });
});

test("warnings name their rule", async () => {
  const { stderr } = await it.build(`${FROM}MAINTAINER me`);
  expect(stderr).toMatch(/Warning: MaintainerDeprecated: .*Dockerfile:2\)/);
});
