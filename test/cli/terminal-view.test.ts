// Protects the terminal of who watches a build: no line is wider or longer than it, and no output of a step controls it.
import { describe, expect, test } from "bun:test";
import { accept, newView, seconds } from "../../src/cli/terminal/build-view.ts";
import { drawView } from "../../src/cli/terminal/draw-view.ts";
import { LiveRegion } from "../../src/cli/terminal/live-region.ts";
import { OutputTail } from "../../src/cli/terminal/output-tail.ts";
import { painted } from "../../src/cli/terminal/styled-line.ts";
import { clipped, columnsOf, harmless } from "../../src/cli/terminal/terminal-text.ts";
import { terminalProgress } from "../../src/cli/terminal/terminal-progress.ts";
import type { BuildEvent, StepLabel } from "../../src/index.ts";

describe("harmless text", () => {
  test.each([
    ["a colour", "\x1b[31mred\x1b[0m", "red"],
    ["the screen cleared and the cursor moved", "\x1b[2J\x1b[Hx\x1b[10;20Hy\x1b[?1049h", "xy"],
    ["a window's title", "\x1b]0;evil\x07x\x1b]2;more\x1b\\y", "xy"],
    ["a title that never ends", "x\x1b]0;evil", "x"],
    ["a terminal asked for its answer", "\x1b[6n\x1b[c\x1bZ\x1b#8x", "x"],
    ["strings of device control", "\x1bP1$r\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\x", "x"],
    ["another character set, a reset", "\x1b(0\x1bc\x1b7x", "x"],
    ["C1 controls", "\u009b31mx\u009d0;t\u009cy\u0085", "xy"],
    ["an escape alone at the end", "x\x1b", "x"],
    ["bells, backspaces, form feeds", "a\x07b\x08c\x0cd\x0be\x00", "abcde"],
    ["text written over after a carriage return", "10%\r20%\r100%", "100%"],
    ["a carriage return at the end", "100%\r", "100%"],
    ["tabs", "a\tb", "a    b"],
    ["overrides of the direction", "a\u202eb\u2066c", "abc"],
    ["half a surrogate pair", "a\ud800b", "a\ufffdb"],
  ])("%s", (_what, text, shown) => expect(harmless(text)).toBe(shown));
});

