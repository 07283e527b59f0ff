/** The platforms that Cooper is compiled for, and where the runtime of each comes from. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

export const REPOSITORY = dirname(import.meta.dir);

export interface Target {
  /** As file names and npm packages have it: `linux-arm64-musl`. */
  name: string;
  /** npm's and Debian's words for the processor. */
  cpu: "x64" | "arm64";
  debian: "amd64" | "arm64";
  libc: "glibc" | "musl";
  /** npm's package with Bun for it. */
  runtime: string;
}

export const TARGETS: readonly Target[] = (["x64", "arm64"] as const).flatMap((cpu) =>
  (["glibc", "musl"] as const).map((libc) => {
    const suffix = libc === "musl" ? "-musl" : "";
    return {
      name: `linux-${cpu}${suffix}`,
      cpu,
      debian: cpu === "x64" ? ("amd64" as const) : cpu,
      libc,
      runtime: `@oven/bun-linux-${cpu === "x64" ? "x64" : "aarch64"}${suffix}`,
    };
  }),
);

/** The target of the machine that this runs on. */
export function hostTarget(): Target {
  const musl = existsSync(`/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`);
  const glibc = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].some((path) =>
    existsSync(path),
  );
  return targetNamed(`linux-${process.arch}${musl && !glibc ? "-musl" : ""}`);
}

/** Throws where there is none of that name. */
export function targetNamed(name: string): Target {
  const found = TARGETS.find((target) => target.name === name);
  if (found !== undefined) return found;
  throw new Error(`There is no target ${name}: ${TARGETS.map((target) => target.name).join(", ")} are`);
}

/** Targets that a command line asks for: `--all`, `--target NAME…`, or this machine's. */
export function targetsOf(argv: readonly string[]): Target[] {
  const asked: Target[] = [];
  for (let at = 0; at < argv.length; at++) {
    if (argv[at] === "--all") asked.push(...TARGETS);
    else if (argv[at] === "--target") asked.push(targetNamed(argv[++at] ?? ""));
    else throw new Error(`Unknown argument ${argv[at]}: --all or --target NAME`);
  }
  return asked.length === 0 ? [hostTarget()] : [...new Set(asked)];
}

/** Runs a program to its end; throws with what it wrote where it fails. Returns its standard output. */
export function must(argv: readonly string[], options: { cwd?: string } = {}): string {
  const { status, stdout, stderr, error } = spawnSync(argv[0]!, argv.slice(1), {
    encoding: "utf8",
    ...options,
  });
  if (status === 0) return stdout;
  throw new Error(`${argv.join(" ")} failed: ${error?.message ?? `${stderr}${stdout}`.trim()}`);
}

/**
 * Path of the Bun that a program for this target is made of: the version that the tests run with, from npm, which checks
 * it against the registry's digest. Kept in node_modules/.cache. Throws where the registry cannot be reached.
 */
export function runtimeFor(target: Target): string {
  const manifest = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8"));
  const version: string = manifest.dependencies.bun;
  const directory = join(REPOSITORY, "node_modules/.cache/cooper-runtimes", version);
  const kept = join(directory, target.name);
  if (existsSync(kept)) return kept;
  mkdirSync(directory, { recursive: true });
  const work = mkdtempSync(join(directory, "unpack-"));
  try {
    const pack = [
      "npm",
      "pack",
      "--loglevel=error",
      "--pack-destination",
      work,
      `${target.runtime}@${version}`,
    ];
    const archive = must(pack, { cwd: work }).trim();
    must(["tar", "-xzf", join(work, archive), "-C", work, "package/bin/bun"]);
    renameSync(join(work, "package/bin/bun"), kept);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot get the runtime for ${target.name} from npm: ${why}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return kept;
}
