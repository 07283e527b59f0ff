// Protects secrets while a step has them: in memory, in its own namespace, in nobody else's environment or arguments, gone with it.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { eventually, processesRunning } from "../support/leftovers.ts";

setDefaultTimeout(120_000);

const FILE = "in-a-file-4ef1c0de";
const VARIABLE = "in-a-variable-9d2b77aa";

/** What other processes show of themselves; nothing where they have ended. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

const processes = () =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
const holds = (text: string) => text.includes(FILE) || text.includes(VARIABLE);

/** Files of this mount namespace below a directory that hold a secret. */
function holding(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    try {
      if (entry.isDirectory()) return holding(path);
      return entry.isFile() && holds(readFileSync(path, "latin1")) ? [path] : [];
    } catch (error) {
      // Temporary files go while we look.
      if ((error as { code?: string }).code === "ENOENT") return [];
      throw error;
    }
  });
}

/** Core file size that a process may have, soft, in bytes. */
const coreLimit = (pid: number) => /^Max core file size\s+(\S+)/m.exec(read(`/proc/${pid}/limits`))?.[1];

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let secrets: string;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    secrets = site.files({ file: FILE, variable: VARIABLE });
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test.each(["oci", "chroot"])("isolated by %s, also when Cooper is killed", async (isolation) => {
    // Of this test alone: how long they sleep tells the processes.
    const time = `${process.pid}${person.kind.length}${isolation.length}`;
    const [holder, other] = [`sleep ${time}1`, `sleep ${time}2`];
    const mounts =
      "--mount=type=secret,id=file,uid=7,gid=8,mode=0440 --mount=type=secret,id=variable,env=TOKEN";
    const dockerfile = `FROM localhost/busybox AS other
RUN ${other}
FROM localhost/busybox AS holder
RUN ${mounts} ${holder} & wait
FROM localhost/busybox
COPY --from=other /bin/busybox /one
COPY --from=holder /bin/busybox /two
`;
    const flags = ["--jobs=2", "--isolation", isolation, "--no-cache"];
    const given = [
      "--secret",
      `id=file,src=${secrets}/file`,
      "--secret",
      `id=variable,src=${secrets}/variable`,
    ];
    const argv = ["cooper", "bud", ...flags, ...given, site.files({ Dockerfile: dockerfile })];
    const building = site.start(["sh", "-c", 'ulimit -S -c unlimited 2>/dev/null; exec "$@"', "sh", ...argv]);
    expect(
      await eventually(() => [holder, other].every((words) => processesRunning(words).length === 1), 60_000),
      "both steps run",
    ).toBe(true);
    const [[mine], [others]] = [processesRunning(holder), processesRunning(other)] as [[number], [number]];

    // The secret is there, as it was asked for, and in memory.
    const shown = `/proc/${mine}/root/run/secrets/file`;
    expect(readFileSync(shown, "latin1")).toBe(FILE);
    expect(statSync(shown).mode & 0o777).toBe(0o440);
    expect(read(`/proc/${mine}/mountinfo`)).toMatch(/ \/run\/secrets\/file ro\S* .*- tmpfs /);
    expect(read(`/proc/${mine}/environ`)).toContain(`TOKEN=${VARIABLE}`);
    expect(coreLimit(building.pid)).toBe("1");

    // And nowhere else.
    expect(existsSync(`/proc/${others}/root/run/secrets/file`)).toBe(false);
    expect(processes().filter((pid) => holds(read(`/proc/${pid}/cmdline`)))).toEqual([]);
    const namespace = readlinkSync(`/proc/${mine}/ns/pid`);
    for (const pid of processes().filter((pid) => holds(read(`/proc/${pid}/environ`))))
      expect(readlinkSync(`/proc/${pid}/ns/pid`), read(`/proc/${pid}/cmdline`)).toBe(namespace);
    expect(holding(site.dir).sort()).toEqual([join(secrets, "file"), join(secrets, "variable")]);

    building.kill("SIGKILL");
    await building.exited;
    expect(
      await eventually(() => processesRunning(holder).length + processesRunning(other).length === 0),
    ).toBe(true);
    expect(processes().filter((pid) => holds(read(`/proc/${pid}/environ`)))).toEqual([]);
    expect(holding(site.dir).sort()).toEqual([join(secrets, "file"), join(secrets, "variable")]);
    expect(readFileSync("/proc/self/mountinfo", "latin1")).not.toContain(site.dir);
  });

  test("standard input and a variable of the caller's are sources too, and neither reaches a step that did not ask", async () => {
    const dockerfile = `FROM localhost/busybox
RUN --mount=type=secret,id=in test "$(cat /run/secrets/in)" = ${FILE}
RUN --mount=type=secret,id=var,target=/v test "$(cat /v)" = ${VARIABLE}
RUN ! env | grep -q COOPER_SECRET; test ! -e /run/secrets/in -a ! -e /v
`;
    const flags = ["--secret", "id=in,src=-", "--secret", "id=var,env=COOPER_SECRET", "--omit-history"];
    // Written into the Dockerfile, for the comparison.
    const allowed = ["--allow-secret-leak", "in", "--allow-secret-leak", "var"];
    const context = site.files({ Dockerfile: dockerfile });
    const { exitCode, stderr } = await site.run(["cooper", "bud", ...flags, ...allowed, context], {
      stdin: FILE,
      env: { COOPER_SECRET: VARIABLE },
    });
    expect(exitCode, stderr).toBe(0);
    const both = await site.run(["cooper", "bud", "--secret", "id=in,src=-", "-f", "-", context], {
      stdin: FILE,
    });
    expect(both.stderr).toContain('Standard input cannot be both the Dockerfile and the secret "in"');
  });
});
