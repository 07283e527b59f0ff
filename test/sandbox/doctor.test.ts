// Protects the doctor: each fault that a host can have is named with its cause, what it costs and what mends it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../src/base/process.ts";
import { diagnose } from "../../src/sandbox/doctor/diagnose.ts";
import { type Host, thisHost } from "../../src/sandbox/doctor/host.ts";

let scratch = "";

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "cooper-doctor-test-"));
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Writes a file below the scratch directory and returns its path. */
function file(name: string, text: string): string {
  const path = join(scratch, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** Destination, gateway, flags, counts, metric and mask, as in /proc/net/route. */
const DEFAULT_ROUTE = "00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0";
const USER = 4321;
const works = () => ({ exitCode: 0, stdout: "unshare from util-linux 2.38.1\nversion 1.8.1\n", stderr: "" });

/** A user's healthy host: nothing is run, every program is there. */
function healthy(changes: Partial<Host> = {}, paths: Partial<Host["paths"]> = {}): Host {
  const root = join(scratch, "store");
  const ranges = file("ranges", "someone:100000:65536\n# comment\nme:165536:65536\n");
  const proc = join(scratch, "proc");
  file("proc/self/status", "NoNewPrivs:\t0\n");
  file("proc/self/mountinfo", "1 1 8:1 / / rw - ext4 /dev/a rw\n");
  file("proc/net/route", `Iface\tDestination\neth0\t${DEFAULT_ROUTE}\n`);
  const base = thisHost({ root, runRoot: join(scratch, "run"), driver: "overlay" });
  return {
    ...base,
    state: { kind: "unprivileged", uid: USER, gid: USER },
    kernel: "6.1.0-test",
    run: works,
    cgroups: hierarchies("memory", "cpu"),
    ...changes,
    paths: {
      ...base.paths,
      subuid: ranges,
      subgid: ranges,
      passwd: file("passwd", `root:x:0:0::/:/bin/sh\nme:x:${USER}:${USER}::/:/bin/sh\n`),
      proc,
      tun: "/dev/null",
      ...paths,
    },
  };
}

/** Directories that look like cgroups of version 1. */
function hierarchies(...names: string[]): Host["cgroups"] {
  const root = mkdtempSync(join(scratch, "cgroup-"));
  for (const name of names) mkdirSync(join(root, name));
  return { version: 1, root, own: new Map(names.map((name) => [name, "/"])) };
}

const checkOf = (host: Host, id: string) => diagnose(host).checks.find((check) => check.id === id);

/** A search path of its own: programs by name, undefined for those that are not there. */
const finding =
  (known: Record<string, string | undefined>): Host["find"] =>
  (name) =>
    name in known ? known[name] : findProgram(name);

/** Fails command lines that contain a word. */
const failing =
  (word: string, stderr: string): Host["run"] =>
  (argv) =>
    argv.includes(word) ? { exitCode: 1, stdout: "", stderr } : works();

/** A proc file system with one setting. */
function sysctl(name: string, value: string): string {
  const proc = join("proc-of", name.replaceAll("/", "."));
  file(join(proc, "self/status"), "NoNewPrivs:\t0\n");
  file(join(proc, "self/mountinfo"), "");
  file(join(proc, "sys", name), `${value}\n`);
  return join(scratch, proc);
}

test("a healthy host has nothing to mend", () => {
  const { tier, works: fine, checks } = diagnose(healthy());
  expect(checks.filter(({ status }) => status !== "ok").map(({ id }) => id)).toEqual([]);
  expect({ tier, fine }).toEqual({ tier: 1, fine: true });
});

interface Fault {
  name: string;
  host: () => Host;
  id: string;
  status: "warning" | "error";
  finding: RegExp;
  remedy: RegExp;
  tier?: number;
}

const refused = (words: string) => failing("--map-root-user", `unshare: unshare failed: ${words}\n`);

const FAULTS: Fault[] = [
  {
    name: "no range in /etc/subuid",
    host: () =>
      healthy({ run: failing("--map-auto", "no line") }, { subuid: file("empty", "other:100000:65536\n") }),
    id: "subuid",
    status: "warning",
    finding: /gives the user me no range/,
    remedy: /^usermod --add-subuids 165536-231071 me$/,
    tier: 2,
  },
  {
    name: "no /etc/subgid at all",
    host: () => healthy({ run: failing("--map-auto", "no line") }, { subgid: join(scratch, "none") }),
    id: "subgid",
    status: "warning",
    finding: /gives the user me no range/,
    remedy: /^usermod --add-subgids 100000-165535 me$/,
    tier: 2,
  },
  {
    name: "a range that is too small",
    host: () => healthy({}, { subuid: file("small", "me:100000:1000\n") }),
    id: "subuid",
    status: "warning",
    finding: /only 1000 ids/,
    remedy: /usermod/,
    tier: 1,
  },
  {
    name: "a malformed line",
    host: () => healthy({}, { subuid: file("bad", "me:100000\n") }),
    id: "subuid",
    status: "warning",
    finding: /"me:100000"/,
    remedy: /usermod/,
  },
  {
    name: "ranges that overlap",
    host: () => healthy({}, { subgid: file("overlap", "me:100000:65536\nyou:165535:65536\n") }),
    id: "subgid",
    status: "warning",
    finding: /me and you overlap/,
    remedy: /range of its own/,
  },
  {
    name: "newuidmap is missing",
    host: () => healthy({ run: failing("--map-auto", "x"), find: finding({ newuidmap: undefined }) }),
    id: "newuidmap",
    status: "warning",
    finding: /not installed/,
    remedy: /uidmap|shadow/,
    tier: 2,
  },
  {
    name: "newgidmap without its bit",
    host: () => healthy({ find: finding({ newgidmap: file("newgidmap", "") }) }),
    id: "newgidmap",
    status: "warning",
    finding: /neither the set-uid bit/,
    remedy: /chmod u\+s .*cap_setgid\+ep/,
  },
  {
    name: "newuidmap on a nosuid mount",
    host: () => {
      const path = findProgram("newuidmap")!;
      file("nosuid/self/mountinfo", "1 1 8:1 / / rw - ext4 a rw\n2 1 8:2 / /usr rw,nosuid - ext4 b rw\n");
      file("nosuid/self/status", "");
      return healthy({ find: finding({ newuidmap: path }) }, { proc: join(scratch, "nosuid") });
    },
    id: "newuidmap",
    status: "warning",
    finding: /mounted nosuid/,
    remedy: /remount,suid/,
  },
  {
    name: "newuidmap is set-uid root in a container without CAP_SYS_ADMIN",
    host: () => {
      file("container/self/status", "NoNewPrivs:\t0\nCapBnd:\t00000000a80425fb\n");
      file("container/self/mountinfo", "");
      return healthy({ run: failing("--map-auto", "x") }, { proc: join(scratch, "container") });
    },
    id: "newuidmap",
    status: "warning",
    finding: /cannot map ids in a container whose root lacks CAP_SYS_ADMIN/,
    remedy: /chmod u-s .* && setcap cap_setuid\+ep/,
    tier: 2,
  },
  {
    name: "no_new_privs",
    host: () => {
      file("nnp/self/status", "Name:\tbun\nNoNewPrivs:\t1\n");
      file("nnp/self/mountinfo", "");
      return healthy({ run: failing("--map-auto", "x") }, { proc: join(scratch, "nnp") });
    },
    id: "no-new-privs",
    status: "warning",
    finding: /no_new_privs/,
    remedy: /allowPrivilegeEscalation/,
    tier: 2,
  },
  {
    name: "user.max_user_namespaces is 0",
    host: () =>
      healthy({ run: refused("No space left on device") }, { proc: sysctl("user/max_user_namespaces", "0") }),
    id: "user-namespaces",
    status: "error",
    finding: /max_user_namespaces is 0/,
    remedy: /sysctl -w user\.max_user_namespaces=\d+/,
    tier: 4,
  },
  {
    name: "Debian's old switch",
    host: () =>
      healthy(
        { run: refused("Operation not permitted") },
        { proc: sysctl("kernel/unprivileged_userns_clone", "0") },
      ),
    id: "user-namespaces",
    status: "error",
    finding: /unprivileged_userns_clone/,
    remedy: /unprivileged_userns_clone=1/,
    tier: 4,
  },
  {
    name: "AppArmor as on Ubuntu 24.04",
    host: () =>
      healthy(
        { run: refused("Permission denied") },
        { proc: sysctl("kernel/apparmor_restrict_unprivileged_userns", "1") },
      ),
    id: "user-namespaces",
    status: "error",
    finding: /AppArmor/,
    remedy: /apparmor_restrict_unprivileged_userns=0.*userns,/,
    tier: 4,
  },
  {
    name: "a seccomp profile that refuses unshare",
    host: () => healthy({ run: refused("Operation not permitted") }),
    id: "user-namespaces",
    status: "error",
    finding: /refused: .*Operation not permitted/,
    remedy: /seccomp profile/,
    tier: 4,
  },
  {
    name: "root of a container that may not mount",
    host: () =>
      healthy({
        state: { kind: "root" },
        run: failing("--mount", "unshare failed: Operation not permitted"),
      }),
    id: "namespaces",
    status: "warning",
    finding: /may not make a mount namespace/,
    remedy: /CAP_SYS_ADMIN/,
    tier: 3,
  },
  {
    name: "root of a container that may neither mount nor change the root directory",
    host: () => {
      file("bare/self/status", "CapEff:\t0000000000000000\n");
      return healthy({ state: { kind: "root" } }, { proc: join(scratch, "bare") });
    },
    id: "namespaces",
    status: "error",
    finding: /lacks CAP_SYS_CHROOT/,
    remedy: /CAP_SYS_CHROOT/,
    tier: 3,
  },
  {
    name: "a masked /proc",
    host: () => {
      file("masked/self/mountinfo", "9 1 0:5 / /proc/kcore rw - tmpfs t rw\n");
      file("masked/self/status", "");
      return healthy({ run: failing("--mount-proc", "mount failed") }, { proc: join(scratch, "masked") });
    },
    id: "proc",
    status: "warning",
    finding: /hides parts of \/proc \(\/proc\/kcore/,
    remedy: /unmask=ALL/,
  },
  {
    name: "busybox's unshare",
    host: () => healthy({ run: () => ({ exitCode: 0, stdout: "BusyBox v1.35\n", stderr: "" }) }),
    id: "util-linux",
    status: "error",
    finding: /not util-linux's/,
    remedy: /util-linux/,
  },
  {
    name: "no util-linux",
    host: () => healthy({ find: finding({ unshare: undefined }) }),
    id: "util-linux",
    status: "error",
    finding: /no unshare/,
    remedy: /util-linux/,
    tier: 4,
  },
  {
    name: "overlay refused",
    host: () => healthy({ run: failing("sh", "mount: wrong fs type\n") }),
    id: "overlay",
    status: "error",
    finding: /wrong fs type/,
    remedy: /--storage-driver copy/,
  },
  {
    name: "an old kernel",
    host: () => healthy({ kernel: "5.10.0-26-amd64" }),
    id: "kernel",
    status: "error",
    finding: /5\.10.*older than 5\.11/,
    remedy: /newer kernel/,
  },
  {
    name: "a clock before 2020",
    host: () => healthy({ now: Date.UTC(1970, 0, 2) }),
    id: "clock",
    status: "warning",
    finding: /1970-01-02/,
    remedy: /timedatectl/,
  },
  {
    name: "no runtime",
    host: () => healthy({ find: finding({ crun: undefined, runc: undefined }) }),
    id: "runtime",
    status: "warning",
    finding: /Neither crun nor runc/,
    remedy: /crun/,
  },
  {
    name: "a runtime that cannot start",
    host: () => healthy({ run: failing("--version", "exec format error") }),
    id: "runtime",
    status: "error",
    finding: /exec format error/,
    remedy: /chroot/,
  },
  {
    name: "an old runc",
    host: () =>
      healthy({
        find: finding({ crun: undefined, runc: "/usr/sbin/runc" }),
        run: (argv) =>
          argv[0] === "/usr/sbin/runc"
            ? { exitCode: 0, stdout: "runc version 1.0.3\n", stderr: "" }
            : works(),
      }),
    id: "runtime",
    status: "warning",
    finding: /1\.0\.3 is older than 1\.1/,
    remedy: /runc/,
  },
  {
    name: "no pasta",
    host: () => healthy({ find: finding({ pasta: undefined, slirp4netns: undefined }) }),
    id: "pasta",
    status: "warning",
    finding: /pasta is not installed/,
    remedy: /passt/,
  },
  {
    name: "no tun device",
    host: () => healthy({ find: finding({ pasta: "/bin/true" }) }, { tun: join(scratch, "no-tun") }),
    id: "pasta",
    status: "warning",
    finding: /no-tun cannot be opened/,
    remedy: /modprobe tun/,
  },
  {
    name: "no default route",
    host: () => healthy({ find: finding({ pasta: "/bin/true" }) }, { proc: sysctl("kernel/printk", "0") }),
    id: "pasta",
    status: "warning",
    finding: /the host has no default route/,
    remedy: /connect the host/,
  },
  {
    name: "no cgroups",
    host: () => healthy({ cgroups: { version: undefined, root: scratch, own: new Map() } }),
    id: "cgroups",
    status: "warning",
    finding: /there are no cgroups/,
    remedy: /Delegate=yes/,
    tier: 1,
  },
  {
    name: "a cgroup without the controllers",
    host: () => healthy({ cgroups: hierarchies("pids") }),
    id: "cgroups",
    status: "warning",
    finding: /version 1.*there is no controller memory/,
    remedy: /Delegate=yes/,
  },
  {
    name: "a cgroup of version 2 that is somebody else's",
    host: () => healthy({ cgroups: { version: 2, root: "/proc", own: new Map([["", "/"]]) } }),
    id: "cgroups",
    status: "warning",
    finding: /unified.*the cgroup does not exist|no cgroup is delegated/,
    remedy: /Delegate=yes/,
  },
];

describe("faults", () => {
  for (const fault of FAULTS) {
    test(fault.name, () => {
      const diagnosis = diagnose(fault.host());
      const check = diagnosis.checks.find(({ id, status }) => id === fault.id && status !== "ok");
      expect(check).toMatchObject({
        status: fault.status,
        finding: expect.stringMatching(fault.finding),
        remedy: expect.stringMatching(fault.remedy),
        consequence: expect.any(String),
      });
      expect(diagnosis.works).toBe(diagnosis.checks.every(({ status }) => status !== "error"));
      if (fault.status === "error") expect(diagnosis.works).toBe(false);
      if (fault.tier !== undefined) expect(diagnosis.tier).toBe(fault.tier as never);
    });
  }
});

test("a mapping refused for no reason that is seen is reported as the kernel puts it", () => {
  const check = checkOf(
    healthy({ run: failing("--map-auto", "newuidmap: write to uid_map failed: EPERM\n") }),
    "id-mapping",
  );
  expect(check?.finding).toContain("write to uid_map failed");
});

test.each([
  ["root", "0 0 4294967295\n", 0],
  ["root", "0 1000 1\n", 2],
  ["mapped", "0 1000 1\n", 2],
  ["mapped", "0 1000 1\n1 100000 65536\n", 1],
] as const)("%s with the map %p is of tier %p", (kind, map, tier) => {
  const proc = join(scratch, `map-${kind}-${tier}`);
  file(`map-${kind}-${tier}/self/uid_map`, map);
  const state = kind === "root" ? ({ kind } as const) : ({ kind, uid: USER } as const);
  expect(diagnose(healthy({ state }, { proc })).tier).toBe(tier);
});

test("with the copy driver a missing overlay is no obstacle", () => {
  const host = healthy({ driver: "copy", run: failing("sh", "no overlay\n") });
  expect(checkOf(host, "overlay")?.status).toBe("warning");
  expect(diagnose(host).works).toBe(true);
});

test("nothing is left where the probes were", () => {
  const store = mkdtempSync(join(scratch, "empty-"));
  diagnose(healthy({ store, runRoot: store }));
  expect(Array.from(new Bun.Glob("**").scanSync({ cwd: store, dot: true, onlyFiles: false }))).toEqual([]);
});

test("a store behind a link or a file that is no directory is said to be unwritable, not a crash", () => {
  const path = file("plain", "");
  chmodSync(path, 0o644);
  symlinkSync(path, join(scratch, "link"));
  for (const store of [path, join(scratch, "link")]) {
    const check = checkOf(healthy({ store }), "store");
    expect(check).toMatchObject({ status: "error", finding: expect.stringContaining("cannot be written") });
  }
});
