// Protects login and logout: checked at a real registry, kept where Podman looks, asked for without echo, never shown.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { resolve } from "node:path";
import { scratchDirectory } from "../support/scratch.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(60_000);
const scratch = scratchDirectory("login-test");
const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];
const PASSWORD = "s3cret:with:colons";
let registry: TestRegistry;
let plain: TestRegistry;

beforeAll(async () => {
  [registry, plain] = await Promise.all([
    startRegistry({ tls: true, users: { kim: PASSWORD, lee: "other" } }),
    startRegistry({ users: { kim: PASSWORD } }),
  ]);
  mkdirSync(scratch.file("certs"));
  writeFileSync(scratch.file("certs/ca.crt"), await Bun.file(registry.ca).text());
});
afterAll(() => {
  registry[Symbol.dispose]();
  plain[Symbol.dispose]();
  scratch[Symbol.dispose]();
});

let homes = 0;
/** Somebody with a home and a runtime directory that nobody used before. */
function person(more: Record<string, string> = {}) {
  const home = scratch.file(`home-${++homes}`);
  mkdirSync(`${home}/run`, { recursive: true });
  const env = {
    PATH: `${home}/bin:${process.env.PATH}`,
    HOME: home,
    XDG_RUNTIME_DIR: `${home}/run`,
    COOPER_ROOT: `${home}/store`,
    COOPER_RUNROOT: `${home}/run/cooper`,
    ...more,
  };
  const run = (argv: string[], input = "") => {
    const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), {
      env,
      input,
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  };
  return {
    home,
    auth: `${home}/run/containers/auth.json`,
    run,
    cooper: (argv: string[], input?: string) => run([...program, ...argv], input),
    entries: (path = `${home}/run/containers/auth.json`): string[] =>
      Object.keys((JSON.parse(readFileSync(path, "utf8")) as { auths: object }).auths),
  };
}

const tls = () => ["--cert-dir", scratch.file("certs")];
const signIn = (...flags: string[]) => ["login", "-u", "kim", ...tls(), ...flags];

