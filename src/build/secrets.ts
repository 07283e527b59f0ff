/** Secrets of a build: their values, and what may be known of them to the cache. */
import { type Digest, keyedDigest } from "../base/digest.ts";
import { digestOfSecrets, readSecret, secretKeyTexts } from "../container/secret.ts";
import type { Op } from "../plan/types.ts";
import { storeKey } from "../store/store-key.ts";
import type { Build } from "./build-image.ts";
import { tooShort } from "./secret-needles.ts";

/** The value that --secret gives, or undefined when there is none of that id. Throws when its file cannot be read. */
export function secretValue(build: Build, id: string): Buffer | undefined {
  const known = build.secrets.get(id);
  if (known !== undefined) return known;
  const secret = build.request.secrets.find((candidate) => candidate.id === id);
  const value = secret === undefined ? undefined : readSecret(secret);
  if (value === undefined) return undefined;
  build.secrets.set(id, value);
  const searched = tooShort(value);
  if (searched !== undefined)
    build.request.onEvent({
      type: "warning",
      message: `The secret "${id}" is so short that it is looked for ${searched} in what is committed, and shown where commands print it`,
    });
  return value;
}

/** What a secret adds to the key of a step that mounts it, with names for people. */
export function secretInputs(build: Build, id: string): { name: string; text: string }[] {
  const salt = build.request.secrets.find((secret) => secret.id === id)?.cacheSalt;
  const secret = { id, ...(salt === undefined ? {} : { cacheSalt: salt }) };
  const names = [`whether there is a secret ${id}`, `the secret ${id}`];
  return secretKeyTexts(build.store.db, secret, secretValue(build, id)).map((text, index) => ({
    name: names[index]!,
    text,
  }));
}

/**
 * Key under which a step is remembered that left one of its secrets in its files: with another value it is not found.
 * Undefined for a step that has none.
 */
export function keyWithSecrets(build: Build, op: Op, key: Digest): Digest | undefined {
  if (op.kind !== "run") return undefined;
  const ids = op.mounts.filter(({ type }) => type === "secret").map((mount) => (mount as { id: string }).id);
  const there = ids.flatMap((id): [string, Buffer][] => {
    const value = secretValue(build, id);
    return value === undefined ? [] : [[id, value]];
  });
  const { db } = build.store;
  return there.length === 0 ? undefined : keyedDigest(storeKey(db), `${key} ${digestOfSecrets(db, there)}`);
}
