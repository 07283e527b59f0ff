// Protects the time to the first word: help and version load the command line's own modules, few of them, and touch nothing.
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const src = join(import.meta.dir, "../../src");

/** What a module loads with itself, from imports that are not for types alone; the modules of Node and Bun with their names. */
function loaded(...entries: string[]): Set<string> {
  const found = new Set<string>();
  const visit = (file: string) => {
    if (found.has(file)) return;
    found.add(file);
    for (const { path, kind } of new Bun.Transpiler({ loader: "ts" }).scanImports(
      readFileSync(join(src, file), "utf8").replace(/^#!.*/, ""),
    )) {
      if (kind === "dynamic-import") continue;
      if (!path.startsWith(".")) found.add(path);
      else if (path.endsWith(".ts")) visit(relative(src, join(src, dirname(file), path)));
    }
  };
  for (const entry of entries) visit(entry);
  return found;
}

/** Slow to load: see "Start-up" in docs/architecture.md. */
const SLOW = [
  "node:tty",
  "node:crypto",
  "node:net",
  "node:zlib",
  "node:http",
  "node:https",
  "bun:sqlite",
  "valibot",
];

const commands = readdirSync(join(src, "cli/commands"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `cli/commands/${name}`);

/** Recorded: what there was beside the commands themselves, and two. When one is exceeded, load what is new where it is used. */
test.each([
  ["version", 21, ["cli/commands/version.ts"]],
  ["bud --help", 45, ["cli/help.ts", "cli/commands/build.ts"]],
  ["--help", 66, ["cli/help.ts", ...commands]],
])(
  "%s loads at most %d modules beside commands, all of src/cli and src/base, and none that is slow",
  (_command, bound, entries) => {
    const modules = [...loaded("cli/main.ts", ...entries)];
    expect(modules.filter((name) => SLOW.includes(name))).toEqual([]);
    const own = modules.filter((name) => name.endsWith(".ts"));
    expect(own.filter((name) => !/^(?:cli|base)\//.test(name))).toEqual([]);
    expect(own.filter((name) => !name.startsWith("cli/commands/")).length).toBeLessThanOrEqual(bound);
  },
);

test("help leaves no trace", () => {
  const home = mkdtempSync("/var/tmp/cooper-help-");
  try {
    const env = {
      PATH: process.env.PATH ?? "",
      HOME: home,
      XDG_RUNTIME_DIR: home,
      COOPER_ROOT: `${home}/store`,
    };
    for (const argv of [["--help"], ["bud", "--help"], ["help", "from"], ["--version"]]) {
      const { exitCode, stdout } = Bun.spawnSync([process.execPath, join(src, "cli/main.ts"), ...argv], {
        env,
      });
      expect(exitCode).toBe(0);
      expect(stdout.length).toBeGreaterThan(5);
    }
    // Bun's own cache of what it compiled.
    expect(readdirSync(home).filter((name) => name !== ".bun")).toEqual([]);
  } finally {
    rmSync(home, { recursive: true });
  }
});
