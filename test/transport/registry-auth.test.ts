// Protects logging in: where credentials are found, tokens asked for, kept and renewed, helpers run.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { findCredentials, parseCreds } from "../../src/transport/registry/credentials.ts";
import { openRegistrySource } from "../../src/transport/registry/registry-source.ts";
import type { RegistrySettings } from "../../src/transport/registry/settings.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { failureOf } from "./suite.ts";

const ENVIRONMENT = [
  "HOME",
  "XDG_RUNTIME_DIR",
  "XDG_CONFIG_HOME",
  "DOCKER_CONFIG",
  "REGISTRY_AUTH_FILE",
  "PATH",
];
const saved = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]));
let scratch: ReturnType<typeof scratchDirectory>;

beforeEach(() => {
  scratch = scratchDirectory("registry-auth");
  for (const name of ENVIRONMENT) if (name !== "PATH") delete process.env[name];
  process.env.HOME = scratch.file("home");
  process.env.XDG_RUNTIME_DIR = scratch.file("run");
});
afterEach(() => {
  for (const name of ENVIRONMENT) {
    if (saved[name] === undefined) delete process.env[name];
    else process.env[name] = saved[name];
  }
  scratch[Symbol.dispose]();
});

const write = (name: string, content: unknown) => {
  mkdirSync(dirname(scratch.file(name)), { recursive: true });
  writeFileSync(scratch.file(name), typeof content === "string" ? content : JSON.stringify(content));
};
const entry = (user: string, password = "pw") => ({
  auth: Buffer.from(`${user}:${password}`).toString("base64"),
});
const find = async (registry: string, repository = "team/app", settings: RegistrySettings = {}) =>
  (await findCredentials(registry, repository, settings, ["containers-auth.json"]))?.username;

describe("credentials", () => {
  test("the files in their order", async () => {
    expect(await find("reg")).toBeUndefined();
    write("home/.docker/config.json", { auths: { "https://reg/v1/": entry("docker") } });
    expect(await find("reg")).toBe("docker");
    write("home/.config/containers/auth.json", { auths: { reg: entry("config") } });
    expect(await find("reg")).toBe("config");
    write("run/containers/auth.json", { auths: { reg: entry("run") } });
    expect(await find("reg")).toBe("run");
    write("named.json", { auths: { reg: entry("named") } });
    process.env.REGISTRY_AUTH_FILE = scratch.file("named.json");
    expect(await find("reg")).toBe("named");
    write("option.json", { auths: { reg: entry("option") } });
    expect(await find("reg", "x", { authFile: scratch.file("option.json") })).toBe("option");
    expect(await find("other", "x", { authFile: scratch.file("option.json") })).toBeUndefined();
  });

  test("the most specific entry, and only of the right registry", async () => {
    write("run/containers/auth.json", {
      auths: { reg: entry("host"), "reg/team": entry("team"), "reg/team/app": entry("app"), "reg:5000": {} },
    });
    expect(await find("reg", "team/app")).toBe("app");
    expect(await find("reg", "team/application")).toBe("team");
    expect(await find("reg", "teams")).toBe("host");
    expect(await find("reg:5000")).toBeUndefined();
    expect(await find("reg.evil")).toBeUndefined();
  });

  test.each(["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"])(
    "Docker Hub as %s",
    async (key) => {
      write("home/.docker/config.json", { auths: { [key]: entry("hub") } });
      expect(await find("docker.io", "library/debian")).toBe("hub");
    },
  );

  test("passwords may hold colons; --creds too", async () => {
    write("run/containers/auth.json", { auths: { reg: entry("kim", "a:b:c") } });
    expect(await findCredentials("reg", "x", {}, ["containers-auth.json"])).toMatchObject({
      password: "a:b:c",
    });
    expect(parseCreds("kim:a:b")).toMatchObject({ username: "kim", password: "a:b" });
    expect(parseCreds("kim")).toMatchObject({ username: "kim", password: "" });
  });

  test.each([
    ["no JSON", "{secret-xyz", /not valid JSON/],
    ["a wrong shape", { auths: { reg: { auth: 5 } } }, /auths\.reg\.auth/],
    ["no user", { auths: { reg: { auth: Buffer.from("secret-xyz").toString("base64") } } }, /entry of reg/],
  ])("%s is told without what is in it", async (_name, content, message) => {
    write("run/containers/auth.json", content);
    const error = await failureOf(find("reg"), "invalid");
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("secret-xyz");
  });

  test("helpers: for one registry, as the store, from registries.conf", async () => {
    write(
      "bin/docker-credential-cooper-test",
      `#!/bin/sh
read server
case "$1 $server" in
"get reg") echo '{"Username":"helped","Secret":"s"}' ;;
"get https://index.docker.io/v1/") echo '{"Username":"<token>","Secret":"refresh"}' ;;
"get broken") echo "secret-xyz" ; exit 1 ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
`,
    );
    chmodSync(scratch.file("bin/docker-credential-cooper-test"), 0o755);
    process.env.PATH = `${scratch.file("bin")}:${process.env.PATH}`;
    write("run/containers/auth.json", {
      credHelpers: { reg: "cooper-test", broken: "cooper-test", gone: "nope" },
    });
    write("home/.docker/config.json", { credsStore: "cooper-test", auths: { "docker.io": {} } });
    expect(await find("reg")).toBe("helped");
    expect(await find("elsewhere")).toBeUndefined();
    expect(await findCredentials("docker.io", "x", {}, ["containers-auth.json"])).toMatchObject({
      identityToken: "refresh",
    });
    expect(await findCredentials("reg", "x", {}, ["cooper-test"])).toMatchObject({ username: "helped" });
    expect((await failureOf(find("broken"), "system")).message).not.toContain("secret-xyz");
    await failureOf(find("gone"), "not-found");
    write("run/containers/auth.json", { credHelpers: { reg: "../../bin/sh" } });
    await failureOf(find("reg"), "invalid");
  });
});

