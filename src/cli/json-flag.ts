/** --json, which every command has that prints something of its own. */
import { CooperError } from "../base/errors.ts";
import type { FlagTable } from "./command.ts";
import { writeOut } from "./output.ts";

export const JSON_FLAG = {
  json: { type: "bool", help: "print JSON" },
} as const satisfies FlagTable;

/** Of commands that print a JSON document anyway, unless a template asks for something else. */
export const DOCUMENT_FLAG = {
  json: {
    type: "bool",
    default: true,
    fixed: "JSON is all that it prints, but for --format where that is there",
    help: "print JSON, as without this flag",
  },
} as const satisfies FlagTable;

/** Throws `usage` where a document is asked for in two ways. */
export function checkDocumentFlags(format: string | undefined, given: ReadonlySet<string>): void {
  if (format !== undefined && given.has("json"))
    throw new CooperError("usage", "Only one of --json and --format can be given");
}

/** Prints a result: as JSON where that was asked for, else as these lines. */
export function writeResult(json: boolean, result: unknown, lines: readonly string[]): void {
  if (json) writeOut(`${JSON.stringify(result, undefined, 4)}\n`);
  else writeOut(lines.map((line) => `${line}\n`).join(""));
}

/** Prints names one by one as they are done; as JSON all at once, also where one of them fails. */
export async function withResults(
  json: boolean,
  work: (done: (name: string) => void) => Promise<void>,
): Promise<void> {
  const all: string[] = [];
  try {
    await work((name) => {
      all.push(name);
      if (!json) writeOut(`${name}\n`);
    });
  } finally {
    if (json) writeResult(true, all, []);
  }
}

interface Removed {
  untagged: string[];
  deleted: string[];
}

/** What was removed of images: `untagged: NAME` for each name, then ids. As JSON one object with all of them. */
export function writeRemoved(json: boolean, removed: Removed): void {
  const { untagged, deleted } = removed;
  writeResult(json, { untagged, deleted }, [...untagged.map((name) => `untagged: ${name}`), ...deleted]);
}

/** The same for one image after another: names as they go, and ids at the end, also where one of them fails. */
export async function withRemoved(
  json: boolean,
  work: (done: (removed: Removed) => void) => Promise<void>,
): Promise<void> {
  const all: Removed = { untagged: [], deleted: [] };
  try {
    await work(({ untagged, deleted }) => {
      all.untagged.push(...untagged);
      all.deleted.push(...deleted);
      if (!json) writeRemoved(false, { untagged, deleted: [] });
    });
  } finally {
    if (json) writeRemoved(true, all);
    else writeRemoved(false, { ...all, untagged: [] });
  }
}
