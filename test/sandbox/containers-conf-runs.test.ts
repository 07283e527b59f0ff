// Protects what a host's containers.conf and its proxies give every command: volumes, devices, proxy variables.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
  test("are given, once", () => {
    const conf = 'devices = ["/dev/null", "/dev/zero:/dev/zero:rwm", "/dev/full:rw"]';
    expect(spec(conf, { devices: ["/dev/zero", "/dev/tty"] }).devices).toEqual([
      "/dev/null",
      "/dev/zero",
      "/dev/full",
      "/dev/tty",
    ]);
  });

  test.each(["/dev/null:/dev/other", "vendor.com/class=gpu", "/dev/null:/dev/null:loud"])(
    "%s is refused",
    (text) => {
      expect(() => spec(`devices = ["${text}"]`)).toThrow(`The device "${text}" of containers.conf`);
    },
  );
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
