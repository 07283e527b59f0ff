/** The rules about which part of src/ may import which, as a function that lists what breaks them. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** Parts of src/ by floor: its folders; index.ts and api-types.ts at the top belong to `api`. */
const FLOORS: Record<string, number> = {
  base: 0,
  oci: 1,
  dockerfile: 1,
  plan: 2,
  archive: 2,
  store: 3,
  transport: 3,
  sandbox: 3,
  container: 4,
  image: 4,
  build: 5,
  api: 6,
  cli: 7,
};

/** What is above the public API sees nothing else of the house. */
const ONLY: Record<string, string[]> = { cli: ["index.ts", "api-types.ts", "base/"] };

/** Where each third-party library, and each module of Bun, may be imported: files, or folders with a slash. */
const HOMES: Record<string, string[]> = {
  "bun:ffi": ["base/libc.ts"],
  "bun:sqlite": ["store/"],
  "dockerfile-ast": ["dockerfile/parse.ts"],
  "dockerfile-utils": ["dockerfile/lint.ts"],
  "@balena/dockerignore": ["dockerfile/"],
  // The tar code is our own; what it wrote is checked by somebody else's.
  "tar-stream": ["transport/validate-layer.ts"],
  "tar-fs": ["archive/"],
  valibot: ["oci/", "transport/", "sandbox/"],
  "fs-extra": ["store/", "transport/"],
  "p-limit": ["build/", "transport/"],
  ora: ["cli/"],
  yaml: ["transport/sync-file.ts"],
};

/** One line for each import that breaks a rule: `src/a/b.ts: …`. */
export function floorViolations(src: string): string[] {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .sort();
  return files.flatMap((file) => {
    const { specifiers, computed } = importsOf(readFileSync(join(src, file), "utf8"));
    const found = specifiers.map((specifier) => judge(file, specifier));
    if (computed) found.push("imports a path that is computed, which nothing can check");
    if (FLOORS[partOf(file)] === undefined) found.push(`is in no known part of src/`);
    return found.filter((line) => line !== undefined).map((line) => `src/${file}: ${line}`);
  });
}

/** `base` for base/errors.ts; `api` for the files at the top. */
function partOf(file: string): string {
  const slash = file.indexOf("/");
  if (slash !== -1) return file.slice(0, slash);
  return file === "index.ts" || file === "api-types.ts" ? "api" : file;
}

function judge(file: string, specifier: string): string | undefined {
  if (specifier.startsWith("node:")) return undefined;
  if (!specifier.startsWith(".")) return judgeLibrary(file, specifier);
  const target = normalize(join(dirname(file), specifier));
  if (target.startsWith(".."))
    return target === "../package.json" ? undefined : `imports ${specifier}, outside src/`;
  if (!target.endsWith(".ts") && !target.endsWith(".json"))
    return `imports ${specifier} without its extension`;
  const from = partOf(file);
  const to = partOf(target);
  if (from === to) return undefined;
  const allowed = ONLY[from];
  if (allowed !== undefined) {
    return isAt(target, allowed)
      ? undefined
      : `imports ${target}; ${from} may see ${allowed.join(", ")} only`;
  }
  const [here, there] = [FLOORS[from] ?? 0, FLOORS[to] ?? Number.POSITIVE_INFINITY];
  if (there > here) return `imports ${target}, which is above (floor ${there}, from ${here})`;
  if (there === here) return `imports ${target}, which is on the same floor (${here})`;
  return undefined;
}

function judgeLibrary(file: string, specifier: string): string | undefined {
  const library = specifier.startsWith("bun:")
    ? specifier
    : specifier
        .split("/")
        .slice(0, specifier.startsWith("@") ? 2 : 1)
        .join("/");
  const homes = HOMES[library];
  if (homes === undefined) return `imports ${specifier}, a library without a home (see HOMES)`;
  if (isAt(file, homes)) return undefined;
  return `imports ${specifier}, whose home is ${homes.join(", ")}`;
}

/** Whether a file is one of these files, or in one of these folders (with a slash). */
function isAt(file: string, places: string[]): boolean {
  return places.some((place) => (place.endsWith("/") ? file.startsWith(place) : file === place));
}

/** Every module that a source text names, type imports included, and whether it imports by a computed name. */
function importsOf(source: string): { specifiers: string[]; computed: boolean } {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
  const specifiers = new Set<string>();
  const statement =
    /^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']/gm;
  const call = /\b(?:import|require)\s*\(\s*["']([^"']+)["']\s*\)/g;
  for (const match of [...code.matchAll(statement), ...code.matchAll(call)])
    specifiers.add((match[1] ?? match[2])!);
  return { specifiers: [...specifiers], computed: /\b(?:import|require)\s*\(\s*[^"'\s)]/.test(code) };
}
