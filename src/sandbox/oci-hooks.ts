/** Programs of the host that an OCI runtime runs around a command: oci-hooks(5), schema 1.0.0. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";

const Text = v.string();
const Hook = v.object({
  path: v.pipe(Text, v.startsWith("/")),
  args: v.optional(v.array(Text)),
  env: v.optional(v.array(Text)),
  /** Seconds. */
  timeout: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
});
const Stage = v.picklist([
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
]);
const File = v.object({
  version: v.literal("1.0.0"),
  hook: Hook,
  when: v.object({
    always: v.optional(v.boolean()),
    annotations: v.optional(v.record(Text, Text)),
    commands: v.optional(v.array(Text)),
    hasBindMounts: v.optional(v.boolean()),
  }),
  stages: v.array(Stage),
});

type When = v.InferOutput<typeof File>["when"];

/** `hooks` of the runtime specification's config.json. */
export type RuntimeHooks = { [S in v.InferOutput<typeof Stage>]?: v.InferOutput<typeof Hook>[] };

/** By what a hook tells whether it is for a command. */
export interface HookFacts {
  /** The command's first word. */
  command: string;
  annotations: Record<string, string>;
  /** Whether the caller asked for a volume. */
  bindMounts: boolean;
}

/**
 * The hooks for a command, in the order of their files' names; undefined for none. Of files with one name in several
 * directories the last counts. A directory that is not there has no hooks. Throws `invalid` with the file's name.
 */
export function hooksFor(directories: readonly string[], facts: HookFacts): RuntimeHooks | undefined {
  const files = new Map(directories.flatMap(hookFiles));
  const hooks: RuntimeHooks = {};
  for (const [, path] of [...files].sort(([a], [b]) => compare(a.toLowerCase(), b.toLowerCase()))) {
    const { hook, when, stages } = readHook(path);
    if (!applies(when, facts, path)) continue;
    // As Podman and Buildah: the old stage is one that runtimes may leave out.
    for (const asked of stages) {
      const stage = asked === "prestart" ? "createRuntime" : asked;
      hooks[stage] = [...(hooks[stage] ?? []), hook];
    }
  }
  return Object.keys(hooks).length === 0 ? undefined : hooks;
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function hookFiles(directory: string): [name: string, path: string][] {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith(".json"));
    return names.map((name) => [name, join(directory, name)]);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw new CooperError("invalid", `Cannot read hooks from ${directory}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function readHook(path: string): v.InferOutput<typeof File> {
  const bad = (why: string, cause?: unknown) =>
    new CooperError("invalid", `Cannot use the hook ${path}: ${why}`, { cause });
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw bad(messageOf(error), error);
  }
  const parsed = v.safeParse(File, data);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw bad(`${v.getDotPath(issue) ?? "it"}: ${issue.message}`);
  }
  const program = parsed.output.hook.path;
  if (statSync(program, { throwIfNoEntry: false }) === undefined) throw bad(`there is no ${program}`);
  return parsed.output;
}

/** Every condition that is given must hold, and at least one must be given. */
function applies(when: When, facts: HookFacts, path: string): boolean {
  const matches = (pattern: string, text: string) => {
    try {
      return new RegExp(pattern).test(text);
    } catch (error) {
      throw new CooperError("invalid", `Cannot use the hook ${path}: ${messageOf(error)}`, { cause: error });
    }
  };
  const annotations = Object.entries(facts.annotations);
  const conditions = [
    ...(when.always === undefined ? [] : [when.always]),
    ...(when.hasBindMounts === undefined ? [] : [when.hasBindMounts && facts.bindMounts]),
    ...Object.entries(when.annotations ?? {}).map(([key, value]) =>
      annotations.some(([name, text]) => matches(key, name) && matches(value, text)),
    ),
    ...(when.commands === undefined ? [] : [when.commands.some((one) => matches(one, facts.command))]),
  ];
  return conditions.length > 0 && conditions.every(Boolean);
}
