/** Secrets of a build: their values, and the search that keeps them out of what is committed. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { CooperError, wrapError } from "../base/errors.ts";
import { encodeName, fsPath, readLink, readNames } from "../base/path-bytes.ts";
import { statHost } from "../archive/source-view.ts";
import { snapshotPath } from "../store/store.ts";
import type { Build } from "./build-image.ts";
import { type Needle, Needles } from "./secret-needles.ts";
import type { StageState } from "./stage-state.ts";

/** The value that --secret gives, or undefined when there is none of that id. Throws when its file cannot be read. */
export function secretValue(build: Build, id: string): Buffer | undefined {
  const known = build.secrets.get(id);
  if (known !== undefined) return known;
  const secret = build.request.secrets.find((candidate) => candidate.id === id);
  if (secret === undefined) return undefined;
  const value = secret.kind === "file" ? readSecretFile(id, secret.source) : process.env[secret.source];
  if (value === undefined) return undefined;
  const bytes = Buffer.from(value);
  build.secrets.set(id, bytes);
  return bytes;
}

function readSecretFile(id: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw wrapError(`Cannot read the secret "${id}"`, error);
  }
}

/** Notes that a step uses a secret, cached or not; whether there is one. */
export function noteSecret(build: Build, id: string): boolean {
  return secretValue(build, id) !== undefined;
}

/**
 * Throws `denied` when the layers that the build adds to the target, its config, or its history hold a secret that a
 * step of this build used. Reads only what the steps changed, in bounded memory.
 */
export function refuseLeaks(build: Build, target: StageState): void {
  const needles = new Needles(build.secrets);
  if (needles.isEmpty) return;
  const texts: [where: string, value: unknown][] = [
    ["the image's config", target.image.config],
    ["the image's annotations", target.annotations],
    ["the image's history", target.plan.flatMap((layer) => layer.history)],
  ];
  for (const [where, value] of texts) {
    const found = findInValue(needles, value);
    if (found !== undefined) throw leak(found, where);
  }
  for (const snapshot of new Set(target.plan.flatMap((layer) => layer.stack))) {
    const found = findInDirectory(needles, snapshotPath(build.store, snapshot), "");
    if (found !== undefined) throw leak(found.needle, found.path);
  }
}

/** Where below a host directory a secret is that a step of this build used: the path in the image, and the secret's id. */
export function leakIn(build: Build, directory: string): { path: string; id: string } | undefined {
  const needles = new Needles(build.secrets);
  if (needles.isEmpty) return undefined;
  const found = findInDirectory(needles, directory, "");
  return found === undefined ? undefined : { path: found.path, id: found.needle.id };
}

function findInValue(needles: Needles, value: unknown): Needle | undefined {
  if (typeof value === "string") return needles.in(encodeName(value));
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const found = needles.in(encodeName(key)) ?? findInValue(needles, inner);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface FoundNeedle {
  needle: Needle;
  path: string;
}

function findInDirectory(needles: Needles, directory: string, shown: string): FoundNeedle | undefined {
  for (const name of readNames(directory)) {
    const path = `${directory}/${name}`;
    const inImage = `${shown}/${name}`;
    const stat = statHost(path);
    if (stat === undefined) continue;
    let needle = needles.in(encodeName(name));
    if (stat.isSymbolicLink()) needle ??= needles.in(encodeName(readLink(path)));
    else if (stat.isFile()) needle ??= findInFile(needles, path);
    if (needle !== undefined) return { needle, path: inImage };
    const below = stat.isDirectory() ? findInDirectory(needles, path, inImage) : undefined;
    if (below !== undefined) return below;
  }
  return undefined;
}

const CHUNK = 1 << 20;
let buffer: Buffer | undefined;

/** Reads through one buffer; what could be the beginning of a hit is kept in front of the next chunk. */
function findInFile(needles: Needles, path: string): Needle | undefined {
  const overlap = needles.longest - 1;
  if (buffer === undefined || buffer.length < CHUNK + overlap)
    buffer = Buffer.allocUnsafeSlow(CHUNK + overlap);
  const fd = openSync(fsPath(path), "r");
  try {
    for (let kept = 0; ; ) {
      const read = readSync(fd, buffer, kept, CHUNK, null);
      if (read === 0) return undefined;
      const filled = kept + read;
      const found = needles.in(buffer.subarray(0, filled));
      if (found !== undefined) return found;
      const keep = Math.min(overlap, filled);
      buffer.copyWithin(0, filled - keep, filled);
      kept = keep;
    }
  } finally {
    closeSync(fd);
  }
}

function leak(needle: Needle, where: string): CooperError {
  const form = needle.form === "raw" ? "" : ` (${needle.form})`;
  return new CooperError("denied", `Refusing to commit: ${where} holds the secret "${needle.id}"${form}`, {
    hint: "Delete it in the RUN that mounts it, or copy what is wanted into a later stage",
  });
}
