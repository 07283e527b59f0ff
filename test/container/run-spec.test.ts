// Protects what a command gets: its environment, directory and mounts, out of the image, the container and the flags.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type RunRequest, runSpec } from "../../src/container/run-spec.ts";
import { parseVolume } from "../../src/container/volume.ts";
import { mergeRunSettings, type RunSettings } from "../../src/container/run-settings.ts";
import type { WorkingContainer } from "../../src/container/working-container.ts";
import type { ContainerConfig } from "../../src/oci/types.ts";
import type { RunMount } from "../../src/sandbox/types.ts";

const root = mkdtempSync(join(tmpdir(), "cooper-run-spec-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
mkdirSync(join(root, "etc"));
writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");

function spec(config: ContainerConfig, request: Partial<RunRequest> = {}, run: RunSettings = {}) {
  const container: WorkingContainer = {
    id: "0123456789abcdef".repeat(4),
    name: undefined,
    created: 0,
    driver: "overlay",
    directory: "/nowhere",
    base: { imageId: undefined, imageName: undefined, manifestDigest: undefined, layers: [] },
    frozen: [],
    image: { architecture: "amd64", os: "linux", config, rootfs: { type: "layers", diff_ids: [] } },
    annotations: {},
    createdBy: undefined,
    comment: undefined,
    run,
    shown: false,
  };
  return runSpec(container, root, { argv: ["true"], ...request });
}

function codeOf(action: () => unknown): string {
  try {
    return `no error: ${JSON.stringify(action())}`;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

describe("the environment", () => {
  const env = (config: ContainerConfig, request: Partial<RunRequest> = {}) =>
    spec(config, request).env.filter((pair) => !/^(?:http|https|no|ftp|all)_proxy=/i.test(pair));

  test("has a path and a home where the image says nothing", () => {
    expect(env({})).toEqual([PATH, "HOME=/root"]);
    expect(env({ User: "user" })).toEqual([PATH, "HOME=/home/user"]);
    expect(env({}, { user: "7" })).toEqual([PATH, "HOME=/"]);
  });

  test("the image's goes before that, the request's before the image's, each in its place", () => {
    expect(
      env(
        { Env: ["B=image", "PATH=/bin", "A=image", "HOME=/mine"] },
        { env: ["C=asked", "B=asked", "EMPTY="] },
      ),
    ).toEqual(["PATH=/bin", "HOME=/mine", "B=asked", "A=image", "C=asked", "EMPTY="]);
  });

  test("values keep their equals signs; what is no pair is left out", () => {
    expect(env({ Env: ["A=b=c", "=x", "novalue", ""] })).toEqual([PATH, "HOME=/root", "A=b=c"]);
  });

  test("a terminal has a TERM that the image may replace", () => {
    expect(env({}, { terminal: true }).some((pair) => pair.startsWith("TERM="))).toBe(true);
    expect(env({ Env: ["TERM=dumb"] }, { terminal: true })).toContain("TERM=dumb");
    expect(env({}).some((pair) => pair.startsWith("TERM="))).toBe(false);
  });
});

test("the host's proxies reach a command unless they are to stay away", () => {
  const before = process.env.ftp_proxy;
  process.env.ftp_proxy = "http://proxy:1";
  try {
    const has = (run: RunSettings) => spec({}, {}, run).env.includes("ftp_proxy=http://proxy:1");
    expect([has({}), has({ httpProxy: true }), has({ httpProxy: false })]).toEqual([true, true, false]);
  } finally {
    if (before === undefined) delete process.env.ftp_proxy;
    else process.env.ftp_proxy = before;
  }
});

test("files of the image in /etc", () => {
  expect(spec({}).imageFiles).toBeUndefined();
  const run: RunSettings = { noHosts: true, noHostname: true, dns: { servers: "none" } };
  expect(spec({}, {}, run)).toMatchObject({
    imageFiles: ["resolv.conf", "hosts", "hostname"],
    dns: { servers: [] },
  });
  expect(() => spec({}, {}, { noHosts: true, addHosts: ["a:1.2.3.4"] })).toThrow(/exclude each other/);
  expect(() => spec({}, {}, { dns: { servers: "none", search: ["a"] } })).toThrow(/--dns none/);
});

test("the host's own name, where that is shared", () => {
  const run: RunSettings = { namespaces: { uts: "host" } };
  expect(spec({ Hostname: "image" }, {}, run).hostname).toBe(hostname());
  // A build's steps have a name of the build's.
  expect(spec({}, { hostname: "buildkitsandbox" }, run).hostname).toBe(hostname());
});

describe("the working directory", () => {
  test.each([
    [undefined, undefined, "/"],
    ["", undefined, "/"],
    ["/srv", undefined, "/srv"],
    ["/srv", "/other", "/other"],
    ["/srv", "sub/../dir", "/srv/dir"],
    [undefined, "sub", "/sub"],
    ["/srv", "", "/srv"],
  ])("image %p, asked %p: %p", (WorkingDir, workingDir, cwd) => {
    expect(
      spec(WorkingDir === undefined ? {} : { WorkingDir }, workingDir === undefined ? {} : { workingDir })
        .cwd,
    ).toBe(cwd);
  });
});

test("the host's name is the request's, the image's, or the container's id", () => {
  expect(spec({}).hostname).toBe("0123456789ab");
  expect(spec({ Hostname: "image" }).hostname).toBe("image");
  expect(spec({ Hostname: "image" }, { hostname: "asked" }).hostname).toBe("asked");
});

test("a build's container keeps no notes, one with a name does", () => {
  expect(spec({}).mountPointNotes).toBeUndefined();
});

test("of settings scalars replace and lists add", () => {
  expect(
    mergeRunSettings(
      { network: "host", capAdd: ["a"], volumes: ["/a:/a"], shmSize: 1 },
      { network: "none", capAdd: ["b"], ulimits: ["c"] },
    ),
  ).toEqual({ network: "none", capAdd: ["a", "b"], volumes: ["/a:/a"], shmSize: 1, ulimits: ["c"] });
});

describe("--volume", () => {
  const volumes: [text: string, wanted: Partial<Extract<RunMount, { type: "bind" }>>][] = [
    [`${root}:/in`, { readOnly: false }],
    [`${root}:/in:ro`, { readOnly: true }],
    [`${root}:/in:rw`, { readOnly: false }],
    [`${root}:/in:Z`, { readOnly: false }],
    [`${root}:/in:ro,z`, { readOnly: true }],
    [`${root}:/in:`, { readOnly: false }],
    [`${root}:/in:U,rprivate`, { readOnly: false, chown: true }],
    [`${root}:/in:O`, { readOnly: false, overlay: {} }],
    [`${root}:/in:O,upperdir=/u,workdir=/w`, { readOnly: false, overlay: { upper: "/u", work: "/w" } }],
    [`${root}:/in:noexec,nosuid`, { readOnly: false, forbids: ["noexec", "nosuid"] }],
  ];
  test.each(volumes)("%p", (text, wanted) => {
    expect(parseVolume(text)).toEqual({ type: "bind", source: root, target: "/in", ...wanted });
  });

  test.each([
    ["/only", "usage"],
    ["", "usage"],
    [":/in", "usage"],
    [`${root}:`, "usage"],
    [`${root}:relative`, "usage"],
    ["relative:/in", "usage"],
    [`${root}:/in:ro:more`, "usage"],
    [`${root}:/in:nocopy`, "unsupported"],
    ["/does/not/exist:/in", "not-found"],
  ])("%p is refused: %s", (text, code) => {
    expect(codeOf(() => parseVolume(text))).toBe(code);
  });

  test("the container's come before the request's", () => {
    const mounts = [{ type: "tmpfs" as const, target: "/asked" }];
    expect(
      spec({}, { mounts, settings: { volumes: [`${root}:/two`] } }, { volumes: [`${root}:/one`] }).mounts.map(
        ({ target }) => target,
      ),
    ).toEqual(["/one", "/two", "/asked"]);
  });
});
