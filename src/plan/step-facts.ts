/** What a step's cache key is made of, part by part: so that a later miss can be explained by what became different. */
import { digestHex, digestOf } from "../base/digest.ts";
import { keyPart } from "./cache-key.ts";
import type { Op } from "./types.ts";

/**
 * A short digest of each part by the part's name as people read it. Digests only: what is compared need not be kept, and
 * values of variables do not belong into a record.
 */
export type StepFacts = Record<string, string>;

/** Parts of an op that follow from the instruction's text; the others come from elsewhere. */
const NAMES: Record<string, string> = {
  argv: "command",
  cwd: "working directory",
  user: "user",
  network: "--network",
  security: "--security",
  script: "here-document",
  mounts: "--mount",
  destination: "destination",
  chown: "--chown",
  chmod: "--chmod",
  link: "--link",
  parents: "--parents",
  exclude: "--exclude",
  sources: "sources",
  unpack: "--unpack",
  keepGitDir: "--keep-git-dir",
  path: "directory",
};

/** What the text alone decides, or variables that are parts of their own: said only where the text is the same. */
export const OF_THE_TEXT: ReadonlySet<string> = new Set(
  Object.entries(NAMES)
    .filter(([key]) => key !== "cwd" && key !== "user")
    .map(([, name]) => name),
);

/** Parts of the step itself; what it reads besides is added with addFact(). */
export function opFacts(op: Op): StepFacts {
  const facts: StepFacts = {};
  for (const [key, value] of Object.entries(keyPart(op) ?? {})) {
    const name = NAMES[key];
    if (name !== undefined && value !== undefined) addFact(facts, name, JSON.stringify(value));
  }
  if (op.kind === "run") {
    const args = new Set(op.args.map(nameOf));
    for (const entry of op.env) {
      const name = nameOf(entry);
      addFact(facts, args.has(name) ? `build arg ${name}` : `variable ${name}`, entry);
    }
  }
  return facts;
}

const nameOf = (entry: string) => entry.split("=", 1)[0]!;

/** Adds a part; several of one name are one part. */
export function addFact(facts: StepFacts, name: string, content: string): void {
  facts[name] = digestHex(digestOf(`${facts[name] ?? ""}${content}`)).slice(0, 16);
}

export interface ChangedFact {
  input: string;
  kind: "added" | "changed" | "removed";
}

/** Parts that differ, those of `now` first. */
export function changedFacts(before: StepFacts, now: StepFacts): ChangedFact[] {
  const changes: ChangedFact[] = [];
  for (const [input, digest] of Object.entries(now)) {
    if (!Object.hasOwn(before, input)) changes.push({ input, kind: "added" });
    else if (before[input] !== digest) changes.push({ input, kind: "changed" });
  }
  for (const input of Object.keys(before))
    if (!Object.hasOwn(now, input)) changes.push({ input, kind: "removed" });
  return changes;
}
