// What every isolation owes to a command, for crun, runc and chroot alike, as root and as an ordinary user.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Isolation, RunSpec } from "../../src/sandbox/types.ts";
import { canRunAs, environment, type Runner, Stage } from "./stage.ts";

interface Case {
  name: string;
  /** A shell script, or words. */
  run: string | string[];
  spec?: Partial<RunSpec>;
  stdin?: string;
  exitCode?: number;
  stdout?: string | RegExp;
  stderr?: string | RegExp;
}

const DOCKER_CAPABILITIES = "00000000a80425fb";

const CASES: Case[] = [
  { name: "status 0", run: ["true"], exitCode: 0 },
  { name: "status 1", run: ["false"], exitCode: 1 },
  { name: "status 42", run: "exit 42", exitCode: 42 },
  {
    name: "a program that is not there: 127",
    run: ["no-such-program"],
    exitCode: 127,
    stderr: /no-such-program/,
  },
  { name: "a path that is not there: 127", run: ["/no/such/program"], exitCode: 127, stderr: /such/ },
  { name: "a file that is no program: 126", run: ["/plain"], exitCode: 126, stderr: /./ },
  { name: "killed by a signal: 128 + number", run: "busybox sh -c 'kill -9 $$'; exit $?", exitCode: 137 },
  { name: "stdout and stderr apart", run: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n" },
  { name: "stdin", run: ["cat"], stdin: "through", stdout: "through" },
  { name: "no stdin is an empty one", run: ["cat"], stdout: "" },
  {
    name: "environment is exactly the spec's",
    run: ["env"],
    spec: { env: ["PATH=/bin", "A=b c", "E="] },
    stdout: /^(PATH=\/bin\nA=b c\nE=\n)(HOME=\/?\w*\n)?$/,
  },
  { name: "working directory", run: ["pwd"], spec: { cwd: "/tmp" }, stdout: "/tmp\n" },
  {
    name: "user and groups",
    run: ["id"],
    spec: { user: { uid: 7, gid: 8, additionalGids: [9, 10] } },
    stdout: /^uid=7 gid=8 groups=(8,)?9,10/,
  },
  { name: "root", run: "id -u; id -g", stdout: "0\n0\n" },
  { name: "hostname", run: "hostname; cat /etc/hostname", stdout: "box\nbox\n" },
  {
    name: "hosts",
    run: ["cat", "/etc/hosts"],
    spec: { addHosts: ["db:10.1.2.3"] },
    stdout: /^127\.0\.0\.1\tlocalhost\n[\s\S]*10\.1\.2\.3\tdb\n[\s\S]*\tbox\n/,
  },
  {
    name: "resolv.conf with servers of its own",
    run: ["cat", "/etc/resolv.conf"],
    spec: { dns: { servers: ["9.9.9.9"], search: ["example.org"], options: ["ndots:2"] } },
    stdout: "search example.org\nnameserver 9.9.9.9\noptions ndots:2\n",
  },
  { name: "it is process 1 of its own", run: "echo $$; ls /proc | grep -c '^[0-9]'", stdout: /^1\n[23]\n$/ },
  {
    name: "/dev has the usual nodes",
    run: "cd /dev; for f in null zero full random urandom tty; do test -c $f || echo $f; done; head -c 3 zero | wc -c; echo gone >null; ls -l fd stdin stdout stderr | wc -l",
    stdout: "3\n4\n",
  },
  {
    name: "/dev nodes are open to all",
    run: "echo x >/dev/null; head -c1 /dev/urandom | wc -c",
    spec: { user: { uid: 7, gid: 8, additionalGids: [] } },
    stdout: "1\n",
    exitCode: 0,
  },
  {
    name: "/dev/shm has its size",
    run: "df -k /dev/shm | tail -1 | awk '{print $2}'",
    spec: { shmSize: 3 << 20 },
    stdout: "3072\n",
  },
  { name: "/dev/pts gives terminals", run: "test -c /dev/ptmx && test -d /dev/pts", exitCode: 0 },
  {
    name: "/sys is there and read-only",
    run: "ls /sys | grep -c kernel; mkdir /sys/x 2>/dev/null || echo refused",
    stdout: "1\nrefused\n",
  },
  {
    name: "/proc/sys is read-only",
    run: "echo 1 2>/dev/null >/proc/sys/kernel/core_uses_pid || echo refused",
    stdout: "refused\n",
  },
  {
    name: "/proc/kcore and friends are hidden",
    run: "cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l",
    stdout: "0\n0\n",
  },
  {
    name: "other paths are hidden, and none of the usual ones",
    run: "wc -c < /proc/version; wc -c < /plain; ls /sys/firmware | wc -l; test -w /proc/sys/kernel/hostname && echo open",
    spec: { kernelPaths: { masked: ["/proc/version", "/plain"], readonly: [] } },
    stdout: /^0\n0\n[1-9]\d*\nopen\n$/,
  },
  {
    name: "capabilities of root are Docker's",
    run: "grep -E 'CapBnd|CapEff|CapPrm' /proc/self/status",
    stdout: new RegExp(`^(Cap...:\t${DOCKER_CAPABILITIES}\n){3}$`),
  },
  {
    name: "another user has none, but the bounding set stays",
    run: "grep -E 'CapPrm|CapEff|CapBnd|CapAmb' /proc/self/status",
    spec: { user: { uid: 7, gid: 7, additionalGids: [] } },
    stdout: `CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t${DOCKER_CAPABILITIES}\nCapAmb:\t0000000000000000\n`,
  },
  {
    name: "a smaller set",
    run: "grep CapBnd /proc/self/status",
    spec: { capabilities: ["CAP_CHOWN"] },
    stdout: "CapBnd:\t0000000000000001\n",
  },
  { name: "a filter is loaded", run: "grep Seccomp: /proc/self/status", stdout: "Seccomp:\t2\n" },
  {
    name: "the filter refuses namespaces and mounts",
    run: "unshare -m true; mount -t tmpfs t /tmp",
    stderr: /Operation not permitted[\s\S]*(Operation not permitted|permission denied)/i,
    exitCode: 1,
  },
  {
    name: "unconfined has no filter",
    run: "grep Seccomp: /proc/self/status",
    spec: { seccomp: "unconfined" },
    stdout: "Seccomp:\t0\n",
  },
  {
    name: "no_new_privs",
    run: "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status",
    spec: { noNewPrivileges: true },
    stdout: "NoNewPrivs:\t1\nSeccomp:\t2\n",
  },
  {
    name: "a limit",
    run: "ulimit -n; ulimit -Hn",
    spec: { rlimits: [{ name: "RLIMIT_NOFILE", soft: 100, hard: 200 }] },
    stdout: "100\n200\n",
  },
  {
    name: "a limit above the host's is clamped",
    run: "ulimit -Hn",
    spec: { rlimits: [{ name: "RLIMIT_NOFILE", soft: 1e9, hard: 1e9 }] },
    stdout: /^\d+\n$/,
    exitCode: 0,
  },
  {
    name: "an unlimited limit",
    run: "ulimit -c",
    spec: { rlimits: [{ name: "RLIMIT_CORE", soft: -1, hard: -1 }] },
    stdout: "unlimited\n",
  },
  {
    name: "tmpfs",
    run: "touch /scratch/f; df -k /scratch | tail -1 | awk '{print $2}'; stat -c %a /scratch",
    spec: { mounts: [{ type: "tmpfs", target: "/scratch", size: 1 << 20, mode: 0o700 }] },
    stdout: "1024\n700\n",
  },
  {
    name: "no network",
    run: "grep -c : /proc/net/dev; ping -c1 -w2 127.0.0.1 >/dev/null && echo lo up",
    spec: { network: "none" },
    stdout: "1\nlo up\n",
  },
  {
    name: "no signal is ignored or blocked",
    run: ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"],
    stdout: "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
  },
  { name: "umask", run: ["sh", "-c", "umask"], stdout: "0022\n" },
  {
    name: "a device node",
    run: "test -c /dev/kmsg",
    spec: { devices: ["/dev/kmsg"] },
    exitCode: 0,
  },
];

/** Runs the suite for one isolation. */
export function sandboxSuite(isolation: Isolation): void {
  for (const runner of ["root", "user"] as const) {
    describe.skipIf(!canRunAs(runner))(`${isolation} as ${runner}`, () => {
      let stage: Stage;
      beforeAll(() => {
        stage = new Stage(runner);
        writeFileSync(join(stage.rootfs, "plain"), "not a program\n");
        stage.own();
      });
      afterAll(() => stage.remove());

      test.each(CASES)("$name", async ({ run, spec, stdin, exitCode, stdout, stderr }) => {
        const argv = typeof run === "string" ? ["sh", "-c", run] : run;
        const reply = await stage.run({
          isolation,
          spec: { argv, ...spec },
          ...(stdin === undefined ? {} : { stdin }),
        });
        expect(reply.error).toBeUndefined();
        if (stdout !== undefined) expect(reply.stdout).toEqual(matching(stdout));
        if (stderr !== undefined) expect(reply.stderr).toEqual(matching(stderr));
        expect(reply.exitCode).toBe(exitCode ?? 0);
      });
      behaviour(isolation, runner, () => stage);
      lifetime(isolation, runner, () => stage);
    });
  }
}

const matching = (wanted: string | RegExp): string =>
  typeof wanted === "string" ? wanted : expect.stringMatching(wanted);

function behaviour(isolation: Isolation, runner: Runner, stage: () => Stage): void {
  test("a read-only bind mount can be read and not written, a writable one is written", async () => {
    const source = join(stage().directory, "bound");
    mkdirSync(source);
    writeFileSync(join(source, "f"), "hello");
    const writable = stage().file("one-file", "old");
    stage().own();
    const reply = await stage().run({
      isolation,
      spec: {
        argv: ["sh", "-c", "cat /in/f; echo x >/in/g; echo new >/file"],
        mounts: [
          { type: "bind", source, target: "/in", readOnly: true },
          { type: "bind", source: writable, target: "/file" },
        ],
      },
    });
    expect(reply).toMatchObject({
      exitCode: 0,
      stdout: "hello",
      stderr: expect.stringContaining("Read-only file system"),
    });
    expect(readdirSync(source)).toEqual(["f"]);
    expect(readFileSync(writable, "utf8")).toBe("new\n");
  });

  test("mount points that the root lacked are gone afterwards, and its time is as before; /proc, /sys, /dev stay", async () => {
    const { rootfs } = stage();
    for (const name of ["proc", "sys", "dev"]) mkdirSync(join(rootfs, name), { recursive: true });
    utimesSync(rootfs, 1000, 1000);
    const reply = await stage().run({
      isolation,
      spec: {
        argv: ["ls", "/"],
        mounts: [
          { type: "tmpfs", target: "/a/b/c" },
          { type: "tmpfs", target: "/dev/deep/er" },
        ],
      },
    });
    expect(reply).toMatchObject({ exitCode: 0, stdout: "a\nbin\ndev\netc\nplain\nproc\nsys\ntmp\n" });
    expect(stage().remains()).toEqual({ root: ["bin", "dev", "plain", "proc", "sys", "tmp"], runtime: [] });
    expect(lstatSync(rootfs).mtimeMs).toBe(1000_000);
  });

  test("/proc, /sys and /dev stay where the root lacked them, as empty directories", async () => {
    for (const name of ["proc", "sys", "dev"])
      rmSync(join(stage().rootfs, name), { recursive: true, force: true });
    await stage().run({ isolation, spec: { argv: ["true"] } });
    expect(stage().remains().root).toEqual(["bin", "dev", "plain", "proc", "sys", "tmp"]);
    for (const name of ["proc", "sys", "dev"]) {
      expect(readdirSync(join(stage().rootfs, name))).toEqual([]);
      expect(lstatSync(join(stage().rootfs, name)).mode & 0o7777).toBe(0o755);
    }
  });

  test("what the command itself makes stays", async () => {
    await stage().run({
      isolation,
      spec: { argv: ["sh", "-c", "echo kept >/tmp/kept; echo lost >/etc/resolv.conf"] },
    });
    expect(readFileSync(join(stage().rootfs, "tmp/kept"), "utf8")).toBe("kept\n");
    expect(existsSync(join(stage().rootfs, "etc"))).toBe(false);
  });

  test("a seccomp profile of the user's", async () => {
    const profile = stage().file(
      "profile.json",
      JSON.stringify({
        defaultAction: "SCMP_ACT_ALLOW",
        archMap: [
          { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] },
          { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
        ],
        syscalls: [
          {
            names: ["mkdir", "mkdirat"],
            action: "SCMP_ACT_ERRNO",
            errnoRet: 95,
            excludes: { caps: ["CAP_SYS_ADMIN"] },
          },
          {
            names: ["symlink", "symlinkat"],
            action: "SCMP_ACT_ERRNO",
            includes: { caps: ["CAP_SYS_ADMIN"] },
          },
        ],
      }),
    );
    const reply = await stage().run({
      isolation,
      spec: { argv: ["sh", "-c", "ln -s x /tmp/link && rm /tmp/link && mkdir /tmp/d"], seccomp: { profile } },
    });
    expect(reply).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/not supported/) });
  });

  // For the user the same program makes the user namespace around it all.
  test.skipIf(runner === "user")(
    "a host that refuses the namespaces is told from a failing command",
    async () => {
      // An unshare that always fails stands for it.
      const command = stage().command({ isolation, spec: { argv: ["true"] } });
      const masked = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount --bind /bin/false "$(command -v unshare)"; exec "$@"',
        "sh",
      ];
      const { stdout } = Bun.spawnSync([...masked, ...command], { env: environment(runner) });
      expect(JSON.parse(stdout.toString())).toMatchObject({
        error: { code: "unsupported", message: expect.stringContaining("namespaces") },
      });
    },
  );

  test("several at once", async () => {
    // In one root: the first to end takes mount points away that the last must have mounted on by then.
    const script =
      'mktemp /tmp/up.XXXXXX >&2; until test "$(ls /tmp/up.* | wc -l)" = 4; do sleep 0.1; done; echo done';
    const reply = await stage().run({ isolation, copies: 4, spec: { argv: ["sh", "-c", script] } });
    expect(reply).toMatchObject({ exitCode: 0, stdout: "done\n".repeat(4) });
    expect(stage().remains().runtime).toEqual([]);
  });

  test("a working directory that is not there is refused", async () => {
    const reply = await stage().run({ isolation, spec: { argv: ["pwd"], cwd: "/tmp/../plain" } });
    expect(reply.exitCode === 0 || reply.stdout !== "").toBe(false);
  });

  test("a private network has an interface and a route of its own, or is refused with the reason", async () => {
    const script = "grep -c eth /proc/net/dev; grep -c 00000000 /proc/net/route; cat /etc/resolv.conf";
    const reply = await stage().run({ isolation, spec: { argv: ["sh", "-c", script], network: "private" } });
    if (!existsSync("/dev/net/tun")) {
      expect(reply.error).toMatchObject({
        code: "unsupported",
        message: expect.stringContaining("/dev/net/tun"),
      });
    } else {
      expect(reply).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^[1-9]\n[1-9]\nnameserver (?!127\.)/),
      });
    }
    expect(stage().remains().runtime).toEqual([]);
  });

  test("a terminal", async () => {
    const command = stage().command({
      isolation,
      inherit: true,
      spec: { argv: ["sh", "-c", "test -t 0 && test -t 1 && stty size && exit 7"], terminal: true },
    });
    const quoted = command.map((word) => `'${word}'`).join(" ");
    const child = Bun.spawn(["script", "-qec", `stty rows 33 cols 101; ${quoted}`, "/dev/null"], {
      env: environment(runner),
      stdin: "pipe",
      stdout: "pipe",
    });
    const out = await child.stdout.text();
    expect(out).toContain("33 101");
    expect(await child.exited).toBe(7);
  });
}