describe("login", () => {
  test("keeps what the registry took, for the owner alone, where Podman and Skopeo find it", () => {
    const kim = person();
    const result = kim.cooper(signIn("--password-stdin", "-v", registry.host), `${PASSWORD}\n`);
    expect(result).toEqual({ status: 0, stdout: `Used: ${kim.auth}\nLogin Succeeded!\n`, stderr: "" });
    expect(statSync(kim.auth).mode & 0o777).toBe(0o600);
    expect(kim.cooper(["login", "--get-login", registry.host]).stdout).toBe("kim\n");
    const skopeo = kim.run(["skopeo", "login", "--get-login", registry.host]);
    expect(skopeo.stdout).toBe("kim\n");
  });

  test("is understood the other way around too, and taken as it is when it is still good", () => {
    const kim = person();
    const skopeo = ["skopeo", "login", "-u", "kim", "--password-stdin", ...tls(), registry.host];
    expect(kim.run(skopeo, PASSWORD).status).toBe(0);
    expect(kim.cooper(["login", ...tls(), registry.host]).stdout).toBe(
      `Already logged in to ${registry.host} as kim\n`,
    );
  });

  test("--json tells of whom, where, and of what was forgotten", () => {
    const kim = person();
    const json = (...argv: string[]) => JSON.parse(kim.cooper(argv).stdout);
    const who = { registry: registry.host, username: "kim" };
    expect(json(...signIn("--json", "-p", PASSWORD, registry.host))).toEqual({ ...who, kept: kim.auth });
    expect(json("login", "--json", ...tls(), registry.host)).toEqual(who);
    expect(json("login", "--json", "--get-login", registry.host)).toEqual(who);
    expect(json("logout", "--json", registry.host)).toEqual({ registry: registry.host });
    expect(json("logout", "--json", "--all")).toEqual({ all: true });
  });

  test("keeps nothing that the registry refuses, and shows it to nobody", () => {
    const kim = person();
    const { status, stdout, stderr } = kim.cooper(signIn("-p", "wr0ng-password", registry.host));
    expect(status).toBe(125);
    expect(stderr).toContain(`Cannot log in to ${registry.host}: the registry answered 401`);
    expect(stderr).toContain("the user name or the password is not the right one");
    expect(stdout + stderr).not.toContain("wr0ng-password");
    expect(existsSync(kim.auth)).toBe(false);
  });

  test("leaves everything else in the file as it was, and a link a link", () => {
    const kim = person();
    const file = `${kim.home}/real.json`;
    writeFileSync(file, '{"auths":{"a.example":{"auth":"YTpi"}},"HttpHeaders":{"X":"y"},"credsStore":""}', {
      mode: 0o644,
    });
    symlinkSync(file, `${kim.home}/link.json`);
    expect(
      kim.cooper(signIn("-p", PASSWORD, "--authfile", `${kim.home}/link.json`, registry.host)).status,
    ).toBe(0);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
      auths: {
        "a.example": { auth: "YTpi" },
        [registry.host]: { auth: Buffer.from(`kim:${PASSWORD}`).toString("base64") },
      },
      HttpHeaders: { X: "y" },
      credsStore: "",
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(`${kim.home}/link.json`, "utf8")).toBe(readFileSync(file, "utf8"));
  });

  test("REGISTRY_AUTH_FILE names a file that need not be there yet", () => {
    const file = scratch.file("by-variable/auth.json");
    const kim = person({ REGISTRY_AUTH_FILE: file });
    expect(kim.cooper(signIn("-p", PASSWORD, registry.host)).stderr).toBe("");
    expect(kim.entries(file)).toEqual([registry.host]);
    expect(existsSync(kim.auth)).toBe(false);
  });

  test("credentials for some repositories of a registry are for these", () => {
    const kim = person();
    expect(kim.cooper(signIn("-p", PASSWORD, `https://${registry.host}/team/`)).status).toBe(0);
    expect(kim.entries()).toEqual([`${registry.host}/team`]);
    expect(kim.cooper(["login", "--get-login", registry.host]).status).toBe(125);
    expect(kim.cooper(["login", "--get-login", `${registry.host}/team/app`]).stdout).toBe("kim\n");
  });

  test("a registry without TLS is asked only when that is said to be right", () => {
    const kim = person();
    const line = ["login", "-u", "kim", "-p", PASSWORD];
    expect(kim.cooper([...line, plain.host]).stderr).toContain("--tls-verify=false");
    expect(existsSync(kim.auth)).toBe(false);
    expect(kim.cooper([...line, "--tls-verify=false", plain.host]).status).toBe(0);
  });

  test("a credential helper that the file names keeps the secret, and the file does not", () => {
    const kim = person();
    mkdirSync(`${kim.home}/bin`);
    mkdirSync(`${kim.home}/run/containers`);
    const helper = `${kim.home}/bin/docker-credential-tests`;
    writeFileSync(helper, `#!/bin/sh\necho "$1" >> ${kim.home}/calls\ncat >> ${kim.home}/calls\n`);
    chmodSync(helper, 0o755);
    const text = JSON.stringify({ credHelpers: { [registry.host]: "tests" } });
    writeFileSync(kim.auth, text);
    expect(kim.cooper(signIn("-p", PASSWORD, "-v", registry.host)).stdout).toContain(
      "docker-credential-tests",
    );
    expect(readFileSync(kim.auth, "utf8")).toBe(text);
    const calls = readFileSync(`${kim.home}/calls`, "utf8");
    const stored = { ServerURL: registry.host, Username: "kim", Secret: PASSWORD };
    expect(calls).toBe(`store\n${JSON.stringify(stored)}`);
  });

  test("many at once lose nothing", async () => {
    const kim = person();
    const env = { ...process.env, HOME: kim.home, XDG_RUNTIME_DIR: `${kim.home}/run` };
    const keys = Array.from({ length: 6 }, (_, i) => `${registry.host}/team-${i}`);
    const all = keys.map(
      (key) => Bun.spawn([...program, ...signIn("-p", PASSWORD, key)], { env, stdout: "ignore" }).exited,
    );
    expect(await Promise.all(all)).toEqual(keys.map(() => 0));
    expect(kim.entries().sort()).toEqual(keys);
  });

  const refused: [what: string, argv: string[], message: RegExp][] = [
    ["no registry", ["login"], /registry must be named/],
    ["no name for a password from stdin", ["login", "--password-stdin", "r.example"], /needs --username/],
    ["two passwords", ["login", "-u", "a", "-p", "b", "--password-stdin", "r.example"], /Only one/],
    ["nobody to ask", ["login", "-u", "a", "r.example"], /not a terminal/],
    ["no name", ["login", "-u", "", "-p", "x", "r.example"], /user name/],
    ["an image's name", ["login", "-u", "a", "-p", "x", "r.example/app:latest"], /name of a registry/],
    [
      "a name with a password",
      ["login", "-u", "a", "-p", "x", "https://a:b@r.example"],
      /name of a registry/,
    ],
    ["nobody logged in", ["login", "--get-login", "r.example"], /Not logged in/],
  ];
  test.each(refused)("%s is refused", (_what, argv, message) => {
    const { status, stderr } = person().cooper(argv);
    expect(status).toBe(125);
    expect(stderr).toMatch(message);
  });

  test.skipIf(Bun.which("script") === null)("asks at a terminal, without echo of the password", () => {
    const kim = person();
    const line = [...program, "login", ...tls(), registry.host].map((word) => `'${word}'`).join(" ");
    // Both answers wait in the terminal: it shows the name, and not what comes while its echo is off.
    const shell = `(sleep 2; echo kim; sleep 2; echo '${PASSWORD}'; sleep 2) | script -qefc "${line}" /dev/null`;
    const { status, stdout } = kim.run(["sh", "-c", shell]);
    expect(stdout).toContain("Username: ");
    expect(stdout).toContain("Password: ");
    expect(stdout).toContain("Login Succeeded!");
    expect(stdout).not.toContain(PASSWORD);
    expect(status).toBe(0);
  });
});

