// Protects the way from flags to the API's options: run settings, platforms, pull policies, build places, secrets.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildArguments, buildContexts, buildPlaces, parseSecret } from "../../src/cli/build-values.ts";
import { parseCacheFrom, parseCacheTo, parseCacheTtl } from "../../src/cli/cache-flags.ts";
import {
  formatOf,
  PLATFORM_FLAGS,
  PULL_FLAGS,
  platformOf,
  platformsOf,
  pullPolicyOf,
} from "../../src/cli/image-flags.ts";
import { parseFlags } from "../../src/cli/parse-flags.ts";
import { HOST_FLAGS, RUN_FLAGS, RUNTIME_FLAGS, runSettings } from "../../src/cli/run-flags.ts";
import type { RunSettings } from "../../src/index.ts";

describe("run settings", () => {
  const settings = (argv: string[]) => {
    const own = {
      "no-hostname": { type: "bool", help: "" },
      "no-pivot": { type: "bool", help: "" },
      "hooks-dir": { type: "list", help: "" },
    } as const;
    const line = parseFlags(argv, {
      flags: { ...RUN_FLAGS, ...HOST_FLAGS, ...RUNTIME_FLAGS, ...own },
      env: {},
    });
    return runSettings(line.values as never, line.given);
  };

  const cases: [argv: string[], settings: RunSettings][] = [
    [[], {}],
    [
      ["--cap-add", "NET_ADMIN,SYS_PTRACE", "--cap-drop", "all"],
      { capAdd: ["NET_ADMIN", "SYS_PTRACE"], capDrop: ["all"] },
    ],
    [["--network", "none"], { network: "none" }],
    [["--isolation", "chroot"], { isolation: "chroot" }],
    [["--isolation", "chroot", "--runtime", "runc"], { isolation: "chroot", runtime: "runc" }],
    [
      ["--runtime", "/opt/kata", "--runtime-flag", "debug"],
      { runtime: "/opt/kata", runtimeFlags: ["debug"] },
    ],
    [["--network", "ns:/proc/1/ns/net"], { network: "ns:/proc/1/ns/net" }],
    [["--network", "/proc/1/ns/net"], { network: "ns:/proc/1/ns/net" }],
    [["--network", "container"], { network: "private" }],
    [["--network", "slirp4netns:mtu=1500"], { network: "slirp4netns:mtu=1500" }],
    [["--network", "pasta:-t,80"], { network: "pasta:-t,80" }],
    [
      ["--ipc", "host", "--pid", "container", "--uts", "private", "--cgroupns", "ns:/x"],
      { namespaces: { ipc: "host", pid: "private", uts: "private", cgroup: "ns:/x" } },
    ],
    [["--userns", "host"], {}],
    [["--userns", "private"], { ids: "all" }],
    [
      ["--userns-uid-map", "0:0:1000,2000:2000:5"],
      {
        ids: {
          uids: [
            { inside: 0, outside: 0, count: 1000 },
            { inside: 2000, outside: 2000, count: 5 },
          ],
          gids: [
            { inside: 0, outside: 0, count: 1000 },
            { inside: 2000, outside: 2000, count: 5 },
          ],
        },
      },
    ],
    [
      ["--userns", "container", "--userns-uid-map", "0:0:7", "--userns-gid-map", "0:0:9"],
      {
        ids: { uids: [{ inside: 0, outside: 0, count: 7 }], gids: [{ inside: 0, outside: 0, count: 9 }] },
      },
    ],
    [
      ["--userns-gid-map", "0:100000:65536"],
      {
        ids: {
          uids: [{ inside: 0, outside: 100_000, count: 65_536 }],
          gids: [{ inside: 0, outside: 100_000, count: 65_536 }],
        },
      },
    ],
    [["--userns", "auto"], { ids: { auto: {} } }],
    [
      ["--userns", "auto:size=2000,uidmapping=0:7:1,gidmapping=0:8:1,gidmapping=5:9:2"],
      {
        ids: {
          auto: {
            size: 2000,
            uids: [{ inside: 0, outside: 7, count: 1 }],
            gids: [
              { inside: 0, outside: 8, count: 1 },
              { inside: 5, outside: 9, count: 2 },
            ],
          },
        },
      },
    ],
    [["--userns", "ns:/proc/1/ns/user"], { ids: { namespace: "/proc/1/ns/user" } }],
    [["--userns", "/proc/1/ns/user"], { ids: { namespace: "/proc/1/ns/user" } }],
    [["--dns", "none"], { dns: { servers: "none" } }],
    [["--no-hosts", "--no-hostname", "--no-pivot"], { noHosts: true, noHostname: true, noPivot: true }],
    [["--no-hosts=false", "--http-proxy=false"], { noHosts: false, httpProxy: false }],
    [
      ["-m", "64m", "--memory-swap", "-1", "-c", "512", "--cpu-period", "50000", "--cpu-quota", "-1"],
      { limits: { memory: 67_108_864, memorySwap: -1, cpuShares: 512, cpuPeriod: 50_000, cpuQuota: -1 } },
    ],
    [
      ["--cpuset-cpus", "0-1,3", "--cpuset-mems", "0", "--cgroup-parent", "/x"],
      { limits: { cpusetCpus: "0-1,3", cpusetMems: "0", cgroupParent: "/x" } },
    ],
    [["--memory", "0", "--cpu-shares", "0", "--cpuset-cpus", ""], {}],
    [["-v", "/a:/b:ro,z", "-v", "/c:/d"], { volumes: ["/a:/b:ro,z", "/c:/d"] }],
    [["--add-host", "a:1.2.3.4,b:::1"], { addHosts: ["a:1.2.3.4", "b:::1"] }],
    [
      ["--dns", "1.1.1.1", "--dns-search", "a,b", "--dns-option", "ndots:2"],
      { dns: { servers: ["1.1.1.1"], search: ["a", "b"], options: ["ndots:2"] } },
    ],
    [
      ["--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges"],
      { seccomp: "unconfined", noNewPrivileges: true },
    ],
    [["--security-opt", "seccomp:/p.json"], { seccomp: "/p.json" }],
    [["--security-opt", "no-new-privileges:false"], { noNewPrivileges: false }],
    [
      ["--security-opt", "apparmor=unconfined", "--security-opt", "label=disable"],
      { apparmor: "unconfined" },
    ],
    [
      ["--security-opt", "mask=/a:/b", "--security-opt", "mask=/c", "--security-opt", "unmask=ALL"],
      { mask: ["/a", "/b", "/c"], unmask: ["ALL"] },
    ],
    [["--group-add", "keep-groups"], { groups: ["keep-groups"] }],
    [["--hooks-dir", "/tmp", "--hooks-dir", "/"], { hooksDirs: ["/tmp", "/"] }],
    [
      ["--ulimit", "nofile=1:2", "--shm-size", "64m", "--device", "/dev/fuse"],
      { ulimits: ["nofile=1:2"], shmSize: 67_108_864, devices: ["/dev/fuse"] },
    ],
  ];
  test.each(cases)("%j", (argv, expected) => {
    expect(settings(argv)).toEqual(expected);
  });

  test("oci means a runtime, never chroot", () => {
    expect(["crun", "runc"]).toContain(settings(["--isolation", "oci"]).isolation!);
  });

  test.each([
    [["--isolation", "vm"], /"vm"/],
    [["--network", "bridge"], /bridge/],
    [["--userns", "auto:most"], /--userns auto/],
    [["--userns", "auto", "--userns-uid-map", "0:0:1"], /takes no map/],
    [["--userns", "ns:/x", "--userns-gid-map", "0:0:1"], /takes no map/],
    [["--userns", "keep-id"], /Unknown user namespace/],
    [["--userns-uid-map-user", "nobody-of-that-name"], /\/etc\/subuid gives it no range/],
    [["--userns-gid-map-group", "nobody-of-that-name"], /\/etc\/subuid gives it no range/],
    [["--userns-uid-map", "0:0"], /Cannot read --userns-uid-map/],
    [["--userns-gid-map", "0:0:0"], /Cannot read --userns-gid-map/],
    [["--userns", "host", "--userns-uid-map", "0:0:1"], /takes no map/],
    [["--ipc", "shareable"], /--ipc/],
    [["--cgroupns", "x"], /--cgroupns/],
    [["--cpuset-cpus", "all"], /--cpuset-cpus/],
    [["--memory", "much"], /--memory/],
    [["--security-opt", "label=nonsense"], /label=nonsense/],
    [["--security-opt", "systempaths=unconfined"], /systempaths/],
    [["--group-add", "keep-groups,5"], /keep-groups goes with no other/],
    [["--hooks-dir", "/no/such"], /no directory of hooks \/no\/such/],
    [["--security-opt", "seccomp="], /seccomp=/],
    [["--shm-size", "big"], /--shm-size/],
    [["--dns", "none,1.1.1.1"], /--dns none/],
  ] as [string[], RegExp][])("refuses %j", (argv, message) => {
    expect(() => settings(argv)).toThrow(message);
  });
});

