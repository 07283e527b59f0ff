/** Secrets of a build: their values, and what may be known of them to the cache. */
import { readFileSync } from "node:fs";
import { type Digest, keyedDigest } from "../base/digest.ts";
import { wrapError } from "../base/errors.ts";
import { getrlimit, setrlimit } from "../base/process-calls.ts";
import type { Op } from "../plan/types.ts";
import { RLIMIT_NUMBERS } from "../sandbox/rlimits.ts";
import { storeKey } from "../store/store-key.ts";
import type { Build } from "./build-image.ts";
import { tooShort } from "./secret-needles.ts";

/** The value that --secret gives, or undefined when there is none of that id. Throws when its file cannot be read. */
export function secretValue(build: Build, id: string): Buffer | undefined {
  const known = build.secrets.get(id);
  if (known !== undefined) return known;
  const secret = build.request.secrets.find((candidate) => candidate.id === id);
  if (secret === undefined) return undefined;
  const value = secret.kind === "file" ? readSecretFile(id, secret.source) : process.env[secret.source];
  if (value === undefined) return undefined;
  const bytes = Buffer.from(value);
  refuseCoreDumps();
  build.secrets.set(id, bytes);
  const searched = tooShort(bytes);
  if (searched !== undefined)
    build.request.onEvent({
      type: "warning",
      message: `The secret "${id}" is so short that it is looked for ${searched} in what is committed, and shown where commands print it`,
    });
  return bytes;
}

function readSecretFile(id: string, path: string): Buffer {
  try {
    return readFileSync(path === "-" ? 0 : path);
  } catch (error) {
    throw wrapError(`Cannot read the secret "${id}"`, error);
  }
}

/**
 * For this process and, unless they are given a limit of their own, the commands that it starts. One byte is less than any
 * dump; and other than with none, the kernel starts no program that would take one (core(5), "Piping core dumps").
 */
function refuseCoreDumps(): void {
  const { RLIMIT_CORE } = RLIMIT_NUMBERS as { RLIMIT_CORE: number };
  const { soft, hard } = getrlimit(RLIMIT_CORE);
  if (soft > 1n) setrlimit(RLIMIT_CORE, 1n, hard);
}

/**
 * What a secret adds to the key of a step that mounts it: whether there is one; with `cache-salt` also which, as a text that
 * was given or as a digest that nobody can compute without the store's own key.
 */
export function secretInputs(build: Build, id: string): { name: string; text: string }[] {
  const value = secretValue(build, id);
  const there = { name: `whether there is a secret ${id}`, text: `secret ${value !== undefined}` };
  const salt = build.request.secrets.find((secret) => secret.id === id)?.cacheSalt;
  if (value === undefined || salt === undefined) return [there];
  const text = salt === true ? digestOfSecrets(build, [id]) : `salt ${salt}`;
  return [there, { name: `the secret ${id}`, text }];
}

/**
 * Key under which a step is remembered that left one of its secrets in its files: with another value it is not found.
 * Undefined for a step that has none.
 */
export function keyWithSecrets(build: Build, op: Op, key: Digest): Digest | undefined {
  if (op.kind !== "run") return undefined;
  const ids = op.mounts.filter(({ type }) => type === "secret").map((mount) => (mount as { id: string }).id);
  const there = ids.filter((id) => secretValue(build, id) !== undefined);
  return there.length === 0
    ? undefined
    : keyedDigest(storeKey(build.store.db), `${key} ${digestOfSecrets(build, there)}`);
}

function digestOfSecrets(build: Build, ids: string[]): Digest {
  const values = ids.map((id) => [id, build.secrets.get(id)!.toString("base64")]);
  return keyedDigest(storeKey(build.store.db), JSON.stringify(values));
}
