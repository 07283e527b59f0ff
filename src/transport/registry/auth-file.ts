/**
 * Writing containers-auth.json(5): the entries of `auths` are ours, everything else in the file stays as it is. What is
 * written is readable by its owner alone.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { CooperError, errnoOf, wrapError } from "../../base/errors.ts";
import { flock } from "../../base/file-calls.ts";
import { eraseFromHelper, storeInHelper } from "./credential-helper.ts";

const LOCK_EX = 2;

/** The document, of which only these members are looked at. */
interface AuthDocument {
  auths?: Record<string, unknown>;
  credHelpers?: Record<string, unknown>;
  [member: string]: unknown;
}

/** Keeps a user's name and password under a key: `reg:5000` or `reg:5000/team`. Returns where: a file or a helper. */
export async function writeCredentials(
  path: string,
  key: string,
  { username, password }: { username: string; password: string },
): Promise<string> {
  const helper = helperFor(readDocument(path), key);
  if (helper !== undefined) {
    await storeInHelper(helper, { server: key, username, password });
    return `docker-credential-${helper}`;
  }
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  change(path, (document) => ({ ...document, auths: { ...document.auths, [key]: { auth } } }));
  return path;
}

/** Forgets the credentials under a key; false when there were none. */
export async function removeCredentials(path: string, key: string): Promise<boolean> {
  const document = readDocument(path);
  const helper = helperFor(document, key);
  if (helper !== undefined) {
    await eraseFromHelper(helper, key);
    return true;
  }
  if (!Object.hasOwn(document.auths ?? {}, key)) return false;
  change(path, (current) => {
    const { [key]: _, ...auths } = current.auths ?? {};
    return { ...current, auths };
  });
  return true;
}

/** Forgets all credentials of a file and of the helpers that it names. */
export async function removeAllCredentials(path: string): Promise<void> {
  const document = readDocument(path);
  for (const key of Object.keys(document.credHelpers ?? {}))
    await eraseFromHelper(helperFor(document, key)!, key);
  // A file that is not there has nothing to forget.
  if (Object.keys(document).length > 0)
    change(path, ({ credHelpers: _, ...rest }) => ({ ...rest, auths: {} }));
}

function helperFor(document: AuthDocument, key: string): string | undefined {
  const helper = document.credHelpers?.[key];
  return typeof helper === "string" && helper !== "" ? helper : undefined;
}

function readDocument(path: string): AuthDocument {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return {};
    throw wrapError(`Cannot read credentials from ${path}`, error);
  }
  if (text.trim() === "") return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message would quote the file.
    throw new CooperError("invalid", `Cannot read credentials from ${path}: it is not valid JSON`);
  }
  if (!isObject(json))
    throw new CooperError("invalid", `Cannot read credentials from ${path}: it is malformed`);
  for (const member of ["auths", "credHelpers"]) {
    if (json[member] === null) delete json[member];
    else if (json[member] !== undefined && !isObject(json[member]))
      throw new CooperError("invalid", `Cannot read credentials from ${path}: "${member}" is malformed`);
  }
  return json as AuthDocument;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads, changes and replaces the file; others of us wait meanwhile. */
function change(given: string, edit: (document: AuthDocument) => AuthDocument): void {
  const path = targetOf(given);
  const directory = dirname(path);
  let lock: number | undefined;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // The directory is the lock: no file of ours is left beside the one that others look for.
    lock = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    flock(lock, LOCK_EX);
    replace(path, `${JSON.stringify(edit(readDocument(path)), undefined, "\t")}\n`);
  } catch (error) {
    throw wrapError(`Cannot write credentials to ${given}`, error);
  } finally {
    if (lock !== undefined) closeSync(lock);
  }
}

/** A link stays, and what it points to is replaced. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function replace(path: string, text: string): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
  const file = openSync(temporary, "w", 0o600);
  try {
    // The name may have been there already, with other permissions.
    chmodSync(temporary, 0o600);
    writeSync(file, text);
    fsyncSync(file);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}
