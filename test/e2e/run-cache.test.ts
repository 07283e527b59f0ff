// Protects `run --cache`: what was run on the same files is not run again, in whichever container or Dockerfile it was.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(120_000);

/** What it writes tells whether it was run. */
const UUID = "cat /proc/sys/kernel/random/uuid > /id";

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let number = 0;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  /** A command of its own, which no other test has run. */
  const unique = () => `${UUID}; : ${number++}`;
  /** A container in which a script's lines have been done ($c is its name); what is then in /id. */
  const idAfter = (lines: string, from = "localhost/busybox") =>
    site.script(`c=$(cooper from ${from})\n${lines}\ncooper run $c -- cat /id; cooper rm $c > /dev/null`);
  const cached = (text: string) => `cooper run --cache $c -- /bin/sh -c '${text}'`;
  const built = async (dockerfile: string) => {
    const context = site.files({ Dockerfile: dockerfile });
    await site.ok("bud", "-t", "localhost/built", context);
    return idAfter("", "localhost/built");
  };

  test("a second container takes what the first one's run gave, and says so", async () => {
    const text = unique();
    const first = await idAfter(cached(text));
    const container = await site.ok("from", "localhost/busybox");
    const again = await site.cooper("run", "--cache", container, "--", "/bin/sh", "-c", text);
    expect(again).toMatchObject({ exitCode: 0, stdout: "", stderr: "--> Using cache\n" });
    await site.ok("commit", "-q", "--rm", container, "localhost/committed");
    expect(await idAfter("", "localhost/committed")).toBe(first);
  });

  test("a Dockerfile's RUN is taken by scripts, and theirs by Dockerfiles", async () => {
    const [one, two] = [unique(), unique()];
    const fromFile = await built(
      `FROM localhost/busybox\nENV A=b\nUSER root\nRUN echo 1 > /one\nRUN ${one}\n`,
    );
    const script = (text: string) =>
      `cooper config --env A=b --user root $c\n${cached("echo 1 > /one")}\n${cached(text)}`;
    expect(await idAfter(script(one))).toBe(fromFile);
    const fromScript = await idAfter(script(two));
    expect(await built(`FROM localhost/busybox\nENV A=b\nUSER root\nRUN echo 1 > /one\nRUN ${two}\n`)).toBe(
      fromScript,
    );
  });

  test("what fails is run again, and leaves what it wrote", async () => {
    const text = `echo x >> /id; exit 3 # ${number++}`;
    expect(await idAfter(`${cached(text)} || true\n${cached(text)} || test $? = 3`)).toBe("x\nx");
  });

  test("a mounted container is refused", async () => {
    const result = await site.script(
      `c=$(cooper from localhost/busybox); cooper mount $c > /dev/null; ! ${cached("true")} 2>&1; cooper umount $c > /dev/null`,
    );
    expect(result).toContain("it is mounted");
  });
});
