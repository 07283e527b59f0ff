// Protects entering a user namespace: who we are, one entry only, the command's status, and errors that say what lacks.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync, chmodSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../src/base/process.ts";
import { asRunner, canRunAs, environment, USER } from "./stage.ts";

const MODULE = join(import.meta.dir, "../../src/sandbox/user-namespace.ts");

/** Runs a script of TypeScript as the user with everything from the module in scope. */
function run(
  body: string,
  options: { env?: Record<string, string>; as?: "root" | "user"; prefix?: string[] } = {},
) {
  const directory = mkdtempSync(join(tmpdir(), "cooper-userns-"));
  chmodSync(directory, 0o755);
  const script = join(directory, "script.ts");
  writeFileSync(
    script,
    `import { namespaceState, enterUserNamespace, finishEntering, unshareAndExecute } from ${JSON.stringify(MODULE)};
const self = { execPath: process.execPath, argv: process.argv, env: process.env };
const show = (value: unknown) => console.log(JSON.stringify(value));
try { ${body} } catch (error) { show({ code: error.code, message: error.message, hint: error.hint }); }`,
  );
  const as = options.as ?? "user";
  const command = [...asRunner(as), ...(options.prefix ?? []), process.execPath, script];
  const ended = Bun.spawnSync(command, { env: { ...environment(as), ...options.env }, cwd: "/usr/share" });
  rmSync(directory, { recursive: true });
  const { stdout, stderr, exitCode, signalCode } = ended;
  return { out: stdout.toString().trim(), err: stderr.toString().trim(), exitCode: signalCode ?? exitCode };
}

const ENTER = "finishEntering(); if (namespaceState().kind === 'unprivileged') enterUserNamespace(self);";

describe.skipIf(!canRunAs("user"))("user", () => {
  test("is unprivileged first, mapped inside, with a whole range of ids, where it was", () => {
    expect(run("show(namespaceState())").out).toBe(`{"kind":"unprivileged","uid":${USER},"gid":${USER}}`);
    const inside = run(
      `${ENTER} show([namespaceState(), process.cwd(), require("fs").readFileSync("/proc/self/uid_map", "latin1").trim().split("\\n").length])`,
    );
    expect(inside).toEqual({ out: `[{"kind":"mapped","uid":${USER}},"/usr/share",2]`, err: "", exitCode: 0 });
  });

  test("takes no environment's word for it", () => {
    expect(run("show(namespaceState())", { env: { COOPER_ROOTLESS_UID: String(USER) } }).out).toContain(
      "unprivileged",
    );
  });

  test("is plain root in a namespace that somebody else made", () => {
    expect(run("show(namespaceState())", { prefix: ["unshare", "--user", "--map-root-user"] }).out).toBe(
      '{"kind":"root"}',
    );
  });

  test("mounts stay inside, and the host's go away there too", () => {
    const { out } = run(
      `${ENTER} show(require("fs").readFileSync("/proc/self/mountinfo", "utf8").split("\\n").some((line) => / shared:/.test(line)))`,
    );
    expect(out).toBe("false");
  });

  test("never enters twice", () => {
    const { out } = run(`process.env.COOPER_ENTERING = String(process.pid); ${ENTER}`);
    expect(JSON.parse(out)).toMatchObject({
      code: "unsupported",
      message: expect.stringContaining(`left this process as user ${USER}`),
    });
    expect(JSON.parse(run(`${ENTER} enterUserNamespace(self);`).out)).toMatchObject({ code: "internal" });
  });

  test("unshare runs a command with its status", () => {
    expect(run("unshareAndExecute(['sh', '-c', 'id -u; exit 9'], process.env)")).toEqual({
      out: "0",
      err: "",
      exitCode: 9,
    });
    expect(run("unshareAndExecute(['sh', '-c', 'kill -9 $$'], process.env)").exitCode).toBe("SIGKILL");
    expect(run("unshareAndExecute([], process.env)", { env: { SHELL: findProgram("whoami")! } }).out).toBe(
      "root",
    );
  });

  test("a user without a range is told the line that gives one", () => {
    // Another id without an entry.
    const { stdout } = Bun.spawnSync(
      [
        "setpriv",
        "--reuid",
        "4242",
        "--regid",
        "4242",
        "--clear-groups",
        "--",
        process.execPath,
        "-e",
        `const m = await import(${JSON.stringify(MODULE)}); try { m.enterUserNamespace({ execPath: process.execPath, argv: [], env: {} }); } catch (e) { console.log(e.code, e.message, e.hint) }`,
      ],
      { env: environment("user"), cwd: "/" },
    );
    expect(stdout.toString()).toMatch(
      /^unsupported .*\/etc\/subuid gives the user \S+ no range of ids .*usermod --add-subuids 100000-165535/,
    );
  });

  test("without newuidmap it names the package", () => {
    const directory = mkdtempSync(join(tmpdir(), "cooper-path-"));
    symlinkSync(findProgram("unshare")!, join(directory, "unshare"));
    // System directories are always searched: hide the program by a mount of its own namespace.
    const { stdout } = Bun.spawnSync(
      [
        "unshare",
        "--mount",
        "sh",
        "-c",
        `mount --bind /dev/null ${findProgram("newuidmap")} && exec setpriv --reuid ${USER} --regid ${USER} --clear-groups "$@"`,
        "sh",
        process.execPath,
        "-e",
        `const m = await import(${JSON.stringify(MODULE)}); try { m.enterUserNamespace({ execPath: process.execPath, argv: [], env: {} }); } catch (e) { console.log(e.code, e.message, e.hint) }`,
      ],
      { env: environment("user"), cwd: "/" },
    );
    rmSync(directory, { recursive: true });
    expect(stdout.toString()).toMatch(/^unsupported .*there is no newuidmap .*package uidmap/);
  });
});

describe.skipIf(!canRunAs("root"))("root", () => {
  test("is root whatever the environment says, and refuses to enter", () => {
    expect(
      run("show(namespaceState())", { as: "root", env: { COOPER_ROOTLESS_UID: String(USER) } }).out,
    ).toBe('{"kind":"root"}');
    expect(JSON.parse(run("enterUserNamespace(self)", { as: "root" }).out)).toMatchObject({
      code: "internal",
    });
  });

  test("unshare runs the command as it is", () => {
    expect(run("unshareAndExecute(['sh', '-c', 'exit 5'], process.env)", { as: "root" }).exitCode).toBe(5);
    expect(
      JSON.parse(run("unshareAndExecute(['no-such-program'], process.env)", { as: "root" }).out),
    ).toMatchObject({ code: "not-found" });
  });
});
