/** The text of `RUN --mount=…` as fields, checked (Dockerfile reference, "RUN --mount"). */
import { CooperError } from "../base/errors.ts";
import { nearHint } from "../dockerfile/suggest.ts";
import { csvFields } from "./csv.ts";
import { parseGoBool } from "./go-bool.ts";

export type MountType = "bind" | "cache" | "tmpfs" | "secret" | "ssh";
export type Sharing = "shared" | "private" | "locked";

export interface MountFields {
  type: MountType;
  from: string | undefined;
  source: string;
  target: string;
  /** undefined: the type's default. */
  readOnly: boolean | undefined;
  required: boolean;
  /** Bytes. */
  size: number | undefined;
  id: string;
  sharing: Sharing | undefined;
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  env: string | undefined;
}

const KEYS = [
  "type",
  "from",
  "source",
  "src",
  "target",
  "dst",
  "destination",
  "readonly",
  "ro",
  "readwrite",
  "rw",
  "required",
  "id",
  "sharing",
  "size",
  "mode",
  "uid",
  "gid",
  "env",
] as const;

type Key = (typeof KEYS)[number];

/**
 * The stage, context or image that a mount names, which has to be known before anything is expanded.
 * Throws `invalid` for a text that is no list of fields, and for variables in `from`.
 */
export function mountOrigin(text: string): string | undefined {
  let from: string | undefined;
  for (const field of csvFields(text)) {
    const [key, value] = cutField(field);
    if (key !== "from" || value === undefined) continue;
    const dollar = value.indexOf("$");
    if (dollar !== -1 && dollar !== value.length - 1) {
      throw new CooperError("invalid", `Variables are not expanded in "from" of RUN --mount: "${value}"`, {
        hint: "Give the image a name with FROM … AS, where they are",
      });
    }
    from = value;
  }
  return from === "" ? undefined : from;
}

function cutField(field: string): [key: string, value: string | undefined] {
  const sign = field.indexOf("=");
  return sign === -1
    ? [field.toLowerCase(), undefined]
    : [field.slice(0, sign).toLowerCase(), field.slice(sign + 1)];
}

/** Reads the fields, each value expanded. A field may depend on those before it, as in BuildKit. Throws `invalid`. */
export function parseMountFields(text: string, expand: (value: string) => string): MountFields {
  const mount: MountFields = {
    type: "bind",
    from: undefined,
    source: "",
    target: "",
    readOnly: undefined,
    required: false,
    size: undefined,
    id: "",
    sharing: undefined,
    mode: undefined,
    uid: undefined,
    gid: undefined,
    env: undefined,
  };
  for (const field of csvFields(text)) {
    const [key, value] = cutField(field);
    if (value === undefined) setSwitch(mount, key, field);
    else setField(mount, knownKey(key, field), expand(value));
  }
  checkMount(mount);
  return mount;
}

function knownKey(key: string, field: string): Key {
  const known = KEYS.find((name) => name === key);
  if (known !== undefined) return known;
  throw new CooperError("invalid", `Unknown key "${key}" in "${field}" of RUN --mount`, {
    hint: nearHint(key, KEYS) ?? `Keys are ${KEYS.join(", ")}`,
  });
}

function setSwitch(mount: MountFields, key: string, field: string): void {
  if (key === "readonly" || key === "ro") mount.readOnly = true;
  else if (key === "readwrite" || key === "rw") mount.readOnly = false;
  else if (key === "required") setRequired(mount, true);
  else {
    const near = nearHint(key, KEYS);
    throw new CooperError(
      "invalid",
      `Field "${field}" of RUN --mount must be key=value`,
      near === undefined ? {} : { hint: near },
    );
  }
}

function setRequired(mount: MountFields, required: boolean): void {
  if (mount.type !== "secret" && mount.type !== "ssh") throw unexpected("required", mount.type);
  mount.required = required;
}

