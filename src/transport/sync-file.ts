/** The YAML file of skopeo-sync(1): which images of which registries. */
import * as v from "valibot";
import { CooperError, messageOf } from "../base/errors.ts";
import { isDigest } from "../base/digest.ts";
import { MAX_DOCUMENT_BYTES } from "../oci/schema.ts";

/** Images of one repository; with none of the three, all of its tags. */
export interface SyncRepository {
  /** `registry.example.com/team/app` */
  name: string;
  /** Tags and digests. */
  references?: string[];
  /** Tags that match. */
  pattern?: RegExp;
  /** Tags whose versions are in this range. */
  versions?: string;
}

export interface SyncRegistry {
  registry: string;
  repositories: SyncRepository[];
  /** `USER:PASSWORD` */
  creds?: string;
  tlsVerify?: boolean;
  certDir?: string;
}

// Every scalar is read as text: a tag may look like a number (`1.10`).
const text = v.string();
const empty = v.pipe(
  v.literal(""),
  v.transform(() => undefined),
);
const flag = v.pipe(
  v.picklist(["true", "false"], "neither true nor false"),
  v.transform((value) => value === "true"),
);
const byRepository = v.optional(v.union([v.record(text, text), empty]));
const file = v.record(
  text,
  v.strictObject({
    images: v.optional(v.union([v.record(text, v.union([v.array(text), empty])), empty])),
    "images-by-tag-regex": byRepository,
    "images-by-semver": byRepository,
    credentials: v.optional(v.strictObject({ username: text, password: text })),
    "tls-verify": v.optional(flag),
    "cert-dir": v.optional(text),
  }),
);
type Entry = v.InferOutput<typeof file>[string];

/** Reads the file's text; `path` names it in errors. Throws `invalid`. */
export async function parseSyncFile(content: string, path: string): Promise<SyncRegistry[]> {
  if (content.length > MAX_DOCUMENT_BYTES)
    throw new CooperError("invalid", `${path} is larger than the ${MAX_DOCUMENT_BYTES} bytes allowed`);
  const { parse } = await import("yaml");
  let yaml: unknown;
  try {
    yaml = parse(content, { schema: "failsafe", maxAliasCount: 100 });
  } catch (error) {
    throw new CooperError("invalid", `${path} is not valid YAML: ${messageOf(error).split("\n")[0]}`, {
      cause: error,
    });
  }
  const result = v.safeParse(file, yaml, { abortEarly: true });
  if (result.success)
    return Object.entries(result.output).map(([name, entry]) => registryOf(name, entry, path));
  const field = v.getDotPath(result.issues[0]) ?? "";
  throw new CooperError("invalid", `${path} is malformed, "${field}": ${result.issues[0].message}`, {
    hint: "skopeo-sync(1) describes the file",
  });
}

function registryOf(registry: string, entry: Entry, path: string): SyncRegistry {
  const full = (repository: string) => `${registry}/${repository}`;
  const repositories = [
    ...Object.entries(entry.images ?? {}).map(([name, references]) => ({
      name: full(name),
      ...(references === undefined || references.length === 0 ? {} : { references }),
    })),
    ...Object.entries(entry["images-by-tag-regex"] ?? {}).map(([name, pattern]) => ({
      name: full(name),
      pattern: expressionOf(pattern, full(name), path),
    })),
    ...Object.entries(entry["images-by-semver"] ?? {}).map(([name, versions]) => ({
      name: full(name),
      versions: rangeOf(versions, full(name), path),
    })),
  ];
  const { credentials, "tls-verify": tlsVerify, "cert-dir": certDir } = entry;
  return {
    registry,
    repositories,
    ...(credentials === undefined ? {} : { creds: `${credentials.username}:${credentials.password}` }),
    ...(tlsVerify === undefined ? {} : { tlsVerify }),
    ...(certDir === undefined ? {} : { certDir }),
  };
}

function expressionOf(pattern: string, name: string, path: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (cause) {
    throw new CooperError("invalid", `${path} has a malformed expression for ${name}: ${pattern}`, { cause });
  }
}

const RANGE = /^[\s\dvxX*.,<>=!~^|a-zA-Z+-]*\d[\s\dvxX*.,<>=!~^|a-zA-Z+-]*$|^\s*\*\s*$/;

function rangeOf(versions: string, name: string, path: string): string {
  if (RANGE.test(versions) && !versions.includes("!=")) return versions.replaceAll(",", " ");
  throw new CooperError("invalid", `${path} has a malformed range of versions for ${name}: ${versions}`, {
    hint: "write it as >= 1.2.0, < 2.0.0 or ^1.2.0",
  });
}

/** Those of a repository's tags that are wanted. */
export function chooseTags({ pattern, versions }: SyncRepository, tags: string[]): string[] {
  if (pattern !== undefined) return tags.filter((tag) => pattern.test(tag));
  if (versions !== undefined) return tags.filter((tag) => isInRange(tag, versions));
  return tags;
}

const VERSION = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(-[0-9A-Za-z.-]+)?$/;

/** A tag that leaves the minor or the patch number away has 0 there. */
function isInRange(tag: string, range: string): boolean {
  const match = VERSION.exec(tag);
  if (match === null) return false;
  const [, major, minor = "0", patch = "0", prerelease = ""] = match;
  return Bun.semver.satisfies(`${major}.${minor}.${patch}${prerelease}`, range);
}

/** The reference as it stands behind the repository's name: `:1.0`, `@sha256:…`. */
export function suffixOf(reference: string): string {
  return isDigest(reference) ? `@${reference}` : `:${reference}`;
}
