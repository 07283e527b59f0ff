// Protects what a run may choose: namespaces, networks, limits, volumes and files of the image, in every isolation, or that it is refused.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Isolation, RunSpec } from "../../src/sandbox/types.ts";
import { processesRunning } from "../support/leftovers.ts";
import { canRunAs, Stage } from "./stage.ts";

// A run takes seconds on a crowded machine.
setDefaultTimeout(60_000);

const ISOLATIONS: Isolation[] = ["crun", "runc", "chroot"];
const ours = (kind: string) => readlinkSync(`/proc/self/ns/${kind}`);
const hasTun = existsSync("/dev/net/tun");
const isolated = (["root", "user"] as const).flatMap((runner) =>
  ISOLATIONS.map((isolation) => ({ runner, isolation })),
);

describe.each(isolated.filter(({ runner }) => canRunAs(runner)))(
  "$isolation as $runner",
  ({ isolation, runner }) => {
    let stage: Stage;
    beforeAll(() => {
      stage = new Stage(runner);
    });
    afterAll(() => stage.remove());
    const run = (script: string, spec: Partial<RunSpec>) =>
      stage.run({ isolation, spec: { argv: ["sh", "-c", script], ...spec } });
    const shown = "cd /proc/self/ns; for n in ipc pid uts cgroup; do readlink $n; done";

    test("namespaces of its own, but for those that are the host's", async () => {
      const own = await run(shown, { namespaces: { cgroup: "private" } });
      expect(own).toMatchObject({ exitCode: 0 });
      const names = own.stdout.trim().split("\n");
      for (const [index, kind] of ["ipc", "pid", "uts", "cgroup"].entries()) {
        expect(names[index]).toMatch(`${kind}:[`);
        expect(names[index]).not.toBe(ours(kind));
      }
      const all = { ipc: "host", pid: "host", uts: "host", cgroup: "host" } as const;
      const shared = await run(`${shown}; hostname; test -d /proc/1/task && echo proc`, { namespaces: all });
      expect(shared).toMatchObject({
        exitCode: 0,
        stdout: [...["ipc", "pid", "uts", "cgroup"].map(ours), hostname(), "proc", ""].join("\n"),
      });
    });

    test("a user namespace of its own, with as many ids as it is given, each what it is outside", async () => {
      const first = (count: number) => [{ inside: 0, outside: 0, count }];
      const ids = (count: number) => ({ uids: first(count), gids: first(count) });
      const script =
        "readlink /proc/self/ns/user; touch /tmp/f; chown 7:8 /tmp/f; stat -c %u:%g /tmp/f; chown 2000 /tmp/f";
      const reply = await run(script, { ids: ids(1000) });
      if (isolation === "chroot") {
        expect(reply.error).toMatchObject({
          code: "unsupported",
          message: expect.stringContaining("--isolation chroot"),
        });
        return;
      }
      expect(reply.exitCode).toBe(1);
      expect(reply.stdout).toMatch(/^user:\[\d+\]\n7:8\n$/);
      expect(reply.stdout).not.toContain(ours("user"));
      expect(reply.stderr).toContain("Invalid argument");
      const user = { uid: 7, gid: 7, additionalGids: [] };
      const all = await run("cat /proc/self/uid_map; id -u", { ids: "all", network: "none", user });
      expect(all).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/\n7\n$/) });
      const refused = [
        [{ ids: ids(5), user }, / user 7 is not among/],
        [{ ids: ids(2 ** 32) }, / user 4294967295 is not among| user 65\d\d\d is not among/],
      ] as const;
      for (const [spec, message] of refused)
        expect((await run("true", spec)).error).toMatchObject({
          code: "unsupported",
          message: expect.stringMatching(message),
        });
    });

    test("what a run in the host's PID namespace leaves running is ended with it", async () => {
      const sleep = `4${process.pid}${ISOLATIONS.indexOf(isolation)}${runner === "root" ? 0 : 1}`;
      const reply = await run(`(setsid sleep ${sleep} &); setsid sleep ${sleep} & sleep 0.2; exit 3`, {
        namespaces: { pid: "host" },
      });
      expect(reply).toMatchObject({ exitCode: 3 });
      expect(processesRunning(`sleep ${sleep}`)).toEqual([]);
      expect(stage.remains().runtime).toEqual([]);
    });

    test("somebody else's namespaces are joined, or refused by name", async () => {
      const other = Bun.spawn(["unshare", "--ipc", "--uts", "--net", "sleep", "60"]);
      try {
        for (let tries = 0; tries < 500 && readlink(`/proc/${other.pid}/ns/net`) === ours("net"); tries++)
          await Bun.sleep(10);
        const at = (kind: string) => `ns:/proc/${other.pid}/ns/${kind}` as const;
        const spec = { namespaces: { ipc: at("ipc"), uts: at("uts") }, network: at("net") };
        const wanted = ["ipc", "uts", "net"].map((kind) => readlinkSync(`/proc/${other.pid}/ns/${kind}`));
        const reply = await run("cd /proc/self/ns; readlink ipc; readlink uts; readlink net", spec);
        if (runner === "root") expect(reply).toMatchObject({ exitCode: 0, stdout: `${wanted.join("\n")}\n` });
        else
          expect(reply.error).toMatchObject({
            code: "unsupported",
            message: expect.stringContaining("namespace"),
          });
        expect((await run("true", { namespaces: { pid: at("pid") } })).error).toMatchObject({
          code: "unsupported",
        });
        expect((await run("true", { namespaces: { uts: "ns:/etc/passwd" } })).error).toMatchObject({
          code: "unsupported",
          message: expect.stringContaining("/etc/passwd"),
        });
      } finally {
        other.kill();
        await other.exited;
      }
    });

    test("files of the image in /etc stay", async () => {
      mkdirSync(join(stage.rootfs, "etc"), { recursive: true });
      for (const name of ["hosts", "hostname", "resolv.conf"])
        writeFileSync(join(stage.rootfs, "etc", name), `my ${name}\n`);
      const script = "cd /etc; cat hosts hostname resolv.conf";
      expect(await run(script, { imageFiles: ["hosts", "hostname", "resolv.conf"] })).toMatchObject({
        stdout: "my hosts\nmy hostname\nmy resolv.conf\n",
      });
      expect((await run(script, { imageFiles: ["hosts"] })).stdout).toMatch(/^my hosts\nbox\n/);
    });

    test("a volume under an overlay stays as it is; its upper directory may be kept", async () => {
      const source = directory(stage, "below");
      writeFileSync(join(source, "f"), "old\n");
      stage.own();
      const script = "cat /in/f; echo new >/in/f; echo more >/in/g; cat /in/f; stat -c %a /in";
      const reply = await run(script, { mounts: [{ type: "bind", source, target: "/in", overlay: {} }] });
      expect(reply).toMatchObject({ exitCode: 0, stdout: "old\nnew\n750\n" });
      expect([readdirSync(source), readFileSync(join(source, "f"), "utf8")]).toEqual([["f"], "old\n"]);
      expect(stage.remains().runtime).toEqual([]);
      const [upper, work] = [directory(stage, "upper"), directory(stage, "work")];
      stage.own();
      const kept = { type: "bind", source, target: "/in", overlay: { upper, work } } as const;
      expect(await run("echo kept >/in/k", { mounts: [kept] })).toMatchObject({ exitCode: 0 });
      expect(readFileSync(join(upper, "k"), "utf8")).toBe("kept\n");
      expect((await run("cat /in/k /in/f", { mounts: [kept] })).stdout).toBe("kept\nold\n");
    });

    test("a volume is given to the command's user, and may forbid programs", async () => {
      const source = directory(stage, "given");
      writeFileSync(join(source, "f"), "x\n");
      writeFileSync(join(source, "program"), "#!/bin/sh\necho ran\n", { mode: 0o755 });
      stage.own();
      const user = { uid: 7, gid: 8, additionalGids: [] };
      const given = { type: "bind", source, target: "/in", chown: true } as const;
      const reply = await run("stat -c %u:%g /in /in/f; echo mine >/in/f; /in/program", {
        user,
        mounts: [given],
      });
      expect(reply).toMatchObject({ exitCode: 0, stdout: "7:8\n7:8\nran\n" });
      expect(statSync(join(source, "f")).uid).not.toBe(0);
      const forbidden = await run("/in/program", { mounts: [{ ...given, forbids: ["noexec"] }] });
      expect(forbidden).toMatchObject({ exitCode: 126, stdout: "" });
      const system = { type: "bind", source: "/etc", target: "/in", chown: true } as const;
      expect((await run("true", { mounts: [system] })).error).toMatchObject({ code: "denied" });
    });

    test("memory and processors are limited, or that is refused", async () => {
      const limits = { memory: 32 << 20, cpuQuota: 50_000, cpuShares: 300, cpusetCpus: "0" };
      const reply = await run("nproc; head -c 100m /dev/zero | tail | wc -c; echo over", { limits });
      if (runner === "root") expect(reply.stdout).toBe("1\n0\nover\n");
      else
        expect(reply.error).toMatchObject({
          code: "unsupported",
          message: expect.stringMatching(/^Cannot limit the command's memory and processor time: no cgroup/),
        });
      expect(stage.remains().runtime).toEqual([]);
    });

    test.skipIf(!hasTun)(
      "private networks reach nothing that listens on the host's loopback",
      async () => {
        using server = Bun.listen({
          hostname: "127.0.0.1",
          port: 0,
          socket: { data() {}, open: (one) => void one.write("seen") },
        });
        const ask = (address: string) => `echo | timeout 2 nc -w 1 ${address} ${server.port}`;
        expect((await run(ask("127.0.0.1"), {})).stdout).toBe("seen");
        const script = `for a in 127.0.0.1 $(awk '/^nameserver/ {print $2}' /etc/resolv.conf) \\
        $(ip route | awk '/^default/ {print $3}'); do echo | timeout 2 nc -w 1 $a ${server.port}; done; ip route | grep -c default`;
        for (const network of ["pasta", "slirp4netns"] as const) {
          if (Bun.which(network) === null) continue;
          expect(await run(script, { network })).toMatchObject({ stdout: "1\n" });
        }
        // The same way where it is asked for, so that the above can fail.
        if (Bun.which("slirp4netns") !== null) {
          const open: Partial<RunSpec> = {
            network: "slirp4netns:allow_host_loopback=true",
            addHosts: ["outside:host-gateway"],
          };
          expect((await run(ask("outside"), open)).stdout).toBe("seen");
        }
        const unreachable = await run("true", { network: "none", addHosts: ["outside:host-gateway"] });
        expect(unreachable.error).toMatchObject({
          code: "unsupported",
          message: expect.stringContaining("outside"),
        });
        expect(stage.remains().runtime).toEqual([]);
      },
      30_000,
    );
  },
);

function directory(stage: Stage, name: string): string {
  const path = join(stage.directory, name);
  mkdirSync(path, { mode: 0o750 });
  return path;
}

function readlink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
