/** An ordinary container of Podman's, with its default flags, in which Cooper runs from this tree. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { debianBase } from "./bases.ts";

const repository = resolve(import.meta.dir, "../..");

export interface OuterResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Whether this machine can run one. */
export const hasPodman =
  process.geteuid?.() === 0 && Bun.which("podman") !== null && Bun.which("runc") !== null;

/** Podman's store for a test, with an image of Debian; `using` removes it. */
export class OuterContainers implements Disposable {
  /** Bound into every container under the same path. */
  readonly shared = mkdtempSync("/var/tmp/cooper-outer-");
  readonly #store = mkdtempSync("/var/tmp/cooper-podman-");

  constructor() {
    // Cooper honours such a file too, and is not given it. `podman system reset` deletes tmp_dir, which all would share.
    writeFileSync(
      join(this.#store, "containers.conf"),
      `[engine]\nruntime = "runc"\ntmp_dir = "${this.#store}/libpod"\n[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n`,
    );
    const { exitCode, stderr } = this.#podman(["import", debianBase(), "localhost/outer"]);
    if (exitCode !== 0) throw new Error(stderr);
  }

  /** Runs a script in a new container; `cooper` is on its PATH. */
  run(script: string, flags: string[] = []): OuterResult {
    const volumes = [repository, realpathSync(join(repository, "node_modules"))].flatMap((path) => [
      "-v",
      `${path}:${path}:ro`,
    ]);
    const shared = [
      "-v",
      `${this.shared}:${this.shared}`,
      "-e",
      `PATH=${repository}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    ];
    const name = ["--network", "host", "localhost/outer"];
    return this.#podman(["run", "--rm", ...volumes, ...shared, ...flags, ...name, "sh", "-euc", script]);
  }

  /** The same, which must succeed; returns its output without the last line's end. */
  ok(script: string, flags: string[] = []): string {
    const { exitCode, stdout, stderr } = this.run(script, flags);
    if (exitCode !== 0) throw new Error(`${script}\nexited with ${exitCode}\n${stdout}\n${stderr}`);
    return stdout.replace(/\n$/, "");
  }

  /** Flags for a container that may make no namespaces, as Docker's have it and Podman's do not. */
  withoutNamespaces(): string[] {
    const profile = join(this.shared, "no-namespaces.json");
    const names = ["unshare", "setns", "mount", "umount2", "pivot_root"];
    const syscalls = [{ names, action: "SCMP_ACT_ERRNO", errnoRet: 1 }];
    writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls }));
    return ["--security-opt", `seccomp=${profile}`];
  }

  #podman(args: string[]): OuterResult {
    const store = ["--root", join(this.#store, "root"), "--runroot", join(this.#store, "run")];
    const env = { ...process.env, CONTAINERS_CONF: join(this.#store, "containers.conf") };
    const { status, stdout, stderr } = spawnSync("podman", [...store, ...args], { encoding: "utf8", env });
    return { exitCode: status ?? -1, stdout, stderr };
  }

  [Symbol.dispose](): void {
    this.#podman(["system", "reset", "--force"]);
    for (const path of [this.#store, this.shared]) rmSync(path, { recursive: true, force: true });
  }
}
