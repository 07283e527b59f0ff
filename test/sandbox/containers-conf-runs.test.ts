// Protects what a host's containers.conf and its proxies give every command: volumes, devices, proxy variables.
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runSpec } from "../../src/container/run-spec.ts";
import type { RunSettings } from "../../src/container/run-settings.ts";
import type { WorkingContainer } from "../../src/container/working-container.ts";

let directory = "";
const before = { ...process.env };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cooper-conf-runs-"));
  mkdirSync(join(directory, "root"));
  for (const name of Object.keys(process.env)) if (/_proxy$/i.test(name)) delete process.env[name];
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
  for (const name of ["CONTAINERS_CONF", "http_proxy", "NO_PROXY"]) delete process.env[name];
  Object.assign(process.env, before);
});

function spec(conf: string, run: RunSettings = {}, env: string[] = []) {
  // A new file each time: what was read is remembered by its name.
  process.env.CONTAINERS_CONF = join(directory, "containers.conf");
  writeFileSync(process.env.CONTAINERS_CONF, `[containers]\n${conf}\n`);
  const container = {
    id: "0".repeat(64),
    image: {
      architecture: "amd64",
      os: "linux",
      config: { Env: env },
      rootfs: { type: "layers", diff_ids: [] },
    },
    run,
  } as unknown as WorkingContainer;
  return runSpec(container, join(directory, "root"), { argv: ["true"] });
}

test("volumes are mounted, but where the caller mounts something else", () => {
  const conf = `volumes = ["${tmpdir()}:/one:ro", "${tmpdir()}:/two"]`;
  expect(spec(conf, { volumes: ["/:/two"] }).mounts).toEqual([
    { type: "bind", source: tmpdir(), target: "/one", readOnly: true },
    { type: "bind", source: "/", target: "/two", readOnly: false },
  ]);
});

describe("devices", () => {
  const nodes = mkdtempSync(join(tmpdir(), "cooper-devices-"));
  mkdirSync(join(nodes, "deep"));
  symlinkSync("/dev/null", join(nodes, "deep/null"));
  writeFileSync(join(nodes, "file"), "");
  afterAll(() => rmSync(nodes, { recursive: true }));

  test("are given, once", () => {
    const conf = 'devices = ["/dev/null", "/dev/zero:/dev/zero:rwm", "/dev/full:rw"]';
    expect(spec(conf, { devices: ["/dev/zero", "/dev/tty"] }).devices).toEqual([
      "/dev/null",
      "/dev/zero",
      "/dev/full",
      "/dev/tty",
    ]);
  });

  test.each<[string, { devices?: string[]; mounts?: unknown[] }]>([
    ["/dev/null:/dev/other", { mounts: [{ type: "bind", source: "/dev/null", target: "/dev/other" }] }],
    ["/dev/null:/other:rw", { mounts: [{ type: "bind", source: "/dev/null", target: "/other" }] }],
    [`${nodes}:/dev/n:rwm`, { mounts: [{ type: "bind", source: "/dev/null", target: "/dev/n/deep/null" }] }],
  ])("%s: under another name, all below a directory", (text, wanted) => {
    expect(spec(`devices = ["${text}"]`)).toMatchObject(wanted);
  });

  test.each([
    ["vendor.com/class=gpu", "CDI"],
    ["dev/null", "absolute path"],
    ["/dev/null:/dev/null:loud", "not of the form"],
    ["/dev/null:/a:/b:rw", "not of the form"],
    ["/dev/null:r", "no cgroup of devices"],
    ["/dev/nothing", "does not exist"],
    ["/etc/passwd", "no device"],
    ["/etc", "no device"],
  ])("%s is refused: %s", (text, message) => {
    expect(() => spec(`devices = ["${text}"]`)).toThrow(message);
  });
});

describe("proxies of the host", () => {
  test("go to commands in their spelling, before the image's variables", () => {
    process.env.http_proxy = "http://proxy:1";
    process.env.NO_PROXY = "local";
    const { env } = spec("", {}, ["NO_PROXY=image"]);
    expect(env).toContain("http_proxy=http://proxy:1");
    expect(env).toContain("NO_PROXY=image");
    expect(env.filter((pair) => /proxy/i.test(pair))).toHaveLength(2);
  });

  test("stay out where containers.conf says so", () => {
    process.env.http_proxy = "http://proxy:1";
    expect(spec("http_proxy = false").env.join()).not.toContain("proxy");
  });
});