describe("width", () => {
  test.each([
    ["ascii", 5],
    ["日本語", 6],
    ["e\u0301", 1],
    ["한", 2],
  ])("%s takes %d columns", (text, columns) => expect(columnsOf(text)).toBe(columns));

  test("clipped text never takes more than there is room for, and says that something is missing", () => {
    for (const text of ["hello world", "日本語テキスト", "a日b本c語", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷"]) {
      for (let room = 0; room < 20; room++) {
        const shown = clipped(text, room);
        expect(columnsOf(shown)).toBeLessThanOrEqual(room);
        if (shown !== text && room > 0) expect(shown).toEndWith("…");
      }
    }
  });

  test("a painted line is as wide as its text, colours aside, and has none when none are wanted", () => {
    const line = [{ text: "日本", style: "red" as const }, { text: "語ascii" }];
    expect(painted(line, 6, false)).toBe("日本…");
    expect(painted(line, 80, true)).toBe("\x1b[31;1m日本\x1b[0m語ascii");
  });
});

const step = (stage: string, index: number, text = "RUN make"): StepLabel => ({
  stage,
  index,
  total: 9,
  text,
});
const output = (label: StepLabel, text: string, stream: "stdout" | "stderr" = "stdout"): BuildEvent => ({
  type: "output",
  step: label,
  stream,
  data: Buffer.from(text),
});

describe("the last lines of a command", () => {
  test("are kept over the borders of pieces, of characters, and of streams", () => {
    const tail = new OutputTail();
    const bytes = Buffer.from("one\ntwö\r\n\nthr");
    for (const byte of bytes) tail.add("stdout", Uint8Array.of(byte));
    tail.add("stderr", Buffer.from("error\n"));
    tail.add("stdout", Buffer.from("ee"));
    expect(tail.last(10)).toEqual(["one", "twö", "error", "three"]);
    expect(tail.last(2)).toEqual(["error", "three"]);
    expect(tail.last(0)).toEqual([]);
  });

  test("stay few and short, whatever is written", () => {
    const tail = new OutputTail();
    tail.add("stdout", Buffer.alloc(1 << 20, "x"));
    for (let i = 0; i < 100; i++) tail.add("stdout", Buffer.from(`${i}\n`));
    expect(tail.last(1000).length).toBeLessThanOrEqual(21);
    expect(tail.last(1)).toEqual(["99"]);
    tail.add("stderr", Buffer.alloc(1 << 20, "y"));
    expect(tail.last(1)[0]!.length).toBeLessThanOrEqual(4096);
  });
});

describe("a view", () => {
  const busy = () => {
    const view = newView(0);
    for (let stage = 0; stage < 5; stage++) {
      const label = step(`stage${stage}`, 2, `RUN echo ${"日本".repeat(80)} \\\n  more`);
      accept(view, { type: "step-start", step: label }, 0);
      for (let i = 0; i < 30; i++) accept(view, output(label, `\x1b[2Jline ${i} ${"語".repeat(200)}\n`), 0);
    }
    for (let i = 0; i < 4; i++) {
      const digest = `sha256:${String(i).repeat(64)}`;
      accept(view, { type: "blob", action: "pull", digest, done: 1e6, total: 5e7 }, 0);
    }
    accept(view, { type: "commit-start", name: "localhost/x:latest" }, 0);
    return view;
  };

  test.each([1, 2, 5, 10, 24, 200])("%d rows hold it, with one to spare where there is one", (rows) => {
    expect(drawView(busy(), { columns: 80, rows }, 5000).length).toBeLessThanOrEqual(Math.max(1, rows - 1));
  });

  test.each([1, 7, 20, 61, 80, 300])("%d columns hold each line", (columns) => {
    for (const line of drawView(busy(), { columns, rows: 50 }, 5000)) {
      const text = painted(line, columns, false);
      expect(columnsOf(text)).toBeLessThanOrEqual(columns);
      expect(text).not.toMatch(/[\x00-\x1f]/);
    }
  });

  test("steps of several platforms are told apart, and say theirs", () => {
    const view = newView(0);
    const on = (platform: string, stage = "build") => ({ ...step(stage, 2), platform });
    for (const platform of ["linux/arm64", "linux/amd64"]) {
      accept(view, { type: "step-start", step: on(platform) }, 0);
      accept(view, output(on(platform), `on ${platform}\n`), 0);
    }
    accept(view, { type: "step-start", step: on("linux/arm64", "0") }, 0);
    const shown = () => drawView(view, { columns: 80, rows: 24 }, 0).map((line) => painted(line, 80, false));
    expect(shown().slice(0, -1)).toEqual([
      "⠋    0.0s  [linux/arm64 build 2/9] RUN make",
      "  │ on linux/arm64",
      "⠋    0.0s  [linux/amd64 build 2/9] RUN make",
      "  │ on linux/amd64",
      "⠋    0.0s  [linux/arm64 2/9] RUN make",
    ]);
    const commit = { name: undefined, platform: "linux/arm64" };
    accept(view, { type: "commit-start", ...commit }, 0);
    expect(shown().at(-2)).toBe("⠋    0.0s  commit linux/arm64");
    const [done] = accept(view, { type: "commit-done", ...commit, imageId: "0123456789abcdef" }, 0);
    expect(painted(done!, 80, false)).toBe("✓    0.0s  commit 0123456789ab linux/arm64");
  });

  test("what is done becomes one line each; a failure keeps its last output", () => {
    const view = newView(0);
    const lines = (event: BuildEvent, now = 0) =>
      accept(view, event, now).map((line) => painted(line, 100, false));
    const done = { cached: false, milliseconds: 1234 };
    expect(lines({ type: "step-start", step: step("0", 1) })).toEqual([]);
    expect(lines({ type: "step-done", step: step("0", 1), ...done })).toEqual(["✓    1.2s  [1/9] RUN make"]);
    expect(lines({ type: "step-done", step: step("build", 2), ...done, cached: true })).toEqual([
      "✓  cached  [build 2/9] RUN make",
    ]);
    lines({ type: "step-start", step: step("2", 3, "RUN <<E\nmake\nE") });
    lines(output(step("2", 3), "compiling\nno such file\n"));
    const failed = step("2", 3, "RUN <<E\nmake\nE");
    expect(lines({ type: "debug-shell", step: failed, open: true }, 90_000)).toEqual([
      "✗   1m30s  [stage-2 3/9] RUN <<E …",
      "  │ compiling",
      "  │ no such file",
    ]);
    expect(lines({ type: "debug-shell", step: failed, open: false })).toEqual([]);
    expect(lines({ type: "step-failed", step: failed, cancelled: false, milliseconds: 0 })).toEqual([]);
    lines({ type: "step-start", step: failed });
    expect(lines({ type: "step-failed", step: failed, cancelled: false, milliseconds: 0 })).toEqual([
      "✗    0.0s  [stage-2 3/9] RUN <<E …",
    ]);
    lines({ type: "step-start", step: step("0", 4) });
    expect(lines({ type: "step-failed", step: step("0", 4), cancelled: true, milliseconds: 0 })).toEqual([
      "-    0.0s  [4/9] RUN make",
    ]);
    const blob = {
      type: "blob",
      action: "push",
      digest: `sha256:${"a".repeat(64)}`,
      total: 2_000_000,
    } as const;
    expect(lines({ ...blob, done: 0 }, 1000)).toEqual([]);
    expect(lines({ ...blob, done: 2_000_000 }, 3000)).toEqual(["✓    2.0s  push sha256:aaaaaaaaaaaa  2 MB"]);
    expect(lines({ ...blob, done: 2_000_000, skipped: true }, 3000)).toEqual([]);
    expect(
      lines({ type: "warning", message: "mind\x1b[31m", rule: "R", location: { file: "D", line: 3 } }),
    ).toEqual(["! R: mind (D:3)"]);
    lines({ type: "commit-start", name: "n" }, 5000);
    lines({ type: "commit-progress", name: "n", done: 1e9 });
    expect(painted(drawView(view, { columns: 80, rows: 24 }, 5500)[0]!, 80, false)).toContain("1 GB hashed");
    expect(lines({ type: "commit-done", name: "n", imageId: "0123456789abcdef" }, 6000)).toEqual([
      "✓    1.0s  commit 0123456789ab n",
    ]);
    expect(view.running.size + view.transfers.size).toBe(0);
  });

  test.each([
    [0, "0.0s"],
    [59_999, "59.9s"],
    [60_000, "1m00s"],
    [3_600_000 + 61_000, "1h01m"],
  ])("%d ms are %s", (milliseconds, text) => expect(seconds(milliseconds)).toBe(text));
});

describe("the region", () => {
  test("is written only when something changed, and gives the terminal back once", () => {
    const written: string[] = [];
    const region = new LiveRegion((text) => written.push(text));
    region.close();
    region.draw([], ["one", "two"]);
    region.draw([], ["one", "two"]);
    expect(written.length).toBe(1);
    region.draw(["done"], ["two"]);
    region.close();
    region.close();
    expect(written.length).toBe(3);
    expect(written.join("").match(/\x1b\[\?25l/g)?.length).toBe(1);
    expect(written.at(-1)).toBe("\r\x1b[J\x1b[?25h");
    // Wrapping, which is off while a frame is written, is on after each.
    for (const frame of written.slice(0, 2))
      expect(frame.lastIndexOf("\x1b[?7h")).toBeGreaterThan(frame.indexOf("\x1b[?7l"));
  });

  test("nothing is written while a debug shell has the terminal", () => {
    const written: string[] = [];
    const terminal = {
      write: (text: string) => void written.push(text),
      size: () => ({ columns: 80, rows: 24 }),
      colour: false,
    };
    using progress = terminalProgress(terminal, { warnings: true });
    progress.onEvent({ type: "step-start", step: step("0", 1) });
    progress.onEvent({ type: "debug-shell", step: step("0", 1), open: true });
    const before = written.length;
    expect(written.at(-1)).toEndWith("\x1b[?25h");
    progress.onEvent({ type: "warning", message: "later" });
    Bun.sleepSync(120);
    progress.onEvent(output(step("0", 1), "x\n"));
    expect(written.length).toBe(before);
    progress.onEvent({ type: "debug-shell", step: step("0", 1), open: false });
    expect(written.slice(before).join("")).toContain("later");
  });
});
