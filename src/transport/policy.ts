/**
 * containers-policy.json(5): which images this host takes. Cooper verifies no signatures yet: a requirement other than
 * `insecureAcceptAnything` refuses.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { CooperError, errnoOf, messageOf, wrapError } from "../base/errors.ts";
import { parseReference } from "../oci/reference.ts";
import { formatTransport, type TransportReference } from "../oci/transport-reference.ts";

const requirements = v.pipe(
  v.array(v.looseObject({ type: v.string() })),
  v.minLength(1, "has no requirement"),
);
const policyFile = v.strictObject({
  default: requirements,
  transports: v.optional(v.record(v.string(), v.record(v.string(), requirements)), {}),
});
type Policy = v.InferOutput<typeof policyFile>;

/**
 * Throws `denied` unless the policy lets images of this location in. The file is `given`, else the user's, else the
 * system's; where there is none, everything is let in. Throws `invalid`, and `not-found` for one that was given.
 */
export function requireAllowed(reference: TransportReference, given?: string): void {
  const found = given === undefined ? findPolicy() : readPolicy(given);
  if (found === undefined) return;
  const { policy, path } = found;
  const transport = policy.transports[reference.transport] ?? {};
  const scope = scopesOf(reference).find((one) => Object.hasOwn(transport, one));
  for (const { type } of scope === undefined ? policy.default : transport[scope]!) {
    if (type === "insecureAcceptAnything") continue;
    const where = scope === undefined ? "by default" : `for ${reference.transport}:${scope}`;
    const why =
      type === "reject"
        ? `the policy ${path} rejects it ${where}`
        : `the policy ${path} demands "${type}" ${where}, which Cooper cannot verify`;
    throw new CooperError("denied", `Cannot read ${formatTransport(reference)}: ${why}`, {
      hint: "change the policy, or take the image from a place that it trusts",
    });
  }
}

/** Scopes that a location is in, the narrowest first; the last, empty one is that of the transport. */
function scopesOf(reference: TransportReference): string[] {
  switch (reference.transport) {
    case "docker":
      return [...dockerScopes(reference.name), ""];
    case "oci":
    case "oci-archive": {
      const path = resolve(reference.path);
      const named = reference.reference === undefined ? [] : [`${path}:${reference.reference}`];
      return [...named, ...parents(path), ""];
    }
    case "dir":
      return [...parents(resolve(reference.path)), ""];
    default:
      return [""];
  }
}

/** `reg/a/b:1`, `reg/a/b`, `reg/a`, `reg`, then `*.` and what the host is below. */
function dockerScopes(name: string): string[] {
  const { registry = "", repository } = parseReference(name);
  const parts = repository.split("/");
  const paths = parts.map((_, i) => `${registry}/${parts.slice(0, parts.length - i).join("/")}`);
  const labels = registry.split(".");
  const wildcards = labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join(".")}`);
  return [name, ...paths, registry, ...wildcards];
}

/** A path and the directories above it, without the root, which is no scope. */
function parents(path: string): string[] {
  const found: string[] = [];
  for (let at = path; at !== dirname(at); at = dirname(at)) found.push(at);
  return found;
}

interface FoundPolicy {
  policy: Policy;
  path: string;
}

function findPolicy(): FoundPolicy | undefined {
  const home = process.env.HOME ?? homedir();
  for (const path of [`${home}/.config/containers/policy.json`, "/etc/containers/policy.json"]) {
    try {
      return readPolicy(path);
    } catch (error) {
      if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw error;
    }
  }
  return undefined;
}

function readPolicy(path: string): FoundPolicy {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw wrapError(
      `Cannot read the policy ${path}`,
      error,
      errnoOf(error) === "ENOENT" ? "not-found" : "system",
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CooperError("invalid", `The policy ${path} is not valid JSON: ${messageOf(error)}`);
  }
  const result = v.safeParse(policyFile, json, { abortEarly: true });
  if (result.success) return { policy: result.output, path };
  const field = v.getDotPath(result.issues[0]) ?? "";
  throw new CooperError(
    "invalid",
    `The policy ${path} is malformed, "${field}": ${result.issues[0].message}`,
  );
}
