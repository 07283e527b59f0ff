import { CooperError } from "../../base/errors.ts";
import { isTerminal } from "../../base/terminals.ts";
import { encodeName } from "../../base/path-bytes.ts";
import type { FileChange } from "../../index.ts";
import { defineCommand, onStore } from "../command.ts";
import { writeOut } from "../output.ts";
import { plainText } from "../plain-text.ts";
import { formatSize } from "../units.ts";

export const command = defineCommand({
  name: "diff",
  summary: "Show which files differ between two images or containers, or what one changed",
  usage: "IMAGE|CONTAINER [IMAGE|CONTAINER]",
  args: { min: 1, max: 2, missing: "An image or a container must be named" },
  flags: {
    format: { type: "string", placeholder: "json", help: "json: the same as --json" },
    json: { type: "bool", help: "print JSON" },
    quiet: { type: "bool", short: "q", help: "kinds and paths only" },
  },
  details: [
    "Each line has A (added), C (changed) or D (removed), the bytes by which the file grew, and its path; of what was changed, at the end, how: content, target, device, type, mode, owner or xattrs. Times are not compared. A summary ends the list.",
    "A container alone is compared with its image; an image alone shows what its topmost layer changed. Layers that both have in common are not looked into.",
  ],
  examples: [
    "cooper diff localhost/hello:1.0 localhost/hello:1.1",
    "cooper diff --quiet work",
    "cooper diff --json localhost/hello work",
  ],
  namespace: onStore,
  async run({ args, flags, signal, api, store }) {
    if (flags.format !== undefined && flags.format !== "json")
      throw new CooperError("usage", `Unknown format ${JSON.stringify(flags.format)}`, { hint: "use json" });
    const [first, second] = args as [string, string | undefined];
    const { diff } = await api();
    const changes = diff(await store(), first, second);
    if (flags.json || flags.format === "json") {
      writeOut(`${JSON.stringify(await documentOf(changes, signal), undefined, 4)}\n`);
      return 0;
    }
    const summary = newSummary();
    for await (const change of changes) {
      signal.throwIfAborted();
      add(summary, change);
      writeOut(flags.quiet ? quietLine(change) : line(change));
    }
    if (!flags.quiet) writeOut(summaryLine(summary));
    return 0;
  },
});

const LETTERS = { added: "A", changed: "C", removed: "D" } as const;
const SIZE_WIDTH = 9;

/** As it is, for programs; without control characters on a terminal, as ls(1) does. */
function shownPath(path: string): Buffer {
  const bytes = encodeName(path);
  return isTerminal(1) ? Buffer.from(plainText(bytes.toString("utf8"))) : bytes;
}

function quietLine({ kind, path }: FileChange): Uint8Array {
  return Buffer.concat([Buffer.from(`${LETTERS[kind]} `), shownPath(path), Buffer.from("\n")]);
}

function line(change: FileChange): Uint8Array {
  const { kind, path, type, fields } = change;
  const grown = change.sizeAfter - change.sizeBefore;
  const size = type === "file" && (kind !== "changed" || grown !== 0) ? signed(grown) : "";
  const end = type === "directory" ? "/" : "";
  const how = fields.length === 0 ? "" : `  (${fields.join(", ")})`;
  return Buffer.concat([
    Buffer.from(`${LETTERS[kind]} ${size.padStart(SIZE_WIDTH)}  `),
    shownPath(path),
    Buffer.from(`${end}${how}\n`),
  ]);
}

function signed(bytes: number): string {
  return `${bytes < 0 ? "-" : "+"}${formatSize(Math.abs(bytes))}`;
}

interface Summary {
  added: Count;
  changed: Count;
  removed: Count;
}

interface Count {
  entries: number;
  /** Bytes by which the files grew, negative for what was removed. */
  bytes: number;
}

function newSummary(): Summary {
  return {
    added: { entries: 0, bytes: 0 },
    changed: { entries: 0, bytes: 0 },
    removed: { entries: 0, bytes: 0 },
  };
}

function add(summary: Summary, { kind, sizeBefore, sizeAfter }: FileChange): void {
  summary[kind].entries++;
  summary[kind].bytes += sizeAfter - sizeBefore;
}

function summaryLine({ added, changed, removed }: Summary): string {
  const part = (word: string, { entries, bytes }: Count) =>
    `${entries} ${word}${entries === 0 ? "" : ` (${signed(bytes)})`}`;
  return `${part("added", added)}, ${part("changed", changed)}, ${part("removed", removed)}\n`;
}

async function documentOf(changes: AsyncIterable<FileChange>, signal: AbortSignal) {
  const summary = newSummary();
  const lists: Record<FileChange["kind"], object[]> = { added: [], changed: [], removed: [] };
  for await (const change of changes) {
    signal.throwIfAborted();
    add(summary, change);
    const { kind, path, type, sizeBefore, sizeAfter, fields } = change;
    // JSON holds text: what is no UTF-8 in a name is shown as the replacement character.
    const entry = { path: encodeName(path).toString("utf8"), type };
    if (kind === "changed") lists.changed.push({ ...entry, sizeBefore, sizeAfter, fields });
    else lists[kind].push({ ...entry, size: kind === "added" ? sizeAfter : sizeBefore });
  }
  return { ...lists, summary };
}
