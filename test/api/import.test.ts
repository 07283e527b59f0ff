// Protects what a program pays for importing the library: nothing but the class of errors is loaded, and nothing is done.
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const src = resolve(import.meta.dir, "../../src");
const transpiler = new Bun.Transpiler({ loader: "ts" });

/** The files that importing one loads, itself included; types load nothing. */
function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const { kind, path } of transpiler.scan(readFileSync(file, "utf8")).imports)
    if (kind === "import-statement") loadedBy(path.startsWith(".") ? join(dirname(file), path) : path, seen);
  return seen;
}

test("importing the API loads the errors alone", () => {
  const loaded = [...loadedBy(join(src, "index.ts"))].map((file) => relative(src, file));
  expect(loaded.sort()).toEqual(["base/errors.ts", "index.ts"]);
});

test("importing it starts nothing, opens nothing, and lets a program end", () => {
  const code = `import(${JSON.stringify(join(src, "index.ts"))}).then(() => console.log(process.listenerCount("SIGTERM"), process.exitCode ?? "none"))`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["-e", code], { encoding: "utf8" });
  expect([stdout, stderr, status]).toEqual(["0 none\n", "", 0]);
});
