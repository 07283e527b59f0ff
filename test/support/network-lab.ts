/** Two machines on one cable, as network namespaces: a host to run commands on, and a world of servers behind it. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../src/base/process.ts";
import { openTun } from "./tun.ts";

/** The world's addresses; `here.lab` is the name of both. */
export const WORLD = { v4: "10.88.0.2", v6: "fd88::2" };

const CABLE = `
  ip link set lo up
  ip addr add 10.88.0.1/24 dev cable && ip addr add fd88::1/64 dev cable nodad && ip link set cable up`;
const WORLD_CABLE = CABLE.replace("10.88.0.1", WORLD.v4).replace("fd88::1", WORLD.v6);
const ROUTES = `ip route add default via ${WORLD.v4} && ip -6 route add default via ${WORLD.v6}`;

/** Why there is none here; undefined where there is. */
export function labObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const missing = ["ip", "unshare", "nsenter", "pasta"].find((name) => findProgram(name) === undefined);
  if (missing !== undefined) return `needs ${missing}`;
  if (!existsSync("/dev/net/tun")) return "needs /dev/net/tun";
  const made = Bun.spawnSync(["unshare", "--net", ..."ip link add one type veth peer name two".split(" ")]);
  return made.exitCode === 0 ? undefined : "needs network namespaces with veth";
}

export class NetworkLab implements Disposable {
  readonly #directory = mkdtempSync("/var/tmp/cooper-lab-");
  readonly #started: Bun.Subprocess[] = [];
  readonly #host: number;
  readonly #world: number;

  constructor() {
    this.#host = this.#hold("--net", "--mount");
    this.#world = this.#hold("--net");
    const tun = openTun(this.#directory);
    this.host(
      `ip link add cable type veth peer name cable netns ${this.#world}; mount --bind ${tun} /dev/net/tun`,
    );
    this.host(`${CABLE} && ${ROUTES}`);
    must([...this.#in(this.#world, "--net"), "sh", "-euc", WORLD_CABLE]);
    this.resolveWith(WORLD.v4);
    this.#serve(this.#world, "--net", { http: [["::", 8080]], dns: [WORLD.v4] });
    this.#serve(this.#host, "--net", {
      http: [
        ["127.0.0.1", 3128],
        ["127.0.0.1", 3129],
      ],
      dns: ["127.0.0.53"],
    });
    // The cable takes a moment, and Debian 12's pasta hangs where a first connection fails.
    for (const address of [WORLD.v4, WORLD.v6])
      this.host(`until timeout 1 bash -c '</dev/tcp/${address}/8080'; do sleep 0.1; done`);
  }

  /** What to put before a command line that is to run on the host. */
  get onHost(): string[] {
    return this.#in(this.#host, "--net", "--mount");
  }

  /** Runs a shell script on the host. */
  host(script: string): void {
    must([...this.onHost, "sh", "-euc", script]);
  }

  /** Names the host's server in its /etc/resolv.conf. */
  resolveWith(server: string): void {
    const file = join(this.#directory, `resolv-${server}`);
    writeFileSync(file, `nameserver ${server}\n`);
    this.host(`mount --bind ${file} /etc/resolv.conf; mount -t tmpfs none /run/systemd 2>/dev/null || true`);
  }

  /** A process that only holds namespaces. */
  #hold(...kinds: string[]): number {
    const holder = Bun.spawn(["unshare", ...kinds, "--", "sh", "-c", "echo; exec sleep infinity"], {
      stdout: "pipe",
    });
    this.#started.push(holder);
    // It has said so only from inside.
    while (
      Bun.spawnSync([
        "sh",
        "-c",
        `test $(readlink /proc/${holder.pid}/ns/net) != $(readlink /proc/self/ns/net)`,
      ]).exitCode !== 0
    )
      Bun.sleepSync(5);
    return holder.pid;
  }

  #in(pid: number, ...kinds: string[]): string[] {
    return ["nsenter", `--target=${pid}`, ...kinds, "--"];
  }

  #serve(pid: number, kind: string, servers: object): void {
    const ready = join(this.#directory, `ready-${pid}`);
    const script = join(import.meta.dir, "network-servers.ts");
    const argv = [process.execPath, script, JSON.stringify(servers), ready];
    this.#started.push(
      Bun.spawn([...this.#in(pid, kind), ...argv], { stdout: "inherit", stderr: "inherit" }),
    );
    while (Bun.spawnSync(["test", "-e", ready]).exitCode !== 0) Bun.sleepSync(10);
  }

  [Symbol.dispose](): void {
    for (const one of this.#started) one.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function must(argv: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(argv);
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
}
