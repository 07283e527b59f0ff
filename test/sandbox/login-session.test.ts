// Protects logout with a mounted container: its keeper is handed to the user's service manager, and mount needs none of that.
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/leftovers.ts";
import { scratchDirectory } from "../support/scratch.ts";

const MODULE = join(import.meta.dir, "../../src/sandbox/login-session.ts");
const SESSION = "/user.slice/user-1000.slice/session-3.scope";
const CALL =
  "--user --timeout=5 call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit ssa(sv)a(sa(sv)) cooper-keeper-4711.scope fail 3 PIDs au 1 4711 Description s";

type Cgroups = [controller: string, path: string][];

/** A process in these cgroups, in a directory with this `busctl`: whether it asked; it must end well. */
function asks(directory: string, busctl: string, cgroups: Cgroups, runtime = directory) {
  writeFileSync(join(directory, "busctl"), busctl, { mode: 0o755 });
  const code = `import { leaveLoginSession } from ${JSON.stringify(MODULE)};
    console.log(leaveLoginSession(4711, new Map(${JSON.stringify(cgroups)})));`;
  const env = { PATH: directory, ...(runtime === "" ? {} : { XDG_RUNTIME_DIR: runtime }) };
  const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, "-e", code], { env });
  expect({ errors: stderr.toString(), exitCode }).toEqual({ errors: "", exitCode: 0 });
  return stdout.toString().trim() === "true";
}

const SESSIONS: [string, Cgroups][] = [
  ["version 2", [["", SESSION]]],
  ["a cgroup below the session's", [["", `${SESSION}/below`]]],
  [
    "version 1",
    [
      ["memory", "/user.slice"],
      ["name=systemd", "/user.slice/user-0.slice/session-c1.scope"],
      ["", "/"],
    ],
  ],
];

test.each(SESSIONS)("in a login session, %s, the user's manager is asked", async (_, cgroups) => {
  using scratch = scratchDirectory("login-session");
  const [log, partial] = [scratch.file("log"), scratch.file("partial")];
  const busctl = `#!/bin/sh
    echo "$XDG_RUNTIME_DIR $DBUS_SESSION_BUS_ADDRESS$HOME $*" > '${partial}'; /bin/mv '${partial}' '${log}'; exit 1`;
  expect(asks(scratch.path, busctl, cgroups)).toBe(true);
  expect(await eventually(() => existsSync(log))).toBe(true);
  expect(readFileSync(log, "utf8")).toStartWith(`${scratch.path}  ${CALL}`);
});

const OTHERS: [string, Cgroups][] = [
  ["none", []],
  [
    "the user's service manager's",
    [["", "/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope"]],
  ],
  ["a service's", [["", "/system.slice/session-cleaner.service"]]],
  ["a session of version 1's other controllers", [["memory", SESSION]]],
];

test.each(OTHERS)("nobody is asked in other cgroups: %s", (_, cgroups) => {
  using scratch = scratchDirectory("login-session");
  expect(asks(scratch.path, "#!/bin/sh\n", cgroups)).toBe(false);
});

test("nobody is asked without a runtime directory, or by a busctl that does not start", () => {
  using scratch = scratchDirectory("login-session");
  expect(asks(scratch.path, "#!/bin/sh\n", [["", SESSION]], "")).toBe(false);
  expect(asks(scratch.path, "#!/nowhere\n", [["", SESSION]])).toBe(false);
});

test("a manager that does not answer is not waited for", () => {
  using scratch = scratchDirectory("login-session");
  // It ends when its directory does.
  const busctl = `#!/bin/sh\nwhile [ -e '${scratch.path}' ]; do /bin/sleep 0.1; done\n`;
  expect(asks(scratch.path, busctl, [["", SESSION]])).toBe(true);
});
