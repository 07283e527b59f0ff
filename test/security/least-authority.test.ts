// Protects the host and its users from what builds may do: no more rights for a RUN than Docker gives, no store that others can look into.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ownCapabilities } from "../../src/sandbox/capabilities.ts";
import { defaultSeccomp } from "../../src/sandbox/seccomp.ts";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(120_000);

/** What Docker's documentation lists as blocked (docs.docker.com/engine/security/seccomp), and io_uring since version 25. */
const BLOCKED =
  `acct add_key bpf clock_settime create_module delete_module finit_module get_kernel_syms get_mempolicy
init_module ioperm iopl io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load keyctl lookup_dcookie
mbind mount move_pages nfsservctl open_by_handle_at perf_event_open pivot_root query_module quotactl reboot request_key
set_mempolicy setns settimeofday stime swapon swapoff sysfs _sysctl umount umount2 unshare uselib userfaultfd ustat vm86
vm86old fsopen fsmount move_mount open_tree fanotify_init`.split(/\s+/);

test("the default filter allows nothing that Docker's blocks", () => {
  const allowed = new Set(
    defaultSeccomp([]).syscalls.flatMap(({ names, action }) => (action === "SCMP_ACT_ALLOW" ? names : [])),
  );
  expect(BLOCKED.filter((name) => allowed.has(name))).toEqual([]);
});

/** As far as the host has them. */
const DOCKERS = new RegExp(
  `:\\s+${(0xa80425fbn & ownCapabilities("CapBnd")).toString(16).padStart(16, "0")}$`,
);

/** What a command sees: a shell command and what it must print. */
const SEEN: [what: string, command: string, expected: RegExp][] = [
  ["Docker's capabilities", "grep CapBnd /proc/self/status", DOCKERS],
  ["the same in effect", "grep CapEff /proc/self/status", DOCKERS],
  [
    "none that are inherited",
    "grep -E 'CapInh|CapAmb' /proc/self/status",
    /^CapInh:\s+0{16}\nCapAmb:\s+0{16}$/,
  ],
  ["a filter", "grep Seccomp: /proc/self/status", /2$/],
  ["no process but its own", "ls -d /proc/[0-9]* | wc -l", /^[1-4]$/],
  [
    "no host's devices",
    "echo $(ls /dev)",
    /^(?:(?:core|fd|full|mqueue|null|ptmx|pts|random|shm|stderr|stdin|stdout|tty|urandom|zero) ?)+$/,
  ],
  ["a kernel's memory that is empty", "cat /proc/kcore 2>/dev/null | wc -c", /^0$/],
  ["keys that are hidden", "cat /proc/keys /proc/timer_list 2>/dev/null | wc -c", /^0$/],
  ["sysctls that are read-only", "echo 1 > /proc/sys/kernel/hostname", /Read-only file system/],
  [
    "what Docker makes read-only",
    'for p in bus fs irq sys sysrq-trigger; do [ ! -e /proc/$p ] || grep -q " /proc/$p proc ro" /proc/mounts || echo $p; done; echo all',
    /^all$/,
  ],
  ["firmware that is hidden", "ls /sys/firmware | wc -l", /^0$/],
  ["no mounts of its own", "mount -t tmpfs none /tmp", /[Oo]peration not permitted|[Pp]ermission denied/],
  ["no namespaces of its own", "unshare -r true", /[Oo]peration not permitted/],
  ["no names of the host's", "hostname", /^buildkitsandbox$/],
  ["a umask of its own", "umask", /^0022$/],
];

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test.each(["oci", "chroot"])("a RUN isolated by %s sees", async (isolation) => {
    const commands = SEEN.map(([, command], i) => `echo "== ${i}"; (${command}) 2>&1`).join("; ");
    const dockerfile = `FROM localhost/busybox\nRUN ["sh", "-c", ${JSON.stringify(`export PATH=$PATH; ${commands}; true`)}]\n`;
    const context = site.files({ Dockerfile: dockerfile });
    // Whatever the caller's mask is.
    const { exitCode, stderr } = await site.run([
      "sh",
      "-c",
      'umask 077; exec "$@"',
      "sh",
      "cooper",
      "bud",
      "--no-cache",
      "--isolation",
      isolation,
      context,
    ]);
    expect(exitCode, stderr).toBe(0);
    const answers = stderr
      .slice(stderr.lastIndexOf("== 0\n"))
      .split(/^== \d+\n/m)
      .slice(1);
    for (const [i, [what, , expected]] of SEEN.entries())
      expect((answers[i] ?? "").split("\nCOMMIT")[0]!.trim(), what).toMatch(expected);
  });

  test("the caller's umask is neither in images nor in the store", async () => {
    const files = {
      Dockerfile:
        "FROM localhost/busybox\nWORKDIR /w/x\nCOPY a d/b ./\nADD t.tar /t/\nRUN echo > /f; mkdir /d\nCOPY <<E /h\nx\nE\n",
      a: "1",
      "d/b": "2",
    };
    const context = site.files(files);
    await site.script(`cd ${context} && chmod 644 a d/b && tar -cf t.tar a`);
    const ids: string[] = [];
    for (const mask of ["022", "077", "000", "027"]) {
      const flags = "--no-cache --source-date-epoch 1700000000 --rewrite-timestamp";
      ids.push(await site.script(`umask ${mask}; cooper bud -q ${flags} ${context}`));
      const scripted =
        "c=$(cooper from scratch); cooper copy -q $c a /x/a; cooper add -q $c d /y; cooper commit -q --timestamp 1 $c; cooper rm $c > /dev/null";
      ids.push(await site.script(`umask ${mask}; cd ${context}; ${scripted}`));
    }
    expect(new Set(ids.filter((_, i) => i % 2 === 0)).size, "built").toBe(1);
    expect(new Set(ids.filter((_, i) => i % 2 === 1)).size, "scripted").toBe(1);
    expect(statSync(site.root).mode & 0o777).toBe(0o700);
    expect(statSync(site.runRoot).mode & 0o777).toBe(0o700);
  });

  test("a store that is made under any umask is its owner's alone, and so are its set-uid programs", async () => {
    const root = join(site.work, "open");
    const context = site.files({
      Dockerfile: "FROM localhost/busybox\nRUN cp /bin/busybox /suid && chmod 6755 /suid\n",
    });
    const to = `cooper --root ${root} --runroot ${root}-run`;
    await site.script(
      `umask 000; chmod 755 .. .; mkdir -p tmp; export TMPDIR=$PWD/tmp; ${to} import ${busyboxBase()} localhost/busybox > /dev/null; ${to} bud -q ${context}`,
    );
    expect(statSync(root).mode & 0o777).toBe(0o700);
    expect(statSync(`${root}-run`).mode & 0o777).toBe(0o700);
    // What it leaves in the directory for temporary files is nobody else's either.
    for (const name of readdirSync(join(site.work, "tmp")))
      expect(statSync(join(site.work, "tmp", name)).mode & 0o077, name).toBe(0);
    const suid = await site.script(`find ${root}/layers -name suid -perm -6000`);
    expect(suid).not.toBe("");
    if (process.getuid?.() !== 0) return;
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    for (const argv of [
      ["ls", root],
      ["stat", suid],
      [suid, "id"],
      ["ls", `${root}-run`],
    ])
      expect(spawnSync("setpriv", [...nobody, ...argv]).status, argv.join(" ")).not.toBe(0);
    expect(spawnSync("setpriv", [...nobody, "ls", site.work]).status, "only the store keeps them out").toBe(
      0,
    );
  });
});