function unexpected(key: string, type: MountType): CooperError {
  return new CooperError("invalid", `Key "${key}" does not go with a mount of type ${type}`, {
    hint: "Write type=… before it",
  });
}

function setField(mount: MountFields, key: Key, value: string): void {
  switch (key) {
    case "type":
      mount.type = oneOf(key, value, ["bind", "cache", "tmpfs", "secret", "ssh"] as const);
      return;
    case "from":
      mount.from = value === "" ? undefined : value;
      return;
    case "source":
    case "src":
      mount.source = value;
      return;
    case "target":
    case "dst":
    case "destination":
      mount.target = value;
      return;
    case "readonly":
    case "ro":
      mount.readOnly = bool(key, value);
      return;
    case "readwrite":
    case "rw":
      mount.readOnly = !bool(key, value);
      return;
    case "required":
      setRequired(mount, bool(key, value));
      return;
    case "size":
      if (mount.type !== "tmpfs") throw unexpected(key, mount.type);
      mount.size = parseSize(value);
      return;
    case "id":
      mount.id = value;
      return;
    case "sharing":
      mount.sharing = oneOf(key, value, ["shared", "private", "locked"] as const);
      return;
    case "mode":
      mount.mode = whole(key, value, 8);
      return;
    case "uid":
    case "gid":
      mount[key] = whole(key, value, 10);
      return;
    case "env":
      mount.env = value;
  }
}

function oneOf<T extends string>(key: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value.toLowerCase());
  if (found !== undefined) return found;
  throw new CooperError("invalid", `Unsupported ${key} "${value}" of RUN --mount`, {
    hint: nearHint(value, allowed) ?? `It can be ${allowed.join(", ")}`,
  });
}

function bool(key: string, value: string): boolean {
  const parsed = parseGoBool(value);
  if (parsed === undefined)
    throw new CooperError("invalid", `"${key}" of RUN --mount takes true or false, not "${value}"`);
  return parsed;
}

function whole(key: string, value: string, base: 8 | 10): number {
  const number = (base === 8 ? /^[0-7]+$/ : /^\d+$/).test(value) ? Number.parseInt(value, base) : Number.NaN;
  if (number < 2 ** 32) return number;
  throw new CooperError(
    "invalid",
    `"${key}" of RUN --mount takes ${base === 8 ? "an octal" : "a"} number, not "${value}"`,
  );
}

const POWERS = "bkmgtp";

/** `64m`, `1.5 GiB`: units are powers of 1024. */
function parseSize(text: string): number {
  const [, number, unit = ""] = /^(\d+\.?\d*|\.\d+) ?(b|[kmgtp](?:i?b)?)?$/i.exec(text) ?? [];
  if (number === undefined) {
    throw new CooperError("invalid", `"size" of RUN --mount takes a size, not "${text}"`, {
      hint: "Write it as 64m, 1g",
    });
  }
  const power = unit === "" ? 0 : POWERS.indexOf(unit[0]!.toLowerCase());
  return Math.trunc(Number(number) * 1024 ** power);
}

function checkMount(mount: MountFields): void {
  const { type } = mount;
  if (type === "bind" || type === "tmpfs") {
    for (const key of ["mode", "uid", "gid"] as const)
      if (mount[key] !== undefined) throw unexpected(key, type);
  }
  if (mount.sharing !== undefined && type !== "cache") throw unexpected("sharing", type);
  if (type === "secret") checkSecret(mount);
  if (type === "ssh" && mount.source !== "") throw unexpected("source", type);
}

function checkSecret(mount: MountFields): void {
  if (mount.from !== undefined) throw unexpected("from", "secret");
  if (mount.source === "" && mount.target === "" && mount.id === "") {
    throw new CooperError("invalid", "A mount of type secret needs an id or a target", {
      hint: "Write id=NAME",
    });
  }
  if (mount.source !== "" && mount.id !== "") {
    throw new CooperError("invalid", "A mount of type secret has either an id or a source, not both");
  }
}
