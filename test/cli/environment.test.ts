// Protects the environment variables that scripts for Buildah set: the same meaning here, COOPER_* first, flags before both.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { busyboxBase } from "../support/bases.ts";
import { scratchDirectory } from "../support/scratch.ts";

setDefaultTimeout(120_000);
const scratch = scratchDirectory("environment-test");
const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];

function cooper(env: Record<string, string>, ...argv: string[]) {
  const all = {
    PATH: process.env.PATH ?? "",
    HOME: scratch.path,
    XDG_RUNTIME_DIR: scratch.file("run"),
    COOPER_ROOT: scratch.file("store"),
    COOPER_RUNROOT: scratch.file("run/cooper"),
    ...env,
  };
  const { exitCode, stdout, stderr } = Bun.spawnSync([...program, ...argv], { env: all });
  return { status: exitCode, stdout: stdout.toString().trim(), stderr: stderr.toString() };
}

function ok(env: Record<string, string>, ...argv: string[]): string {
  const { status, stdout, stderr } = cooper(env, ...argv);
  if (status !== 0) throw new Error(`cooper ${argv.join(" ")}: ${stderr}`);
  return stdout;
}

beforeAll(() => {
  for (const name of ["run", "context", "tmp"]) mkdirSync(scratch.file(name));
  writeFileSync(scratch.file("context/a"), "a\n");
  writeFileSync(scratch.file("context/b"), "b\n");
  writeFileSync(scratch.file("context/Dockerfile"), "FROM scratch\nCOPY a /\nCOPY b /\n");
  ok({}, "import", busyboxBase(), "localhost/busybox");
});
afterAll(() => {
  cooper({}, "rm", "--all");
  scratch[Symbol.dispose]();
});

type Case = [env: Record<string, string>, flags: string[], expected: unknown];
const inspect = (id: string, format: string) => ok({}, "inspect", "--type", "image", "--format", format, id);

describe("the format", () => {
  const isDocker = (id: string) =>
    inspect(id, "{{.Manifest}}").includes("vnd.docker.distribution.manifest.v2");
  const cases: Case[] = [
    [{}, [], false],
    [{ BUILDAH_FORMAT: "docker" }, [], true],
    [{ BUILDAH_FORMAT: "oci" }, [], false],
    [{ COOPER_FORMAT: "docker" }, [], true],
    [{ COOPER_FORMAT: "oci", BUILDAH_FORMAT: "docker" }, [], false],
    [{ BUILDAH_FORMAT: "docker" }, ["--format", "oci"], false],
    [{ BUILDAH_FORMAT: "" }, [], false],
  ];
  test.each(cases)("commit and bud with %j %j", (env, flags, expected) => {
    const box = ok({}, "from", "scratch");
    expect(isDocker(ok(env, "commit", "-q", ...flags, box))).toBe(expected as boolean);
    expect(isDocker(ok(env, "bud", "-q", ...flags, scratch.file("context")))).toBe(expected as boolean);
  });

  test("what is no format is said with the variable's value", () => {
    const { status, stderr } = cooper({ BUILDAH_FORMAT: "tar" }, "bud", "-q", scratch.file("context"));
    expect([status, stderr.includes('"tar"')]).toEqual([125, true]);
  });
});

describe("layers", () => {
  const layers = (id: string) =>
    (JSON.parse(inspect(id, "{{json .OCIv1.rootfs.diff_ids}}")) as string[]).length;
  const cases: Case[] = [
    [{}, [], 1],
    [{ BUILDAH_LAYERS: "true" }, [], 2],
    [{ BUILDAH_LAYERS: "1" }, [], 2],
    [{ BUILDAH_LAYERS: "false" }, [], 1],
    [{ COOPER_LAYERS: "false", BUILDAH_LAYERS: "true" }, [], 1],
    [{ BUILDAH_LAYERS: "true" }, ["--layers=false"], 1],
  ];
  test.each(cases)("bud with %j %j", (env, flags, expected) => {
    expect(layers(ok(env, "bud", "-q", ...flags, scratch.file("context")))).toBe(expected as number);
  });
});

