/** Progress on a terminal: events into a view, the view onto the screen ten times a second. */
import type { BuildEvent } from "../../index.ts";
import type { Progress } from "../progress.ts";
import { accept, newView } from "./build-view.ts";
import { drawView } from "./draw-view.ts";
import { LiveRegion, type Size } from "./live-region.ts";
import { type Line, painted } from "./styled-line.ts";

export interface Terminal {
  write(text: string): void;
  /** Asked before each frame: a terminal may be resized at any time. */
  size(): Size;
  colour: boolean;
}

/** Milliseconds between two frames. */
const FRAME = 100;

/** Shows events until end(). The terminal is as it was then, or when the process ends or is stopped before. */
export function terminalProgress(terminal: Terminal, options: { warnings: boolean }): Progress {
  const view = newView(performance.now());
  const region = new LiveRegion(terminal.write);
  let finished: Line[] = [];
  let drawnAt = Number.NEGATIVE_INFINITY;
  let drawnSize = "";
  let paused = false;

  const draw = () => {
    if (paused) return;
    const now = performance.now();
    drawnAt = now;
    const size = terminal.size();
    const resized = `${size.columns}x${size.rows}`;
    if (resized !== drawnSize) region.invalidate();
    drawnSize = resized;
    const paint = (line: Line) => painted(line, size.columns, terminal.colour);
    region.draw(finished.map(paint), drawView(view, size, now).map(paint));
    finished = [];
  };
  const flush = () => {
    if (finished.length > 0) draw();
  };
  const close = () => region.close();
  const ticks = setInterval(draw, FRAME);
  ticks.unref();
  const unhook = onStop(close, () => {
    region.invalidate();
    draw();
  });
  const end = () => {
    clearInterval(ticks);
    unhook();
    flush();
    close();
  };
  return {
    onEvent(event: BuildEvent) {
      if (event.type === "warning" && !options.warnings) return;
      finished.push(...accept(view, event, performance.now()));
      if (event.type === "debug-shell") {
        flush();
        close();
        paused = event.open;
      }
      // Work that is synchronous lets no timer run: the events themselves are the clock then.
      if (performance.now() - drawnAt >= FRAME) draw();
    },
    end,
    [Symbol.dispose]: end,
  };
}

/** Has the terminal given back when the process ends by a second signal, or is stopped (^Z); returns how to undo that. */
function onStop(close: () => void, resume: () => void): () => void {
  const stop = () => {
    close();
    process.kill(process.pid, "SIGSTOP");
  };
  process.on("exit", close);
  process.on("SIGTSTP", stop);
  process.on("SIGCONT", resume);
  return () => {
    process.off("exit", close);
    process.off("SIGTSTP", stop);
    process.off("SIGCONT", resume);
  };
}