describe("platform", () => {
  const platform = (argv: string[]) =>
    platformOf(parseFlags(argv, { flags: PLATFORM_FLAGS, env: {} }).values as never);
  test("from either form, or none", () => {
    expect(platform([])).toBeUndefined();
    expect(platform(["--platform", "linux/arm64"])).toBe("linux/arm64");
    expect(platform(["--platform=linux/arm/v7"])).toBe("linux/arm/v7");
    expect(platform(["--arch", "arm64"])).toBe("linux/arm64");
    expect(platform(["--os", "windows", "--arch", "amd64"])).toBe("windows/amd64");
    expect(platform(["--arch", "arm", "--variant", "v6"])).toBe("linux/arm/v6");
  });
  test("several, where a command takes them", () => {
    const argv = ["--platform", "linux/amd64,linux/arm64", "--platform=linux/arm/v7"];
    const { values } = parseFlags(argv, { flags: PLATFORM_FLAGS, env: {} });
    expect(platformsOf(values as never)).toEqual(["linux/amd64", "linux/arm64", "linux/arm/v7"]);
  });
  test.each([
    [["--platform", "linux/amd64,linux/arm64"], /Only one platform/],
    [["--platform", "linux/amd64", "--arch", "arm64"], /combined/],
    [["--platform", "amd64"], /"amd64"/],
  ] as [string[], RegExp][])("refuses %j", (argv, message) => {
    expect(() => platform(argv)).toThrow(message);
  });
});

