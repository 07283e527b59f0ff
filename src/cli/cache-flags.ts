/** --cache-from, --cache-to and --cache-ttl of `build`: Buildah's form, a repository, and BuildKit's, `type=…`. */
import { CooperError } from "../base/errors.ts";
import type { CacheExportOptions, CachePlaceOptions } from "../index.ts";
import { parseCsvLine } from "./csv.ts";
import { parseDuration } from "./units.ts";

/** `registry/repository`, `type=registry,ref=NAME[,mounts=true]`, `type=local,src=PATH[,mounts=true]`. */
export function parseCacheFrom(text: string): CachePlaceOptions {
  const fields = new Fields("--cache-from", text);
  const place = placeOf(fields, "src");
  fields.end();
  return place;
}

/** The same with `dest`, and `mode`, `compression`, `ignore-error`. */
export function parseCacheTo(text: string): CacheExportOptions {
  const fields = new Fields("--cache-to", text);
  const mode = fields.choice("mode", ["min", "max"]);
  const compression = fields.choice("compression", ["gzip", "zstd"]);
  const ignoreErrors = fields.bool("ignore-error");
  // What BuildKit must be told for some registries is how entries are written always.
  for (const always of ["oci-mediatypes", "image-manifest"])
    if (fields.bool(always) === false)
      throw fields.bad(`entries are always written so, ${always}=false is not possible`);
  const place = placeOf(fields, "dest");
  fields.end();
  return {
    ...place,
    ...(mode === undefined ? {} : { mode }),
    ...(compression === undefined ? {} : { compression }),
    ...(ignoreErrors === undefined ? {} : { ignoreErrors }),
  };
}

/** Seconds. */
export function parseCacheTtl(text: string): number {
  const seconds = parseDuration(text, "--cache-ttl") / 1e9;
  if (seconds < 0) throw new CooperError("usage", `--cache-ttl must not be negative: ${text}`);
  return seconds;
}

function placeOf(fields: Fields, directory: "src" | "dest"): CachePlaceOptions {
  const mounts = fields.bool("mounts");
  const what = mounts === undefined ? {} : { mounts };
  const type = fields.take("type");
  if (type === "registry") {
    const ref = fields.take("ref");
    if (!ref) throw fields.bad("it has no ref");
    return { type, ref, ...what };
  }
  if (type === "local") {
    const path = fields.take(directory);
    if (!path) throw fields.bad(`it has no ${directory}`);
    return { type, path, ...what };
  }
  if (type === undefined) throw fields.bad("it has no type");
  throw fields.bad(`caches of type ${type} are not supported`, "unsupported");
}

/** `key=value,key=value`; a text without `=` is a repository. */
class Fields {
  readonly #flag: string;
  readonly #text: string;
  readonly #values = new Map<string, string>();

  constructor(flag: string, text: string) {
    this.#flag = flag;
    this.#text = text;
    const parts = parseCsvLine(text);
    if (parts.length === 1 && !text.includes("=")) {
      this.#values.set("type", "registry").set("ref", text);
      return;
    }
    for (const part of parts) {
      const at = part.indexOf("=");
      if (at === -1) throw this.bad(`"${part}" is not key=value`);
      this.#values.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1));
    }
  }

  take(key: string): string | undefined {
    const value = this.#values.get(key);
    this.#values.delete(key);
    return value;
  }

  choice<T extends string>(key: string, choices: readonly T[]): T | undefined {
    const value = this.take(key);
    if (value === undefined) return undefined;
    const chosen = choices.find((choice) => choice === value);
    if (chosen === undefined) throw this.bad(`${key} is ${choices.join(" or ")}, not "${value}"`);
    return chosen;
  }

  bool(key: string): boolean | undefined {
    const value = this.choice(key, ["true", "false", "1", "0"]);
    return value === undefined ? undefined : value === "true" || value === "1";
  }

  /** Throws for what nobody took. */
  end(): void {
    const [unknown] = this.#values.keys();
    if (unknown !== undefined) throw this.bad(`it has an unknown key ${unknown}`);
  }

  bad(why: string, code: "usage" | "unsupported" = "usage"): CooperError {
    const path = this.#flag === "--cache-from" ? "src" : "dest";
    return new CooperError(code, `Cannot use ${this.#flag} ${JSON.stringify(this.#text)}: ${why}`, {
      hint: `write it as registry/repository, type=registry,ref=NAME or type=local,${path}=DIRECTORY`,
    });
  }
}