describe("isolation", () => {
  // What process 1 is and which cgroup it is in differs between a runtime and chroot.
  const kind = (env: Record<string, string>, ...flags: string[]) => {
    const box = ok({}, "from", "localhost/busybox");
    const seen = ok(
      env,
      "run",
      ...flags,
      box,
      "sh",
      "-c",
      "cat /proc/self/cgroup /proc/1/comm; echo; head -c 300 /proc/1/cmdline",
    );
    ok({}, "rm", box);
    return seen;
  };
  const chroot = () => kind({}, "--isolation", "chroot");
  const oci = () => kind({}, "--isolation", "oci");

  test("the variable does what the flag does, and the flag is stronger", () => {
    const [inChroot, inRuntime] = [chroot(), oci()];
    expect(inChroot).not.toBe(inRuntime);
    expect(kind({ BUILDAH_ISOLATION: "chroot" })).toBe(inChroot);
    expect(kind({ COOPER_ISOLATION: "chroot", BUILDAH_ISOLATION: "oci" })).toBe(inChroot);
    expect(kind({ BUILDAH_ISOLATION: "chroot" }, "--isolation", "oci")).toBe(inRuntime);
    expect(kind({ BUILDAH_ISOLATION: "rootless" })).toBe(inRuntime);
  });

  test("an unknown one is refused before anything runs", () => {
    const { status, stderr } = cooper({ BUILDAH_ISOLATION: "vm" }, "from", "scratch");
    expect([status, stderr.includes('"vm"')]).toEqual([125, true]);
  });
});

describe("the storage driver", () => {
  const driver = (env: Record<string, string>, ...flags: string[]) =>
    ok(env, ...flags, "info", "--format", "{{.store.GraphDriverName}}");
  const cases: Case[] = [
    [{}, [], "overlay"],
    [{ STORAGE_DRIVER: "vfs" }, [], "copy"],
    [{ STORAGE_DRIVER: "overlay" }, [], "overlay"],
    [{ COOPER_STORAGE_DRIVER: "copy", STORAGE_DRIVER: "overlay" }, [], "copy"],
    [{ STORAGE_DRIVER: "vfs" }, ["--storage-driver", "overlay"], "overlay"],
  ];
  test.each(cases)("%j %j", (env, flags, expected) => {
    expect(driver(env, ...flags)).toBe(expected as string);
  });

  test("containers made with one work whatever the variable says later", () => {
    const box = ok({ STORAGE_DRIVER: "vfs" }, "from", "localhost/busybox");
    expect(ok({ STORAGE_DRIVER: "overlay" }, "run", box, "echo", "works")).toBe("works");
  });

  test("one that is not there is refused by name", () => {
    expect(cooper({ STORAGE_DRIVER: "btrfs" }, "images").stderr).toContain('"btrfs"');
  });
});

test("TMPDIR is where temporary files go, and none stays there", () => {
  const box = ok({}, "from", "localhost/busybox");
  const archive = scratch.file("stdin.tar");
  const env = { TMPDIR: scratch.file("tmp") };
  ok(env, "commit", "-q", box, `docker-archive:${archive}`);
  const { exitCode, stderr } = Bun.spawnSync(
    ["sh", "-c", `cat ${archive} | "$@" pull -q docker-archive:/dev/stdin`, "sh", ...program],
    {
      env: {
        ...env,
        PATH: process.env.PATH ?? "",
        HOME: scratch.path,
        COOPER_ROOT: scratch.file("store"),
        COOPER_RUNROOT: scratch.file("run/cooper"),
      },
    },
  );
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  expect(readdirSync(scratch.file("tmp"))).toEqual([]);
  expect(readFileSync(archive).length).toBeGreaterThan(0);
  // A place that does not exist is noticed, so that it was the place.
  const missing = Bun.spawnSync(
    ["sh", "-c", `cat ${archive} | "$@" pull -q docker-archive:/dev/stdin`, "sh", ...program],
    {
      env: {
        ...process.env,
        TMPDIR: "/nowhere",
        COOPER_ROOT: scratch.file("store"),
        COOPER_RUNROOT: scratch.file("run/cooper"),
      },
    },
  );
  expect(missing.exitCode).toBe(125);
});
