// Protects which hooks of oci-hooks(5) a command gets, by their conditions and file names, and what is no hook.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { scratchDirectory } from "../support/scratch.ts";
import { type HookFacts, hooksFor } from "../../src/sandbox/oci-hooks.ts";

const scratch = scratchDirectory("oci-hooks");
afterAll(() => scratch[Symbol.dispose]());

const FACTS: HookFacts = { command: "/bin/sh", annotations: { "org.a": "yes" }, bindMounts: false };

let directories = 0;
/** A directory of files, by name; text or a hook's JSON. */
function directory(files: Record<string, unknown>): string {
  const path = scratch.file(`hooks-${directories++}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files))
    writeFileSync(`${path}/${name}`, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}
const hook = (when: object, name = "x", stages = ["createRuntime"]) => ({
  version: "1.0.0",
  hook: { path: "/bin/true", args: [name] },
  when,
  stages,
});

test.each([
  [{ always: true }, true],
  [{ always: false }, false],
  [{}, false],
  [{ commands: ["^/bin/.*sh$"] }, true],
  [{ commands: ["bash", "/sh"] }, true],
  [{ commands: ["^sh"] }, false],
  [{ always: true, commands: ["^sh"] }, false],
  [{ annotations: { "^org\\.": "y" } }, true],
  [{ annotations: { "^org\\.": "no" } }, false],
  [{ annotations: { "^org\\.": "y", other: "" } }, false],
  [{ hasBindMounts: true }, false],
  [{ hasBindMounts: false }, false],
] as [object, boolean][])("when %j: %p", (when, applies) => {
  expect(hooksFor([directory({ "a.json": hook(when) })], FACTS) !== undefined).toBe(applies);
});

test("hasBindMounts, where a volume was asked for", () => {
  const facts = { ...FACTS, bindMounts: true };
  expect(hooksFor([directory({ "a.json": hook({ hasBindMounts: true }) })], facts)).toBeDefined();
});

test("by the names of files, whatever their case; the last directory's file of a name counts; others are none", () => {
  const always = { always: true };
  const first = directory({ "b.json": hook(always, "b"), "A.json": hook(always, "A"), "c.txt": "no" });
  const second = directory({ "b.json": hook(always, "new", ["prestart", "poststop"]) });
  const none = scratch.file("nowhere");
  const program = (name: string) => ({ path: "/bin/true", args: [name] });
  expect(hooksFor([first, none, second], FACTS)).toEqual({
    createRuntime: [program("A"), program("new")],
    poststop: [program("new")],
  });
});

describe("is refused, with the file's name:", () => {
  test.each([
    ["no JSON", "x", /JSON/],
    ["the schema of 2017", { hook: "/bin/true", stage: ["prestart"] }, /version/],
    ["another version", { ...hook({}), version: "2.0.0" }, /version/],
    ["an unknown stage", hook({ always: true }, "x", ["precreate"]), /stages/],
    ["a relative path", { ...hook({}), hook: { path: "true" } }, /hook\.path/],
    ["a program that is not there", { ...hook({}), hook: { path: "/no/such" } }, /there is no \/no\/such/],
    ["a bad pattern", hook({ commands: ["("] }), /regular expression|parenthes/i],
  ] as [string, unknown, RegExp][])("%s", (_, content, message) => {
    const place = directory({ "bad.json": content });
    expect(() => hooksFor([place], FACTS)).toThrow(message);
    expect(() => hooksFor([place], FACTS)).toThrow("bad.json");
  });
});