test("--compat-auth-file: Docker's names, which pushes and pulls read and Docker too", () => {
  const kim = person();
  const file = `${kim.home}/config.json`;
  const docker = ["--compat-auth-file", file];
  expect(kim.cooper([...signIn(...docker, "-p", PASSWORD), registry.host]).stdout).toBe("Login Succeeded!\n");
  expect(kim.entries(file)).toEqual([registry.host]);
  expect(existsSync(kim.auth)).toBe(false);
  expect(kim.cooper(["login", "--get-login", "--authfile", file, registry.host]).stdout).toBe("kim\n");
  const scoped = kim.cooper([...signIn(...docker, "-p", PASSWORD), `${registry.host}/team`]);
  expect(scoped.status).toBe(125);
  writeFileSync(file, JSON.stringify({ auths: { "https://index.docker.io/v1/": { auth: "YTpi" } } }));
  expect(kim.cooper(["logout", ...docker, "docker.io"]).status).toBe(0);
  expect(kim.entries(file)).toEqual([]);
  expect(kim.cooper(["logout", ...docker, "--authfile", file, "docker.io"]).status).toBe(125);
});

describe("logout", () => {
  test("forgets one registry, or all", () => {
    const kim = person();
    for (const path of ["a", "b", "c"]) kim.cooper(signIn("-p", PASSWORD, `${registry.host}/${path}`));
    expect(kim.cooper(["logout", `${registry.host}/b`]).stdout).toBe(
      `Removed login credentials for ${registry.host}/b\n`,
    );
    expect(kim.entries()).toEqual([`${registry.host}/a`, `${registry.host}/c`]);
    const again = kim.cooper(["logout", `${registry.host}/b`]);
    expect([again.status, again.stderr.includes("Not logged in")]).toEqual([125, true]);
    expect(kim.cooper(["logout", "--all"]).status).toBe(0);
    expect(kim.entries()).toEqual([]);
    expect(kim.cooper(["logout"]).status).toBe(125);
    expect(kim.cooper(["logout", "-a", "r.example"]).status).toBe(125);
  });

  test("where nobody ever logged in there is nothing to forget, and no file", () => {
    const kim = person();
    expect(kim.cooper(["logout", "--all"]).status).toBe(0);
    expect(existsSync(kim.auth)).toBe(false);
  });

  test.each(["{", "[]", '{"auths":[]}'])("a malformed file is left alone: %s", (text) => {
    const kim = person();
    mkdirSync(`${kim.home}/run/containers`);
    writeFileSync(kim.auth, text);
    expect(kim.cooper(["logout", "--all"]).status).toBe(125);
    expect(kim.cooper(signIn("-p", PASSWORD, registry.host)).status).toBe(125);
    expect(readFileSync(kim.auth, "utf8")).toBe(text);
  });
});
