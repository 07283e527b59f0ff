/** Runs the command line as somebody: each site is one person with a store, a home and a runtime directory of their own. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join, resolve } from "node:path";
import { becoming, mayRead, type Person } from "./as-users.ts";
import { eventually, mountPointsBelow, processesMentioning } from "./leftovers.ts";

export interface Result {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface RunSettings {
  cwd?: string;
  stdin?: string | Uint8Array;
  env?: Record<string, string>;
}

/** A started command that has not ended. */
export type Started = ReturnType<Site["start"]>;

const repository = resolve(import.meta.dir, "../..");
// On a disk rather than in /tmp, which may be a tmpfs without user extended attributes.
const temporary = "/var/tmp";

/** bin/cooper of this tree, or COOPER_BIN. */
function programFor(person: Person): string {
  const program = process.env.COOPER_BIN ?? join(repository, "bin/cooper");
  if (!mayRead(person, program))
    throw new Error(`${person.name} cannot read ${program}: run scripts/test, which makes a copy`);
  return program;
}

function must(argv: [string, ...string[]]): void {
  const { status, stderr } = spawnSync(argv[0], argv.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${argv.join(" ")} failed: ${stderr}`);
}

/** Everything that one person's commands use and leave: below `dir`, which close() removes. */
export class Site implements AsyncDisposable {
  readonly dir: string;
  /** The store's --root and --runroot. */
  readonly root: string;
  readonly runRoot: string;
  /** A directory that belongs to the person, for files of the test. */
  readonly work: string;

  /** `place`: what to put before each command line, as root, before it becomes the person's. */
  constructor(
    readonly person: Person,
    readonly place: string[] = [],
  ) {
    this.dir = mkdtempSync(join(temporary, "cooper-test-"));
    this.root = join(this.dir, "store");
    this.runRoot = join(this.dir, "run/cooper");
    this.work = join(this.dir, "work");
    for (const name of ["home", "run", "work", "bin", "tmp"])
      mkdirSync(join(this.dir, name), { mode: 0o700 });
    // `cooper` on the PATH, so that a test's script reads as a user's does. COOPER_BIN: another one to be tested.
    const script = `#!/bin/sh\nexec '${programFor(person)}' --root '${this.root}' --runroot '${this.runRoot}' "$@"\n`;
    writeFileSync(join(this.dir, "bin/cooper"), script);
    chmodSync(join(this.dir, "bin/cooper"), 0o755);
    this.give(this.dir);
  }

  /** Makes a tree the person's own, for what the test wrote as root. */
  give(path: string): void {
    if (process.getuid?.() === 0) must(["chown", "-hR", `${this.person.uid}:${this.person.gid}`, path]);
  }

  /** Writes files (path → content) into a new directory below `work`, and returns it. */
  files(files: Record<string, string>): string {
    const directory = mkdtempSync(join(this.work, "context-"));
    chmodSync(directory, 0o755);
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(join(directory, name, ".."), { recursive: true });
      writeFileSync(join(directory, name), content);
    }
    this.give(directory);
    return directory;
  }

  /** A copy of a folder of fixtures/ that belongs to the person. */
  fixture(name: string): string {
    const copy = mkdtempSync(join(this.work, `${name.replaceAll("/", "-")}-`));
    chmodSync(copy, 0o755);
    cpSync(join(repository, "fixtures", name), copy, { recursive: true, verbatimSymlinks: true });
    this.give(copy);
    return copy;
  }

  /** Starts a command as the person, with a clean environment, in its own process group. */
  start(argv: string[], { cwd, stdin, env }: RunSettings = {}) {
    return Bun.spawn([...this.place, ...becoming(this.person), ...argv], {
      cwd: cwd ?? this.work,
      env: { ...this.environment(), ...env },
      stdin: stdin === undefined ? "ignore" : Buffer.from(stdin as string),
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
  }

  /** Runs a command as the person to its end. A status other than 0 is a result. */
  async run(argv: string[], settings: RunSettings = {}): Promise<Result> {
    return finished(this.start(argv, settings));
  }

  /** Runs `cooper ARGS`. */
  cooper(...args: string[]): Promise<Result> {
    return this.run(["cooper", ...args]);
  }

  /** Runs `cooper ARGS`, which must succeed, and returns what it printed without the last line's end. */
  async ok(...args: string[]): Promise<string> {
    return successful(`cooper ${args.join(" ")}`, await this.cooper(...args));
  }

  /** Runs a shell script with `set -eu`, which must succeed, and returns its output without the last line's end. */
  async script(text: string, settings: RunSettings = {}): Promise<string> {
    return successful(text, await this.run(["sh", "-euc", text], settings));
  }

  /** What the person's commands have in their environment. */
  environment(): Record<string, string> {
    const passed = ["http_proxy", "https_proxy", "no_proxy", "COOPER_ISOLATION"].flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]] as [string, string]],
    );
    return {
      ...Object.fromEntries(passed),
      PATH: `${this.dir}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      HOME: `${this.dir}/home`,
      USER: this.person.name,
      LOGNAME: this.person.name,
      TMPDIR: `${this.dir}/tmp`,
      XDG_RUNTIME_DIR: `${this.dir}/run`,
      LANG: "C.UTF-8",
    };
  }

  /** Ends what still runs here, unmounts, and removes everything, files of subordinate ids included. */
  async [Symbol.asyncDispose](): Promise<void> {
    // SIGKILL, and only to processes that name this directory.
    await eventually(() => {
      const left = processesMentioning(this.dir);
      for (const { pid } of left) kill(pid);
      return left.length === 0;
    });
    for (const point of mountPointsBelow(this.dir)) spawnSync("umount", ["--lazy", point]);
    // Deleting through a mount would delete what it shows.
    const mounted = mountPointsBelow(this.dir);
    if (mounted.length > 0) throw new Error(`Still mounted, so not removed: ${mounted.join(", ")}`);
    const remove = ["rm", "-rf", "--one-file-system", this.dir];
    const argv = process.getuid?.() === 0 ? remove : ["unshare", "--map-root-user", "--map-auto", ...remove];
    must(argv as [string, ...string[]]);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

/** Waits for a started command. */
export async function finished(started: Started): Promise<Result> {
  const [stdout, stderr] = await Promise.all([
    new Response(started.stdout).text(),
    new Response(started.stderr).text(),
    started.exited,
  ]);
  const { exitCode, signalCode } = started;
  // As a shell has it.
  return {
    exitCode: signalCode === null ? (exitCode ?? -1) : 128 + constants.signals[signalCode as NodeJS.Signals],
    stdout,
    stderr,
  };
}

/** The output of a command that must have succeeded. */
export function successful(what: string, { exitCode, stdout, stderr }: Result): string {
  if (exitCode !== 0) throw new Error(`${what}\nexited with ${exitCode}\n${stdout}\n${stderr}`);
  return stdout.replace(/\n$/, "");
}

/** Opens a site for a person; `place` as in Site. */
export function openSite(person: Person, place?: string[]): Site {
  return new Site(person, place);
}
