/** Secrets for commands: their values, how a command gets them, and what may be known of them to the cache. */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Digest, keyedDigest } from "../base/digest.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { MNT, MS, mount, umount } from "../base/mounts.ts";
import { getrlimit, setrlimit } from "../base/process-calls.ts";
import { giveAway } from "../base/process-ids.ts";
import type { MountOp } from "../plan/types.ts";
import { commandsHaveMounts } from "../sandbox/mount-namespace.ts";
import { RLIMIT_NUMBERS } from "../sandbox/rlimits.ts";
import type { RunMount } from "../sandbox/types.ts";
import type { Database } from "../store/database.ts";
import { storeKey } from "../store/store-key.ts";
import type { StoreFiles } from "../store/store.ts";

export interface SecretSource {
  id: string;
  /** Path of a file, - for standard input, or name of an environment variable. */
  source: string;
  kind: "file" | "env";
  /** Whether its value (true), or a text that stands for it, decides about the cache of steps that mount it. */
  cacheSalt?: string | true;
}

export type SecretMount = Extract<MountOp, { type: "secret" }>;

/** Its value; undefined for a variable that is not set. Throws when the file cannot be read. */
export function readSecret({ id, source, kind }: SecretSource): Buffer | undefined {
  const value = kind === "file" ? readSecretFile(id, source) : process.env[source];
  if (value === undefined) return undefined;
  refuseCoreDumps();
  return Buffer.from(value);
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
 * What a mount of a secret gives a command: a variable, a file on a tmpfs of its own, both, or, where there is no such secret
 * and none is required, nothing. Throws `not-found`; `unsupported` for a file where nothing can be mounted.
 */
export function secretMount(
  store: StoreFiles,
  wanted: SecretMount,
  value: Buffer | undefined,
  undo: (() => void)[],
): { mounts: RunMount[]; env: string[] } {
  const { id, env, target = `/run/secrets/${basename(wanted.id)}` } = wanted;
  if (value === undefined) {
    if (!wanted.required) return { mounts: [], env: [] };
    throw new CooperError("not-found", `There is no secret "${id}"`, {
      hint: `Give it with --secret id=${id},src=FILE`,
    });
  }
  const variables = env === undefined ? [] : [`${env}=${value.toString("utf8")}`];
  if (env !== undefined && wanted.target === undefined) return { mounts: [], env: variables };
  if (!commandsHaveMounts()) {
    throw new CooperError(
      "unsupported",
      `Cannot give the command a file with the secret "${id}": this host refuses mounts, and without a tmpfs it would be written to the disk`,
      { hint: `Give it as a variable: --mount=type=secret,id=${id},env=NAME` },
    );
  }
  const source = fileInMemory(store, wanted, value, undo);
  return { mounts: [{ type: "bind", source, target, readOnly: true, ofImage: true }], env: variables };
}

function fileInMemory(
  store: StoreFiles,
  { mode, ...owner }: SecretMount,
  value: Buffer,
  undo: (() => void)[],
): string {
  const directory = store.session.path("secret");
  mkdirSync(directory, { mode: 0o700 });
  mount("tmpfs", directory, "tmpfs", MS.NOSUID | MS.NODEV, "size=1m,mode=700");
  undo.push(() => {
    umount(directory, MNT.DETACH);
    rmSync(directory, { recursive: true, force: true });
  });
  const file = join(directory, "secret");
  writeFileSync(file, value, { mode: 0o600 });
  giveAway(file, owner);
  chmodSync(file, mode);
  return file;
}

/**
 * What a secret adds to the key of a step that mounts it: whether there is one; with `cacheSalt` also which, as a text that
 * was given or as a digest that nobody can compute without the store's own key.
 */
export function secretKeyTexts(
  db: Database,
  { id, cacheSalt }: Pick<SecretSource, "id" | "cacheSalt">,
  value: Buffer | undefined,
): string[] {
  const there = `secret ${value !== undefined}`;
  if (value === undefined || cacheSalt === undefined) return [there];
  return [there, cacheSalt === true ? digestOfSecrets(db, [[id, value]]) : `salt ${cacheSalt}`];
}

/** Of secrets with their ids, under the store's own key. */
export function digestOfSecrets(db: Database, secrets: [id: string, value: Buffer][]): Digest {
  const values = secrets.map(([id, value]) => [id, value.toString("base64")]);
  return keyedDigest(storeKey(db), JSON.stringify(values));
}