test("pull policies", () => {
  const policy = (argv: string[]) =>
    pullPolicyOf(parseFlags(argv, { flags: PULL_FLAGS, env: {} }).values as never);
  expect(policy([])).toBeUndefined();
  expect(policy(["--pull"])).toBe("always");
  expect(policy(["--pull=true"])).toBe("always");
  expect(policy(["--pull=false"])).toBe("missing");
  expect(policy(["--pull=newer"])).toBe("newer");
  expect(policy(["--pull-never"])).toBe("never");
  expect(policy(["--pull-always"])).toBe("always");
  expect(() => policy(["--pull=sometimes"])).toThrow(/sometimes/);
  expect(() => policy(["--pull", "--pull-never"])).toThrow(/Only one/);
});

test("formats", () => {
  expect(formatOf(undefined)).toBeUndefined();
  expect(formatOf("oci")).toBe("oci");
  expect(formatOf("docker")).toBe("docker");
  expect(formatOf("v2s2")).toBe("docker");
  expect(() => formatOf("v2s1")).toThrow(/schema 1/);
  expect(() => formatOf("zip")).toThrow(/"zip"/);
});

describe("build", () => {
  const directory = mkdtempSync(join(tmpdir(), "cooper-options-"));
  afterAll(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, "ctx"));
  writeFileSync(join(directory, "ctx", "Inside"), "");
  writeFileSync(join(directory, "Here"), "");

  test("places: a Dockerfile is looked for here, then in the context", () => {
    const context = join(directory, "ctx");
    expect(buildPlaces(undefined, [])).toEqual({ context: "." });
    expect(buildPlaces(context, [])).toEqual({ context });
    expect(buildPlaces(context, ["Inside"])).toEqual({ context, file: [join(context, "Inside")] });
    expect(buildPlaces(context, [join(directory, "Here")])).toEqual({
      context,
      file: [join(directory, "Here")],
    });
    expect(buildPlaces(undefined, [join(directory, "Here")])).toEqual({
      context: directory,
      file: [join(directory, "Here")],
    });
    expect(buildPlaces(undefined, ["-"])).toEqual({ context: ".", file: ["-"] });
  });

  test("places: what is fetched is left as it is, and so is what lies in it", () => {
    for (const context of ["-", "https://example.com/x.git", "git@github.com:a/b", "github.com/a/b"]) {
      expect(buildPlaces(context, [])).toEqual({ context });
      expect(buildPlaces(context, ["sub/File"])).toEqual({ context, file: ["sub/File"] });
    }
    const file = "https://example.com/Dockerfile";
    expect(buildPlaces(undefined, [file])).toEqual({ context: ".", file: [file] });
  });

  test("places: several files", () => {
    const files = [join(directory, "Here"), "Inside"];
    const file = [join(directory, "Here"), join(directory, "ctx", "Inside")];
    expect(buildPlaces(join(directory, "ctx"), files)).toEqual({ context: join(directory, "ctx"), file });
  });

  test("arguments", () => {
    process.env.COOPER_TEST_ARGUMENT = "host";
    try {
      expect(buildArguments(["A=1", "B=", "C=a=b", "COOPER_TEST_ARGUMENT", "COOPER_TEST_MISSING"])).toEqual({
        A: "1",
        B: "",
        C: "a=b",
        COOPER_TEST_ARGUMENT: "host",
      });
    } finally {
      delete process.env.COOPER_TEST_ARGUMENT;
    }
    expect(() => buildArguments(["=x"])).toThrow(/no name/);
  });

  test("contexts", () => {
    expect(buildContexts(["a=./b", "c=docker-image://x=y"])).toEqual({ a: "./b", c: "docker-image://x=y" });
    for (const bad of ["a", "=b", "a="]) expect(() => buildContexts([bad])).toThrow(/build context/);
  });

  test("secrets", () => {
    expect(parseSecret("id=a,src=/p")).toEqual({ id: "a", source: "/p", kind: "file" });
    expect(parseSecret("type=file,id=a,source=/p")).toEqual({ id: "a", source: "/p", kind: "file" });
    expect(parseSecret("id=a,src=-,cache-salt")).toEqual({
      id: "a",
      source: "-",
      kind: "file",
      cacheSalt: true,
    });
    expect(parseSecret("cache-salt=v2,id=a,env=B")).toEqual({
      id: "a",
      source: "B",
      kind: "env",
      cacheSalt: "v2",
    });
    expect(parseSecret("id=a,env=B")).toEqual({ id: "a", source: "B", kind: "env" });
    expect(parseSecret("id=a,type=env")).toEqual({ id: "a", source: "a", kind: "env" });
    expect(parseSecret("id=PATH")).toEqual({ id: "PATH", source: "PATH", kind: "env" });
    expect(parseSecret("id=no-such-variable")).toEqual({
      id: "no-such-variable",
      source: "no-such-variable",
      kind: "file",
    });
    for (const bad of ["src=/p", "id=", "id=a,type=x", "id=a,src=/p,env=B"])
      expect(() => parseSecret(bad)).toThrow(/--secret/);
    // What may be the secret itself is not repeated.
    expect(() => parseSecret("id=a,type=hunter2")).not.toThrow(/hunter2/);
  });
});

