/** A real Docker engine with a place of its own: no network, no images, gone with the test. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mountPointsBelow } from "./leftovers.ts";

export interface TestEngine extends AsyncDisposable {
  /** As DOCKER_HOST takes it. */
  host: string;
  socket: string;
  /** The same engine over TCP. */
  tcp: string;
}

/** Starts Debian's dockerd (which brings its own containerd); needs root. */
export async function startDockerEngine(
  port: number,
  // vfs: leaves no mount behind, but copies the whole image for each container.
  driver: "vfs" | "overlay2" = "vfs",
): Promise<TestEngine> {
  const dir = mkdtempSync("/var/tmp/cooper-dockerd-");
  const socket = join(dir, "docker.sock");
  const tcp = `tcp://127.0.0.1:${port}`;
  writeFileSync(join(dir, "daemon.json"), "{}");
  const child = spawn(
    "dockerd",
    [
      ...[`--storage-driver=${driver}`, "--bridge=none", "--iptables=false", "--ip6tables=false"],
      ...[`--data-root=${dir}/data`, `--exec-root=${dir}/run`, `--pidfile=${dir}/pid`],
      ...[`--config-file=${dir}/daemon.json`, `--host=unix://${socket}`, `--host=${tcp}`, "--tls=false"],
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk).slice(-4000);
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const stop = async () => {
    // It ends its containerd, which SIGKILL would leave behind.
    child.kill("SIGTERM");
    await ended;
    // Of containers with the host's network, which it leaves mounted.
    for (const point of mountPointsBelow(dir)) spawnSync("umount", ["--lazy", point]);
    rmSync(dir, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    if (await isUp(socket)) break;
    if (child.exitCode !== null || tries > 600) {
      await stop();
      throw new Error(`dockerd did not start: ${said}`);
    }
    await Bun.sleep(50);
  }
  return { host: `unix://${socket}`, socket, tcp, [Symbol.asyncDispose]: stop };
}

async function isUp(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return false;
  return await fetch("http://docker/_ping", { unix: socket }).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** Sets environment variables of this process; what is given back restores them. */
export function withEnvironment(variables: Record<string, string>): Disposable {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  return {
    [Symbol.dispose]() {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}
