/** The command line from the sources, in an environment of its own: for tests of what commands say and do. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { scratchDirectory } from "./scratch.ts";

const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];

/** A home, a store and configuration files; `using` removes them. */
export class CommandLine implements Disposable {
  readonly #scratch: ReturnType<typeof scratchDirectory>;

  constructor(label: string) {
    this.#scratch = scratchDirectory(label);
    mkdirSync(this.path("home"));
    this.file("registries.conf", "");
  }

  get root(): string {
    return this.path("store");
  }

  path(name: string): string {
    return this.#scratch.file(name);
  }

  /** Writes a file and returns its path. */
  file(name: string, text: string): string {
    const path = this.path(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  environment(more: Record<string, string> = {}): Record<string, string> {
    return {
      PATH: process.env.PATH ?? "",
      HOME: this.path("home"),
      XDG_RUNTIME_DIR: this.path("runtime"),
      COOPER_ROOT: this.root,
      COOPER_RUNROOT: this.path("run"),
      CONTAINERS_REGISTRIES_CONF: this.path("registries.conf"),
      ...more,
    };
  }

  /** Asynchronous, because a server in this process may have to answer. */
  async run(argv: string[], more: Record<string, string> = {}) {
    const env = this.environment(more);
    const child = Bun.spawn([...program, ...argv], { env, stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { status: await child.exited, stdout: stdout.trim(), stderr: stderr.trim() };
  }

  /** Runs what must succeed, and returns its output. */
  async ok(...argv: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(argv);
    if (status !== 0) throw new Error(`cooper ${argv.join(" ")}: ${stderr}`);
    return stdout;
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}
