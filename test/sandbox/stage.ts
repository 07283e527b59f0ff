// A root file system of busybox, a runtime directory, and a way to run commands there as root or as the user.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../src/base/process.ts";
import { mayRead, people } from "../support/as-users.ts";
import { openTun } from "../support/tun.ts";
import type { Reply, Request } from "./run-one.ts";

/** Who runs Cooper. */
export type Runner = "root" | "user";

const person = people.find((one) => one.kind === "user")!;
/** Id of the unprivileged runner, and of the group. */
export const USER = person.uid;
export const RUN_ONE = join(import.meta.dir, "run-one.ts");

/** Whether this machine lets us test as such a user. */
export function canRunAs(runner: Runner): boolean {
  if (process.geteuid?.() !== 0) return false;
  return runner === "root" || mayRead(person, RUN_ONE);
}

export class Stage {
  readonly runner: Runner;
  readonly directory: string;
  readonly rootfs: string;
  readonly runtimeDir: string;
  #requests = 0;

  constructor(runner: Runner) {
    this.runner = runner;
    this.directory = mkdtempSync(join(tmpdir(), "cooper-sandbox-"));
    this.rootfs = join(this.directory, "root");
    this.runtimeDir = join(this.directory, "run");
    mkdirSync(join(this.rootfs, "bin"), { recursive: true });
    mkdirSync(this.runtimeDir);
    copyFileSync("/bin/busybox", join(this.rootfs, "bin/busybox"));
    for (const applet of Bun.spawnSync(["busybox", "--list"]).stdout.toString().trim().split("\n")) {
      if (applet !== "busybox") symlinkSync("busybox", join(this.rootfs, "bin", applet));
    }
    mkdirSync(join(this.rootfs, "tmp"));
    chmodSync(join(this.rootfs, "tmp"), 0o1777);
    this.own();
  }

  /** Gives everything on the stage to the runner. */
  own(): void {
    chmodSync(this.directory, 0o755);
    if (this.runner === "root") return;
    Bun.spawnSync(["chown", "-hR", `${USER}:${USER}`, this.directory]);
  }

  /** Makes a file on the stage, owned by the runner; returns its path. */
  file(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    if (this.runner === "user") lchownSync(path, USER, USER);
    return path;
  }

  /** Command line that runs a request as the runner. */
  command(request: Omit<Request, "rootfs" | "runtimeDir">): string[] {
    const { rootfs, runtimeDir } = this;
    const file = this.file(
      `request-${this.#requests++}.json`,
      JSON.stringify({ rootfs, runtimeDir, ...request }),
    );
    return [...this.#opening(), ...asRunner(this.runner), process.execPath, RUN_ONE, file];
  }

  /** Lets a user open /dev/net/tun, as most hosts do: by a node of this command's alone, which stands before the host's. */
  #opening(): string[] {
    if (this.runner === "root" || !existsSync("/dev/net/tun")) return [];
    const script = 'mount --bind "$0" /dev/net/tun && exec "$@"';
    return ["unshare", "--mount", "sh", "-c", script, openTun(this.directory)];
  }

  /** Runs a request to its end. */
  async run(request: Omit<Request, "rootfs" | "runtimeDir">): Promise<Reply> {
    const child = Bun.spawn(this.command(request), {
      env: environment(this.runner),
      stdout: "pipe",
      stderr: "pipe",
      stdin: "ignore",
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (out === "") throw new Error(`The runner failed: ${err}`);
    return JSON.parse(out) as Reply;
  }

  /** Names that the run left behind: in the runtime directory, and at the top of the root. */
  remains(): { runtime: string[]; root: string[] } {
    return { runtime: readdirSync(this.runtimeDir), root: readdirSync(this.rootfs).sort() };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Prefix of a command line that changes to the runner. */
export function asRunner(runner: Runner): string[] {
  return runner === "root"
    ? []
    : [findProgram("setpriv")!, "--reuid", String(USER), "--regid", String(USER), "--clear-groups", "--"];
}

/** Environment of the runner. */
export function environment(runner: Runner): Record<string, string> {
  const PATH = process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin";
  return runner === "root" ? { PATH, HOME: "/root" } : { PATH, HOME: "/home/the user", USER: "user" };
}