describe("remote caches", () => {
  test.each([
    ["reg.io/a/b", { type: "registry", ref: "reg.io/a/b" }],
    ["type=registry,ref=reg.io:5000/a:tag", { type: "registry", ref: "reg.io:5000/a:tag" }],
    ['type=local,"src=/a,b",mounts=true', { type: "local", path: "/a,b", mounts: true }],
  ])("--cache-from %s", (text, expected) => {
    expect(parseCacheFrom(text)).toEqual(expected as never);
  });

  test.each([
    ["reg.io/a/b", { type: "registry", ref: "reg.io/a/b" }],
    [
      "type=registry,ref=reg.io/a,mode=min,compression=gzip,ignore-error=true,image-manifest=true,oci-mediatypes=1",
      { type: "registry", ref: "reg.io/a", mode: "min", compression: "gzip", ignoreErrors: true },
    ],
    ["type=local,dest=/a,mounts=false", { type: "local", path: "/a", mounts: false }],
  ])("--cache-to %s", (text, expected) => {
    expect(parseCacheTo(text)).toEqual(expected as never);
  });

  test.each([
    [parseCacheFrom, "type=gha", "caches of type gha are not supported"],
    [parseCacheTo, "type=s3,region=x,bucket=y", "caches of type s3 are not supported"],
    [parseCacheTo, "type=inline", "caches of type inline are not supported"],
    [parseCacheTo, "ref=reg.io/a", "it has no type"],
    [parseCacheTo, "type=registry", "it has no ref"],
    [parseCacheTo, "type=local,src=/a", "it has no dest"],
    [parseCacheFrom, "type=local,dest=/a", "it has no src"],
    [parseCacheFrom, "type=registry,ref=reg.io/a,mode=max", "it has an unknown key mode"],
    [parseCacheTo, "type=registry,ref=reg.io/a,mode=all", "mode is min or max"],
    [parseCacheTo, "type=registry,ref=reg.io/a,compression=xz", "compression is gzip or zstd"],
    [parseCacheTo, "type=registry,ref=reg.io/a,image-manifest=false", "image-manifest=false is not possible"],
    [parseCacheTo, "type=registry,ref=reg.io/a,mounts", '"mounts" is not key=value'],
  ])("%p refuses %s", (parse, text, why) => {
    expect(() => parse(text)).toThrow(why);
  });

  test("--cache-ttl", () => {
    expect(["0", "90s", "1h30m"].map(parseCacheTtl)).toEqual([0, 90, 5400]);
    for (const bad of ["5", "-1h", "soon", ""]) expect(() => parseCacheTtl(bad)).toThrow("--cache-ttl");
  });
});
