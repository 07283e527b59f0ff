/**
 * Makes the npm packages in dist/npm, and their tarballs: `cooper` with the library and the launcher, and one package with
 * the program for each platform, of which npm installs the one that fits. `--all`, `--target NAME` as for `npm run build`.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { buildFor } from "./build.ts";
import { must, REPOSITORY, TARGETS, type Target, targetsOf } from "./targets.ts";

const manifest = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8"));

const packageName = ({ name }: Target) => `@cooper/${name}`;

const shared = { version: manifest.version, license: manifest.license, os: manifest.os };

function writeManifest(directory: string, content: object): void {
  writeFileSync(join(directory, "package.json"), `${JSON.stringify(content, undefined, 2)}\n`);
}

/** The package with the program for a target, in `directory`. */
function platformPackage(target: Target, program: string, directory: string): void {
  mkdirSync(join(directory, "bin"), { recursive: true });
  copyFileSync(program, join(directory, "bin/cooper"));
  chmodSync(join(directory, "bin/cooper"), 0o755);
  writeManifest(directory, {
    name: packageName(target),
    description: `${manifest.description} (${target.name})`,
    ...shared,
    cpu: [target.cpu],
    libc: [target.libc],
    files: ["bin"],
  });
}

/** The package that is named in a program's dependencies: sources for Bun, a client for Node.js, types for both. */
function mainPackage(directory: string): void {
  for (const part of ["src", "node", "bin"])
    cpSync(join(REPOSITORY, part), join(directory, part), { recursive: true });
  for (const file of ["README.md", "CHANGELOG.md", "LICENSE"])
    copyFileSync(join(REPOSITORY, file), join(directory, file));
  declareTypes(join(directory, "types"));
  const { bun: _, ...dependencies } = manifest.dependencies;
  writeManifest(directory, {
    name: manifest.name,
    description: manifest.description,
    ...shared,
    type: "module",
    bin: manifest.bin,
    exports: {
      ".": { types: "./types/index.d.ts", bun: "./src/index.ts", default: "./node/index.js" },
      "./package.json": "./package.json",
    },
    engines: { node: ">=20", bun: `>=${manifest.dependencies.bun}` },
    dependencies,
    optionalDependencies: Object.fromEntries(
      TARGETS.map((target) => [packageName(target), manifest.version]),
    ),
  });
}

/** Declarations of the API, which any TypeScript project reads: the sources themselves would need this one's settings. */
function declareTypes(directory: string): void {
  const options = ["--declaration", "--emitDeclarationOnly", "--noEmit", "false"];
  const tsc = join(REPOSITORY, "node_modules/.bin/tsc");
  must([tsc, "-p", join(REPOSITORY, "scripts/tsconfig.types.json"), ...options, "--outDir", directory], {
    cwd: REPOSITORY,
  });
  keepReachable(directory);
}

/** Takes away what the API's declarations do not lead to. */
function keepReachable(directory: string): void {
  const wanted = new Set<string>();
  const visit = (path: string) => {
    if (wanted.has(path)) return;
    wanted.add(path);
    for (const [, specifier] of readFileSync(path, "utf8").matchAll(/(?:from |import\()"(\.[^"]+)\.ts"/g))
      visit(join(path, "..", `${specifier}.d.ts`));
  };
  visit(join(directory, "index.d.ts"));
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !wanted.has(path)) rmSync(path);
  }
}

/** Makes the packages for these targets below `directory`; returns the tarballs' paths, the main one first. */
export async function packageNpm(targets: readonly Target[], directory: string): Promise<string[]> {
  rmSync(directory, { recursive: true, force: true });
  const main = join(directory, "cooper");
  mainPackage(main);
  const made = [main];
  for (const target of targets) {
    const own = join(directory, `cooper-${target.name}`);
    platformPackage(target, await buildFor(target), own);
    made.push(own);
  }
  return made.map((source) => {
    const name = must(["npm", "pack", "--loglevel=error", "--pack-destination", directory, source], {
      cwd: directory,
    });
    return join(directory, name.trim().split("\n").at(-1)!);
  });
}

if (import.meta.main) {
  try {
    const directory = join(REPOSITORY, "dist/npm");
    for (const path of await packageNpm(targetsOf(process.argv.slice(2)), directory))
      console.log(path.slice(REPOSITORY.length + 1));
  } catch (error) {
    console.error(`package: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
