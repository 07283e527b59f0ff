/** `type=bind|cache|tmpfs|secret,…` of `run --mount` (buildah-run(1)), as the mount of a Dockerfile's RUN that it is. */
import { statSync } from "node:fs";
import { isAbsolute, posix, resolve } from "node:path";
import { CooperError } from "../base/errors.ts";
import { absolutePath } from "../plan/container-path.ts";
import { csvFields } from "../plan/csv.ts";
import { parseGoBool } from "../plan/go-bool.ts";
import type { MountOp, Origin } from "../plan/types.ts";

/** What `run` can mount. */
export type RunMountOp = Extract<MountOp, { type: "bind" | "cache" | "tmpfs" | "secret" }>;
type CacheMount = Extract<MountOp, { type: "cache" }>;

const TARGET = ["target", "dst", "destination"];

/** Files of the host: their source is a path of it. */
export const HOST: Origin = { kind: "context", name: undefined };

/**
 * Labels (z, Z, relabel) are not needed, as for volumes; what consistency means is other systems' (Docker Desktop's);
 * nothing is mounted in a container that could be propagated.
 */
const AS_IT_IS = ["z", "Z", "relabel", "consistency", "private", "rprivate"];

/** Throws `usage`, `not-found` for a source of the host, `unsupported` for another type. */
export function parseMount(text: string): RunMountOp {
  const fields = new MountFields(text);
  const type = fields.take("type") ?? "bind";
  const mount = type === "secret" ? secretMount(fields) : mountOf(type, targetOf(fields), fields);
  fields.finish(type);
  return mount;
}

function mountOf(type: string, target: string, fields: MountFields): RunMountOp {
  switch (type) {
    case "bind":
      return bindMount(target, fields);
    case "cache":
      return cacheMount(target, fields);
    case "tmpfs":
      return {
        type,
        target,
        size: sizeOf(fields.take("tmpfs-size")),
        ...modeOf(fields, "tmpfs-mode"),
        ...(fields.take("tmpcopyup") === undefined ? {} : { copyUp: true }),
      };
    default:
      throw new CooperError(
        "unsupported",
        `Mounts of type "${type}" are not supported here (bind, cache, tmpfs and secret are)`,
      );
  }
}

function targetOf(fields: MountFields): string {
  const target = fields.take(...TARGET);
  if (target === undefined) throw fields.wrong("has no target");
  if (!isAbsolute(target)) throw fields.wrong("has a target that is not an absolute path");
  if (absolutePath(target) === "/") throw fields.wrong("would cover the root directory");
  return absolutePath(target);
}

function bindMount(target: string, fields: MountFields): RunMountOp {
  const from = fields.take("from");
  const source = fields.take("source", "src");
  const readOnly = fields.readOnly() ?? true;
  const propagation = fields.take("bind-propagation");
  if (propagation !== undefined && !/^r?private$/.test(propagation))
    throw fields.wrong(`asks for ${propagation} propagation: mounts of commands are private`);
  fields.leave(AS_IT_IS);
  if (from !== undefined)
    return { type: "bind", target, source: absolutePath(source ?? ""), from: imageOf(from), readOnly };
  if (source === undefined) throw fields.wrong("has no source");
  if (statSync(source, { throwIfNoEntry: false }) === undefined)
    throw new CooperError("not-found", `The source of "${fields.text}" does not exist`);
  return { type: "bind", target, source: resolve(source), from: HOST, readOnly };
}

/** The same caches as those of Dockerfiles. */
function cacheMount(target: string, fields: MountFields): RunMountOp {
  const from = fields.take("from");
  const mount: CacheMount = {
    type: "cache",
    target,
    id: fields.take("id") ?? target,
    sharing: sharingOf(fields),
    from: from === undefined ? undefined : imageOf(from),
    source: absolutePath(fields.take("source", "src") ?? ""),
    mode: modeOf(fields, "mode").mode ?? 0o755,
    uid: idOf(fields, "uid"),
    gid: idOf(fields, "gid"),
    readOnly: fields.readOnly() ?? false,
  };
  fields.leave(AS_IT_IS);
  return mount;
}

