/** The places where Cooper has to build: root and users of this machine, and of ordinary containers. Needs root. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { compile } from "../../scripts/build.ts";
import { becoming, people } from "./as-users.ts";
import { startDockerEngine, type TestEngine } from "./docker-engine.ts";
import { mountPointsBelow } from "./leftovers.ts";
import { OneIdUser } from "./one-id-user.ts";
import { freePort } from "../transport/registry-server.ts";

const repository = resolve(import.meta.dir, "../..");

export type PlaceName =
  | "root"
  | "user with ids"
  | "user with one id"
  | "podman: root"
  | "podman: user"
  | "docker: root"
  | "docker: user";

export const PLACES: PlaceName[] = [
  "root",
  "user with ids",
  "user with one id",
  "podman: root",
  "podman: user",
  "docker: root",
  "docker: user",
];

export interface Ran {
  exitCode: number;
  output: string;
}

/** Runs a shell script somewhere; `cooper` is on its PATH, HOME a directory of its own. */
export type Place = (script: string, flags?: string[]) => Ran;

/**
 * Opens places that share `shared`, a directory that everybody may write to, under the same path. Containers get the
 * engines' default flags, and the host's network, which is all that a test's engine has.
 */
export class BuildPlaces implements AsyncDisposable {
  readonly shared = mkdtempSync("/var/tmp/cooper-places-");
  readonly #own = mkdtempSync("/var/tmp/cooper-places-own-");
  #oneId: OneIdUser | undefined;
  #docker: TestEngine | undefined;
  #podman = false;
  #homes = 0;

  constructor() {
    for (const name of ["bin", "home"]) mkdirSync(join(this.shared, name));
    for (const name of ["", "home"]) chmodSync(join(this.shared, name), 0o1777);
    chmodSync(this.#own, 0o700);
    // Debian's podman and buildah ask for more open files than a container host may allow.
    writeFileSync(
      join(this.shared, "containers.conf"),
      // `podman system reset` deletes tmp_dir, which all would share.
      `[engine]\nruntime = "runc"\ntmp_dir = "${this.#own}/libpod"\n[containers]\nnetns = "host"\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n`,
    );
  }

  /** Puts the program there: COOPER_BIN, dist/cooper, or what is compiled now. */
  async addProgram(): Promise<void> {
    const program = join(this.shared, "bin/cooper");
    const built = process.env.COOPER_BIN ?? join(repository, "dist/cooper");
    if (existsSync(built)) copyFileSync(built, program);
    else await compile(program);
    chmodSync(program, 0o755);
  }

  /** Gives Podman the image for the outer containers, from a docker-archive that names it `image`. */
  startPodman(archive: string, image: string): void {
    this.#image = image;
    must(this.#podmanCall(["load", "-q", "-i", archive]), "podman load");
    this.#podman = true;
  }

  /** The same for Podman and Docker, whose engine is started. */
  async startEngines(archive: string, image: string): Promise<void> {
    this.startPodman(archive, image);
    this.#docker = await startDockerEngine(await freePort(), "overlay2");
    must(call(["docker", "-H", this.#docker.host, "load", "-q", "-i", archive]), "docker load");
  }
  #image = "";

  open(name: PlaceName): Place {
    switch (name) {
      case "root":
        return (script) => this.#onHost([], script);
      case "user with ids":
        return (script) => this.#onHost(becoming(people.find(({ kind }) => kind === "user")!), script);
      case "user with one id":
        this.#oneId ??= new OneIdUser();
        return (script) => this.#onHost(becoming(this.#oneId!.person), script);
      case "podman: root":
        return (script, flags = []) => this.#podmanCall(this.#container(flags, script));
      case "podman: user":
        return (script, flags = []) => this.#podmanCall(this.#container([...USER, ...flags], script));
      case "docker: root":
        return (script, flags = []) => this.#dockerCall(this.#container(flags, script));
      case "docker: user":
        return (script, flags = []) => this.#dockerCall(this.#container([...USER, ...flags], script));
    }
  }

  /** What `docker run` and `podman run` get. */
  #container(flags: string[], script: string): string[] {
    const path = `PATH=${this.shared}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
    const volume = ["-v", `${this.shared}:${this.shared}`];
    return [
      ...["run", "--rm", "--network=host", ...volume, "-e", path, ...flags, this.#image],
      ...["sh", "-euc", script],
    ];
  }

  #onHost(become: string[], script: string): Ran {
    const home = join(this.shared, "home", String(this.#homes++));
    const made = `umask 022; mkdir -p '${home}/run'; export HOME='${home}' XDG_RUNTIME_DIR='${home}/run'
      export COOPER_ROOT='${home}/store' COOPER_RUNROOT='${home}/run/cooper'\ncd '${home}'\n`;
    const argv = [...become, "sh", "-euc", made + script];
    return call(argv, { PATH: `${this.shared}/bin:/usr/sbin:/usr/bin:/sbin:/bin`, TMPDIR: "/var/tmp" });
  }

  #dockerCall(args: string[]): Ran {
    if (this.#docker === undefined) throw new Error("The Docker engine was not started");
    return call(["docker", "-H", this.#docker.host, ...args]);
  }

  #podmanCall(args: string[]): Ran {
    const store = ["--root", join(this.#own, "podman"), "--runroot", join(this.#own, "podman-run")];
    // Cooper honours such a file too, and is not given it.
    return call(["podman", ...store, ...args], { CONTAINERS_CONF: join(this.shared, "containers.conf") });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#docker?.[Symbol.asyncDispose]();
    if (this.#podman) this.#podmanCall(["system", "reset", "--force"]);
    this.#oneId?.[Symbol.dispose]();
    for (const directory of [this.#own, this.shared]) {
      for (const point of mountPointsBelow(directory)) spawnSync("umount", ["--lazy", point]);
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

// As `runAsUser` and `USER` have it; the number, since an image need not have a name for it.
const USER = ["--user", "1000:1000", "-e", "HOME=/tmp/home", "-e", "COOPER_ROOT=/tmp/home/store"];

function call([program = "", ...args]: string[], env: Record<string, string> = {}): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 256 << 20,
    env: { ...process.env, ...env },
  });
  if (error !== undefined) throw error;
  return { exitCode: status ?? -1, output: `${stdout}${stderr}`.trimEnd() };
}

function must({ exitCode, output }: Ran, what: string): void {
  if (exitCode !== 0) throw new Error(`${what}: ${output}`);
}
