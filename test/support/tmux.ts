/** A terminal emulator for tests: commands run in tmux, which tells what its screen shows. */
import { spawnSync } from "node:child_process";
import { becoming, type Person } from "./as-users.ts";
import { eventually } from "./leftovers.ts";

export interface Screen {
  text: string;
  /** With colours and attributes as escape sequences. */
  styled: string;
}

/** One window with a shell in it. Dispose ends it and all that runs there. */
export class Terminal implements Disposable {
  readonly #socket: string;
  readonly #argv: string[];

  constructor(
    person: Person,
    directory: string,
    environment: Record<string, string>,
    size: [number, number],
  ) {
    this.#socket = `${directory}/tmux-${Math.random().toString(36).slice(2)}`;
    this.#argv = [...becoming(person), "tmux", "-S", this.#socket, "-f", "/dev/null"];
    const env = { ...environment, PS1: "$ ", TERM: "xterm-256color" };
    const [columns, rows] = size.map(String) as [string, string];
    this.#tmux(["new-session", "-d", "-x", columns, "-y", rows, "-c", directory, "sh"], env);
  }

  #tmux(args: string[], env?: Record<string, string>): string {
    const [program, ...rest] = [...this.#argv, ...args] as [string, ...string[]];
    const { status, stdout, stderr } = spawnSync(program, rest, {
      encoding: "utf8",
      ...(env === undefined ? {} : { env }),
    });
    if (status !== 0) throw new Error(`tmux ${args.join(" ")} failed: ${stderr}`);
    return stdout;
  }

  /** Types a line and Enter. */
  type(line: string): void {
    this.#tmux(["send-keys", "-l", line]);
    this.#tmux(["send-keys", "Enter"]);
  }

  /** Presses a key, by tmux's name: C-c. */
  press(key: string): void {
    this.#tmux(["send-keys", key]);
  }

  resize(columns: number, rows: number): void {
    this.#tmux(["resize-window", "-x", String(columns), "-y", String(rows)]);
  }

  screen(): Screen {
    return {
      text: this.#tmux(["capture-pane", "-p"]),
      styled: this.#tmux(["capture-pane", "-e", "-p"]),
    };
  }

  /** What is on the screen and what has scrolled off it. */
  history(): string {
    return this.#tmux(["capture-pane", "-p", "-S", "-"]);
  }

  /** Whether the cursor is shown and long lines wrap, as they do in a terminal that nobody has changed. */
  isUntouched(): boolean {
    return (
      this.#tmux(["display-message", "-p", "#{cursor_flag}#{wrap_flag}#{alternate_on}"]).trim() === "110"
    );
  }

  /** The screen as soon as it shows what is looked for. Fails with what it shows instead. */
  async shows(wanted: RegExp, seconds = 10): Promise<Screen> {
    const found = await eventually(() => wanted.test(this.screen().text), seconds * 1000);
    const screen = this.screen();
    if (!found) throw new Error(`The terminal does not show ${wanted} but\n${screen.text}`);
    return screen;
  }

  [Symbol.dispose](): void {
    spawnSync(this.#argv[0]!, [...this.#argv.slice(1), "kill-server"]);
  }
}