/** As a Dockerfile's: a file below /run/secrets unless a target is given; a variable with `env`, and then no file without. */
function secretMount(fields: MountFields): RunMountOp {
  const id = fields.take("id");
  if (id === undefined || id === "") throw fields.wrong("has no id of a secret");
  const env = fields.take("env");
  const otherwise = env === undefined ? `/run/secrets/${posix.basename(id)}` : undefined;
  return {
    type: "secret",
    id,
    target: fields.has(...TARGET) ? targetOf(fields) : otherwise,
    env: env === "" ? id : env,
    required: fields.bool("required") ?? false,
    mode: modeOf(fields, "mode").mode ?? 0o400,
    uid: idOf(fields, "uid"),
    gid: idOf(fields, "gid"),
  };
}

const imageOf = (reference: string): Origin => ({ kind: "image", reference, platform: undefined });

function sharingOf(fields: MountFields): CacheMount["sharing"] {
  const sharing = fields.take("sharing") ?? "shared";
  if (sharing === "shared" || sharing === "private" || sharing === "locked") return sharing;
  throw fields.wrong(`has a sharing that is not shared, private or locked: "${sharing}"`);
}

function modeOf(fields: MountFields, name: string): { mode?: number } {
  const text = fields.take(name);
  if (text === undefined) return {};
  if (!/^[0-7]{1,5}$/.test(text)) throw fields.wrong(`has a mode that is not an octal number: "${text}"`);
  return { mode: Number.parseInt(text, 8) };
}

function idOf(fields: MountFields, name: "uid" | "gid"): number {
  const text = fields.take(name) ?? "0";
  if (!/^\d{1,10}$/.test(text) || Number(text) >= 2 ** 32)
    throw fields.wrong(`has a ${name} that is not a number: "${text}"`);
  return Number(text);
}

/** Bytes. */
function sizeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+)([kmg]?)b?$/i.exec(text);
  if (match === null)
    throw new CooperError("usage", `"${text}" is not a size`, { hint: "write it as 64m, 1g" });
  const unit = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 }[match[2]!.toLowerCase()] ?? 1;
  return Number(match[1]) * unit;
}

/** The fields of one text, each taken once. */
class MountFields {
  readonly text: string;
  readonly #values = new Map<string, string>();

  constructor(text: string) {
    this.text = text;
    for (const part of this.#parts()) {
      const at = part.indexOf("=");
      this.#values.set(at === -1 ? part : part.slice(0, at), at === -1 ? "true" : part.slice(at + 1));
    }
  }

  /** A field in double quotes may hold commas. */
  #parts(): string[] {
    try {
      return csvFields(this.text);
    } catch {
      throw this.wrong("is not a list of fields");
    }
  }

  wrong(what: string): CooperError {
    return new CooperError("usage", `The mount "${this.text}" ${what}`);
  }

  /** The value of the first of the names that is there. */
  take(...names: string[]): string | undefined {
    const found = names.find((name) => this.#values.has(name));
    if (found === undefined) return undefined;
    const value = this.#values.get(found);
    this.#values.delete(found);
    return value;
  }

  has(...names: string[]): boolean {
    return names.some((name) => this.#values.has(name));
  }

  leave(names: readonly string[]): void {
    for (const name of names) this.#values.delete(name);
  }

  /** Undefined where nothing says. */
  readOnly(): boolean | undefined {
    const readOnly = this.bool("ro", "readonly");
    const writable = this.bool("rw", "readwrite");
    return readOnly ?? (writable === undefined ? undefined : !writable);
  }

  bool(...names: string[]): boolean | undefined {
    const text = this.take(...names);
    if (text === undefined) return undefined;
    const value = parseGoBool(text);
    if (value === undefined)
      throw this.wrong(`has a "${names[0]}" that is neither true nor false: "${text}"`);
    return value;
  }

  /** Throws `usage` for what nobody took. */
  finish(type: string): void {
    const [name] = this.#values.keys();
    if (name !== undefined)
      throw this.wrong(`has a field "${name}", which mounts of type ${type} do not have`);
  }
}
