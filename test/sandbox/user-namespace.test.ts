// Protects entering a user namespace: who we are, one entry only, the command's status, and errors that say what lacks.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../src/base/process.ts";
import { loginName } from "../../src/base/subordinate-ids.ts";
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

  /** Runs the script below with a root's script before it, in a mount namespace of its own. */
  function runHarmed(harm: string, body: string, uid = USER) {
    const directory = mkdtempSync(join(tmpdir(), "cooper-userns-"));
    chmodSync(directory, 0o755);
    const script = join(directory, "script.ts");
    const facts =
      '[namespaceState(), expectedTier(), require("fs").readFileSync("/proc/self/uid_map", "latin1").trim().split(/\\s+/).join(" ")]';
    writeFileSync(
      script,
      `import { namespaceState, enterUserNamespace, finishEntering, expectedTier } from ${JSON.stringify(MODULE)};
const self = { execPath: process.execPath, argv: process.argv, env: process.env };
const show = (value: unknown) => console.log(JSON.stringify(value));
try { finishEntering(); ${body} show(${facts}); } catch (error) { show({ code: error.code, message: error.message, hint: error.hint }); }`,
    );
    const become = ["setpriv", "--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups", "--"];
    const { stdout, stderr } = Bun.spawnSync(
      [
        "unshare",
        "--mount",
        "sh",
        "-ec",
        `cd ${directory}; ${harm}\nexec "$@"`,
        "sh",
        ...become,
        process.execPath,
        script,
      ],
      { env: environment("user"), cwd: "/" },
    );
    rmSync(directory, { recursive: true });
    if (stdout.length === 0) throw new Error(stderr.toString());
    return JSON.parse(stdout.toString());
  }

  test.each([
    ["no range", ":", 4242],
    ["no newuidmap", `mount --bind /dev/null ${findProgram("newuidmap")}`, USER],
    [
      "newgidmap without its bit",
      `cp ${findProgram("newgidmap")} plain; chmod 755 plain; mount --bind plain ${findProgram("newgidmap")}`,
      USER,
    ],
  ])("with %s there is one id, and the tier says so", (_, harm, uid) => {
    expect(
      runHarmed(harm, "if (namespaceState().kind === 'unprivileged') enterUserNamespace(self);", uid),
    ).toEqual([{ kind: "mapped", uid }, { tier: 2 }, `0 ${uid} 1`]);
    const [state, tier] = runHarmed(harm, "", uid);
    expect(state.kind).toBe("unprivileged");
    expect(tier).toEqual({ tier: 2, why: expect.any(String) });
  });

  test("a store of one id is entered with one id", () => {
    const body = "if (namespaceState().kind === 'unprivileged') enterUserNamespace(self, { oneId: true });";
    expect(runHarmed(":", body)).toEqual([{ kind: "mapped", uid: USER }, { tier: 2 }, `0 ${USER} 1`]);
  });

  const USER_NAME = loginName(USER);

  test("several ranges are all mapped", () => {
    const ranges = `printf '${USER_NAME}:300000:1000\\n${USER_NAME}:500000:70000\\n' > ranges; mount --bind ranges /etc/subuid; mount --bind ranges /etc/subgid`;
    const body = "if (namespaceState().kind === 'unprivileged') enterUserNamespace(self);";
    expect(runHarmed(ranges, body)).toEqual([
      { kind: "mapped", uid: USER },
      { tier: 1 },
      `0 ${USER} 1 1 300000 1000 1001 500000 70000`,
    ]);
  });

  test("an unshare that lacks --map-auto will do", () => {
    // An older one: it has the option neither in its file nor on its command line.
    const unshare = findProgram("unshare");
    const old = `cp ${unshare} real; chmod 755 real; printf '#!/bin/sh\\nexec %s/real "$@"\\n' "$PWD" > old; chmod 755 old; mount --bind old ${unshare}`;
    const body = "if (namespaceState().kind === 'unprivileged') enterUserNamespace(self);";
    const [state, tier, map] = runHarmed(old, body);
    expect([state, tier]).toEqual([{ kind: "mapped", uid: USER }, { tier: 1 }]);
    expect(map).toStartWith(`0 ${USER} 1 1 `);
  });

  test("a range that newuidmap refuses ends with what it says, not in a wait", () => {
    // Its own /etc/subuid has the range, ours has another.
    const harm = `printf '${USER_NAME}:1:5\\n${USER_NAME}:10:5\\n' > ranges; mount --bind ranges /etc/subuid; mount --bind ranges /etc/subgid; cp ${findProgram("newuidmap")} real; printf '#!/bin/sh\\necho newuidmap: refused >&2; exit 1\\n' > fake; chown 0:0 fake; chmod 4755 fake; mount --bind fake ${findProgram("newuidmap")}`;
    expect(() =>
      runHarmed(harm, "if (namespaceState().kind === 'unprivileged') enterUserNamespace(self);"),
    ).toThrow("newuidmap: refused");
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
