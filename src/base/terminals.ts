/** Terminals. Errors as in libc.ts. */
import { bind, i32, invokeIoctl } from "./libc.ts";

/** isatty(3). `node:tty` takes two milliseconds to load. */
export function isTerminal(fd: number): boolean {
  return Number(bind("isatty", [i32], i32)(fd)) === 1;
}

/** Size of a terminal in characters (tty_ioctl(4), TIOCGWINSZ); undefined where the file is none, or does not know. */
export function terminalSize(fd: number): { columns: number; rows: number } | undefined {
  const TIOCGWINSZ = 0x5413n;
  const size = Buffer.alloc(8); // struct winsize
  try {
    invokeIoctl(fd, TIOCGWINSZ, size);
  } catch {
    return undefined;
  }
  const [rows, columns] = [size.readUInt16LE(0), size.readUInt16LE(2)];
  return rows === 0 || columns === 0 ? undefined : { columns, rows };
}

/** How a terminal treats what is typed (tty_ioctl(4), TCGETS), for restoreTerminal(); undefined where the file is none. */
export function terminalModes(fd: number): Buffer | undefined {
  const TCGETS = 0x5401n;
  const modes = Buffer.alloc(64); // struct termios of the kernel, which is shorter
  try {
    invokeIoctl(fd, TCGETS, modes);
    return modes;
  } catch {
    return undefined;
  }
}

/** Gives a terminal the modes that it had; one that has gone meanwhile needs none. */
export function restoreTerminal(fd: number, modes: Buffer): void {
  const TCSETSW = 0x5403n;
  try {
    invokeIoctl(fd, TCSETSW, modes);
  } catch {}
}