/** Names a sleep so that its process can be found from outside. */
const mark = () => `3${Math.floor(Math.random() * 1e8)}`;

function sleeping(marker: string): number {
  return readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith(`sleep\0${marker}`)
      );
    } catch {
      return false;
    }
  }).length;
}

const until = async (condition: () => boolean): Promise<boolean> => {
  for (let tries = 0; tries < 300 && !condition(); tries++) await Bun.sleep(10);
  return condition();
};

function lifetime(isolation: Isolation, runner: Runner, stage: () => Stage): void {
  const spawnSleepers = (marker: string) =>
    `(setsid sleep ${marker} &) ; setsid sh -c 'sleep ${marker} & sleep ${marker}' >/dev/null 2>&1 & sleep 0.1; echo up`;

  test("the soft limit of open files is the one that Cooper was started with", async () => {
    const argv = stage().command({ isolation, spec: { argv: ["sh", "-c", "ulimit -Sn; ulimit -Hn"] } });
    const hard = Bun.spawnSync(["sh", "-c", "ulimit -Hn"]).stdout.toString().trim();
    // The shell stays as the parent.
    const ended = Bun.spawnSync(["sh", "-c", 'ulimit -Sn 777; "$@"; true', "sh", ...argv], {
      env: environment(runner),
    });
    expect((JSON.parse(ended.stdout.toString()) as { stdout: string }).stdout).toBe(`777\n${hard}\n`);
  });

  test("background processes end with the command", async () => {
    const marker = mark();
    const reply = await stage().run({ isolation, spec: { argv: ["sh", "-c", spawnSleepers(marker)] } });
    expect(reply).toMatchObject({ exitCode: 0, stdout: "up\n" });
    expect(sleeping(marker)).toBe(0);
  });

  test("aborting ends every process, and says so", async () => {
    const marker = mark();
    const script = `${spawnSleepers(marker)}; sleep ${marker}`;
    const reply = await stage().run({ isolation, abortOn: "up", spec: { argv: ["sh", "-c", script] } });
    expect(reply.error?.code).toBe("cancelled");
    // Nothing of the tools that hold the namespaces.
    expect(reply.stderr).toBe("");
    expect(sleeping(marker)).toBe(0);
    expect(stage().remains().runtime).toEqual([]);
  });

  test("kill -9 of Cooper leaves no process, no mount and no state for long", async () => {
    const marker = mark();
    const argv = ["sh", "-c", `${spawnSleepers(marker)}; sleep ${marker}`];
    const child = Bun.spawn(stage().command({ isolation, spec: { argv } }), {
      env: environment(runner),
      stdout: "ignore",
      stderr: "ignore",
    });
    expect(await until(() => sleeping(marker) === 4)).toBe(true);
    child.kill("SIGKILL");
    await child.exited;
    expect(await until(() => sleeping(marker) === 0)).toBe(true);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(stage().directory);
    expect(stage().remains().runtime).toHaveLength(1);
    // The next run takes the dead one's state away.
    await stage().run({ isolation, spec: { argv: ["true"] } });
    expect(stage().remains().runtime).toEqual([]);
  });
}