/** A registry with one empty image, that wants tokens of its own. */
function tokenRegistry(options: { uses?: number; user?: string; identity?: string } = {}) {
  const asked: { method: string; scope: string; service: string | null; authorization: string | null }[] = [];
  const left = new Map<string, number>();
  let number = 0;
  const issue = () => {
    const token = `token-${++number}`;
    left.set(token, options.uses ?? Number.POSITIVE_INFINITY);
    return token;
  };
  const server: ReturnType<typeof Bun.serve> = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request): Promise<Response> {
      const url = new URL(request.url);
      const authorization = request.headers.get("authorization");
      if (url.pathname === "/token") {
        const form = request.method === "POST" ? new URLSearchParams(await request.text()) : url.searchParams;
        asked.push({
          method: request.method,
          scope: form.getAll("scope").join(" "),
          service: form.get("service"),
          authorization,
        });
        if (options.identity !== undefined) {
          return form.get("refresh_token") === options.identity
            ? Response.json({ access_token: issue() })
            : new Response(null, { status: 401 });
        }
        const wanted = options.user === undefined ? null : `Basic ${btoa(options.user)}`;
        if (wanted !== null && authorization !== wanted) return new Response(null, { status: 401 });
        return Response.json({ token: issue(), expires_in: 300 });
      }
      const token = /^Bearer (.*)$/.exec(authorization ?? "")?.[1];
      const uses = left.get(token ?? "") ?? 0;
      if (uses <= 0) {
        const challenge = `Bearer realm="http://127.0.0.1:${server.port}/token",service="the service",scope="anything"`;
        return new Response(null, { status: 401, headers: { "WWW-Authenticate": challenge } });
      }
      left.set(token!, uses - 1);
      return new Response(`{"schemaVersion":2,"manifests":[]}`, {
        headers: { "Content-Type": "application/vnd.oci.image.index.v1+json" },
      });
    },
  });
  const source = (settings: RegistrySettings = {}) =>
    openRegistrySource(`127.0.0.1:${server.port}/team/app:1`, {
      tlsVerify: false,
      retryDelay: 1,
      ...settings,
    });
  return { asked, source, [Symbol.dispose]: () => void server.stop(true) };
}

describe("tokens", () => {
  const child = (n: number) => ({
    mediaType: "application/vnd.oci.image.index.v1+json",
    digest: `sha256:${String(n).repeat(64)}` as const,
    size: 1,
  });

  test("anonymous; one is asked for, and used for all", async () => {
    using registry = tokenRegistry();
    const source = registry.source();
    await source.resolve();
    await Promise.allSettled([1, 2, 3].map((n) => source.fetch(child(n))));
    expect(registry.asked).toEqual([
      { method: "GET", scope: "repository:team/app:pull", service: "the service", authorization: null },
    ]);
  });

  test("with a user", async () => {
    using registry = tokenRegistry({ user: "kim:pw" });
    await registry.source({ creds: "kim:pw" }).resolve();
    const error = await failureOf(registry.source({ creds: "kim:wrong-pw" }).resolve(), "denied");
    expect(error.message).toContain("401");
    expect(error.hint).toContain("--creds");
    expect(`${error.message}${error.hint}`).not.toContain("wrong-pw");
    await failureOf(registry.source().resolve(), "denied");
  });

  test("with a refresh token", async () => {
    using registry = tokenRegistry({ identity: "refresh-me" });
    write("run/containers/auth.json", { auths: { "127.0.0.1": {} } });
    const source = registry.source();
    const host = /127\.0\.0\.1:\d+/.exec(source.name)![0];
    write("run/containers/auth.json", { auths: { [host]: { identitytoken: "refresh-me" } } });
    await source.resolve();
    expect(registry.asked[0]).toMatchObject({ method: "POST", authorization: null });
  });

  test("an expired one is renewed", async () => {
    using registry = tokenRegistry({ uses: 1 });
    const source = registry.source();
    await source.resolve();
    await Promise.allSettled([source.fetch(child(1))]);
    expect(registry.asked).toHaveLength(2);
  });

  test("one that is never good enough ends the tries", async () => {
    using registry = tokenRegistry({ uses: 0 });
    await failureOf(registry.source().resolve(), "denied");
    expect(registry.asked.length).toBeLessThan(4);
  });
});
