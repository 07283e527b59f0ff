// Protects how containers.conf files are found, merged and refused.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadContainersConf, storageLimit } from "../../src/sandbox/containers-conf.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "cooper-conf-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;
const write = (text: string): string => {
  const path = join(directory, `${count++}.conf`);
  writeFileSync(path, text);
  return path;
};
const load = (text: string) => loadContainersConf({ CONTAINERS_CONF: write(text), HOME: directory });

test("every field that bears on runs", () => {
  const conf = load(`
[containers]
default_capabilities = ["CHOWN", "CAP_kill"]
default_ulimits = ["nofile=100:200", "core=-1"]
dns_servers = ["1.1.1.1"]
dns_searches = ["a.example"]
dns_options = ["ndots:1"]
env = ["A=b"]
seccomp_profile = "/p.json"
shm_size = "2m"
volumes = ["/a:/b"]
devices = ["/dev/kvm"]
netns = "none"
base_hosts_file = "image"
no_hosts = true
http_proxy = false
pids_limit = 5
[engine]
runtime = "runc"
hooks_dir = ["/h"]
[engine.runtimes]
runc = ["/x/runc"]
[network]
whatever = 1
[cooper]
max_storage = "2g"
`);
  expect(conf).toEqual({
    defaultCapabilities: ["CAP_CHOWN", "CAP_KILL"],
    defaultUlimits: [
      { name: "RLIMIT_NOFILE", soft: 100, hard: 200 },
      { name: "RLIMIT_CORE", soft: -1, hard: -1 },
    ],
    dnsServers: ["1.1.1.1"],
    dnsSearches: ["a.example"],
    dnsOptions: ["ndots:1"],
    env: ["A=b"],
    seccompProfile: "/p.json",
    shmSize: 2 << 20,
    volumes: ["/a:/b"],
    devices: ["/dev/kvm"],
    hooksDirs: ["/h"],
    network: "none",
    baseHostsFile: "image",
    noHosts: true,
    httpProxy: false,
    runtime: "runc",
    runtimes: { runc: ["/x/runc"] },
    maxStorage: 2 ** 31,
  });
});

test("the user's file, then its drop-ins in order, then the override; lists replace or append", () => {
  const home = join(directory, "home");
  const drop = join(home, ".config/containers/containers.conf.d");
  mkdirSync(drop, { recursive: true });
  writeFileSync(
    join(home, ".config/containers/containers.conf"),
    '[containers]\nenv = ["A=1"]\nshm_size = 1\ndns_servers = ["1.1.1.1"]',
  );
  writeFileSync(join(drop, "10.conf"), '[containers]\nenv = ["B=2", {append=true}]\nshm_size = 2');
  writeFileSync(join(drop, "20.conf"), "[containers]\nshm_size = 3\ndns_servers = []");
  writeFileSync(join(drop, "30.txt"), "[containers]\nshm_size = 4");
  const override = write('[engine]\nruntime = "crun"');
  const conf = loadContainersConf({ HOME: home, CONTAINERS_CONF_OVERRIDE: override });
  expect(conf).toMatchObject({ env: ["A=1", "B=2"], shmSize: 3, dnsServers: [], runtime: "crun" });
});

test("sizes", () => {
  const size = (text: string) => load(`[containers]\nshm_size = ${text}`).shmSize;
  expect([size('"65536k"'), size('"1g"'), size("4096"), size('"7"')]).toEqual([64 << 20, 1 << 30, 4096, 7]);
});

test("a variable comes before the file's limit of the store; 0 is none", () => {
  const CONTAINERS_CONF = write("[cooper]\nmax_storage = 5");
  const limit = (text?: string) => storageLimit({ CONTAINERS_CONF, COOPER_MAX_STORAGE: text });
  expect([limit(), limit(""), limit("1k"), limit("0")]).toEqual([5, 5, 1024, undefined]);
});

test.each([
  ["[containers]\nenv = 3", "invalid", /containers\.env in .*conf is malformed/],
  ["[containers", "invalid", /Cannot parse .*conf/],
  [
    '[containers]\ndefault_capabilities = ["FLY"]',
    "invalid",
    /Cannot use .*conf: There is no capability "FLY"/,
  ],
  ['[containers]\ndefault_ulimits = ["nofile"]', "invalid", /Cannot use .*conf/],
  ["[cooper]\nmax_store = 1", "invalid", /max_store in .*conf is malformed/],
  ['[cooper]\nmax_storage = "much"', "invalid", /max_storage "much" is not a size/],
  ['[containers]\nshm_size = "much"', "invalid", /shm_size "much" is not a size/],
])("refuses %j", (text, code, message) => {
  expect(() => load(text)).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});

test("a file that a variable names must be there", () => {
  expect(() => loadContainersConf({ CONTAINERS_CONF: "/no/such/file" })).toThrow(
    expect.objectContaining({ code: "not-found" }),
  );
});
