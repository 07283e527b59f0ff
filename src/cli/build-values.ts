/** Values of `build`'s flags, and where its context and Dockerfile are. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { CooperError, wrapError } from "../base/errors.ts";
import type { BuildOptions } from "../index.ts";
import { parseCsvLine } from "./csv.ts";

/** Where the context and the Dockerfile are, by Buildah's rules; files are absolute, `-`, URLs, or left to be found. */
export function buildPlaces(
  argument: string | undefined,
  files: string[],
): { context: string; file?: string[] } {
  const [first] = files;
  // Without a context, it is where the Dockerfile is.
  const context = argument ?? (first === undefined || isElsewhere(first) ? "." : dirname(first));
  const isDirectory = statSync(context, { throwIfNoEntry: false })?.isDirectory() === true;
  const found = files.map((file) => {
    // What lies in a context that is still to be fetched is not to be found yet.
    if (isElsewhere(file) || !isDirectory) return file;
    const here = resolve(file);
    return existsSync(here) ? here : resolve(context, file);
  });
  return { context, ...(found.length === 0 ? {} : { file: found }) };
}

const isElsewhere = (file: string) => file === "-" || /^https?:\/\//.test(file);

/** `KEY=value`; `KEY` takes this process's value and is left out where there is none. */
export function buildArguments(entries: string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const entry of entries) {
    const at = entry.indexOf("=");
    const key = at === -1 ? entry : entry.slice(0, at);
    if (key === "")
      throw new CooperError(
        "usage",
        `Cannot read the build argument ${JSON.stringify(entry)}: it has no name`,
      );
    const value = at === -1 ? process.env[key] : entry.slice(at + 1);
    if (value !== undefined) values[key] = value;
  }
  return values;
}

/** Lines of a file of build arguments; empty ones and those that begin with # are none. */
export function readBuildArguments(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw wrapError(`Cannot read build arguments from ${path}`, error);
  }
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  return lines.filter((line) => line.trim() !== "" && !line.startsWith("#"));
}

/** The variable that stands for the flag holds several, between spaces. */
export function preprocessorFlags(flags: string[], given: ReadonlySet<string>): string[] {
  return given.has("cpp-flag") ? flags : flags.flatMap((text) => text.split(/\s+/).filter(Boolean));
}

/** `NAME=place`. */
export function buildContexts(entries: string[]): Record<string, string> {
  const contexts: Record<string, string> = {};
  for (const entry of entries) {
    const at = entry.indexOf("=");
    if (at < 1 || at === entry.length - 1) {
      throw new CooperError("usage", `Cannot read the build context ${JSON.stringify(entry)}`, {
        hint: "write it as NAME=PLACE",
      });
    }
    contexts[entry.slice(0, at)] = entry.slice(at + 1);
  }
  return contexts;
}

const SECRET_KEYS = new Set(["id", "src", "source", "env", "type", "cache-salt"]);

/** `id=ID[,src=PATH]` (- for standard input), `id=ID,env=VARIABLE`, `type=file|env`; `cache-salt[=TEXT]`. */
export function parseSecret(text: string): NonNullable<BuildOptions["secrets"]>[number] {
  const fields = new Map(
    secretFields(text).map((part): [string, string] => {
      const at = part.indexOf("=");
      return at === -1 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
    }),
  );
  const unknown = [...fields.keys()].find((key) => !SECRET_KEYS.has(key));
  const id = fields.get("id");
  if (unknown !== undefined || !id)
    throw badSecret(unknown === undefined ? "it has no id" : `it has an unknown key ${unknown}`);
  const salt = fields.get("cache-salt");
  return { id, ...secretSource(id, fields), ...(salt === undefined ? {} : { cacheSalt: salt || true }) };
}

/** As in Docker's, a field in double quotes may hold commas. */
function secretFields(text: string): string[] {
  try {
    return parseCsvLine(text);
  } catch {
    throw badSecret("a quoted field does not end at a comma");
  }
}

function secretSource(id: string, fields: Map<string, string>): { source: string; kind: "file" | "env" } {
  const type = fields.get("type");
  const source = fields.get("src") ?? fields.get("source");
  const variable = fields.get("env");
  if (type !== undefined && type !== "file" && type !== "env")
    throw badSecret("its type is neither file nor env");
  if (variable !== undefined && (source !== undefined || type === "file"))
    throw badSecret("it names both a file and a variable");
  if (variable !== undefined || type === "env") return { source: variable ?? source ?? id, kind: "env" };
  if (source !== undefined) return { source, kind: "file" };
  // Neither: a variable of that name where there is one, else a file.
  return { source: id, kind: process.env[id] === undefined ? "file" : "env" };
}

/** The text of the flag may hold anything; it is not repeated. */
function badSecret(why: string): CooperError {
  return new CooperError("usage", `Cannot read --secret: ${why}`, {
    hint: "write it as id=NAME,src=PATH or id=NAME,env=VARIABLE",
  });
}
