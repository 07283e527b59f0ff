// Protects the program as a process: exit statuses, streams, help, and that nothing is touched before the line is checked.
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { version } from "../../package.json";

const program = resolve(import.meta.dir, "../../bin/cooper");
const directory = mkdtempSync(join(tmpdir(), "cooper-program-"));
const root = join(directory, "root");
afterAll(() => rmSync(directory, { recursive: true, force: true }));

// The sources: dist/cooper, which bin/cooper prefers, may be older.
const sources = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];

function cooper(argv: string[], options: { command?: string; env?: Record<string, string> } = {}) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [...(options.command === undefined ? sources : [options.command]), ...argv],
    {
      env: {
        PATH: process.env.PATH,
        HOME: directory,
        COOPER_ROOT: root,
        COOPER_RUNROOT: join(directory, "run"),
        ...options.env,
      },
      cwd: directory,
    },
  );
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

describe("usage errors: status 125, a message on stderr, nothing on stdout, no store", () => {
  const cases: [argv: string[], message: RegExp][] = [
    [["nosuch"], /Unknown command "nosuch"/],
    [["imagse"], /did you mean image/],
    [["manifest", "ad"], /did you mean manifest add/],
    [["manifest", "add", "x"], /list and an image/],
    [["manifest", "create", "--amend", "--replace", "x"], /Only one of/],
    [["manifest", "annotate", "x"], /must be named/],
    [["manifest", "push", "--compression-format=lzma", "x"], /lzma/],
    [["image", "copy", "x"], /source and a destination/],
    [["diff"], /must be named/],
    [["diff", "--format", "yaml", "x"], /yaml/],
    [["history", "-q", "--format", "{{.ID}}", "x"], /Only one of/],
    [["prune", "--filter", "size=1"], /Unsupported filter/],
    [["prune", "--filter", "until=whenever"], /Cannot read the time/],
    [["save", "--format", "zip", "x"], /zip/],
    [["untag"], /must be named/],
    [["source", "add", "x"], /what is added/],
    [["mkcw"], /"mkcw" is not supported: .*attestation/],
    [["--bogus", "images"], /Unknown flag: --bogus/],
    [["--storage-opt", "x", "images"], /storage option "x"/],
    [["--cgroup-manager=systemd", "images"], /"systemd"/],
    [["--imagestore", "x", "images"], /--imagestore is not supported: .*OCI layout/],
    [["--log-level", "zz", "images"], /log level "zz"/],
    [["--storage-driver", "zfs", "images"], /"zfs"/],
    [["images", "--no-such"], /Unknown flag: --no-such/],
    [["images", "-Z"], /'Z' in -Z/],
    [["images", "a", "b"], /at most 1 argument/],
    [["images", "--format", "{{.ID"], /not closed/],
    [["images", "-a", "x"], /--all/],
    [["from"], /"scratch"/],
    [["from", "--decryption-key=k", "x"], /--decryption-key is not supported: encrypted/],
    [["from", "--isolation", "zz", "x"], /"zz"/],
    [["from", "x", "--name", "y"], /after the first argument/],
    [["run"], /container must be named/],
    [["run", "c"], /command must be given/],
    [["run", "c", "--"], /command must be given/],
    [["run", "--terminal=maybe", "c", "x"], /"maybe"/],
    [["copy"], /container must be named/],
    [["copy", "c"], /source must be given/],
    [["copy", "--ignorefile", "x", "c", "y"], /--contextdir/],
    [["config"], /container must be named/],
    [["commit"], /container must be named/],
    [["commit", "--format", "zz", "c", "x"], /"zz"/],
    [["commit", "a", "b", "c"], /at most 2/],
    [["tag", "a"], /at least 2/],
    [["rename", "a", "b", "c"], /at most 2/],
    [["rm"], /container must be named/],
    [["rm", "-a", "x"], /--all/],
    [["rmi"], /image must be named/],
    [["rmi", "-a", "-p"], /--all and --prune/],
    [["rmi", "-p", "x"], /--prune/],
    [["umount"], /container must be named/],
    [["umount", "-a", "x"], /--all/],
    [["push"], /image must be named/],
    [["push", "-D", "--compression-format", "gzip", "a", "dir:b"], /contradict/],
    [["pull"], /image must be named/],
    [["inspect"], /must be named/],
    [["inspect", "--type", "x", "y"], /"x"/],
    [["containers", "x"], /no arguments/],
    [["containers", "--filter", "zz=1"], /"zz=1"/],
    [["bud", "a", "b"], /at most 1/],
    [["bud", "--build-arg"], /needs an argument/],
    [["bud", "--rm=false"], /containers go with it/],
    [["bud", "--sign-by=x", "."], /--sign-by is not supported: .*cosign/],
    [["bud", "--timestamp", "soon"], /"soon"/],
    [["version", "x"], /no arguments/],
  ];
  for (const [argv, message] of cases) {
    test(argv.join(" "), () => {
      const { exitCode, stdout, stderr } = cooper(argv);
      expect(stderr).toMatch(/^Error: /);
      expect(stderr).toMatch(message);
      expect(stderr).not.toContain("    at ");
      expect(stdout).toBe("");
      expect(exitCode).toBe(125);
      expect(
        readdirSync(directory).filter((name) => name === "root" && existsSync(join(root, "cooper.db"))),
      ).toEqual([]);
    });
  }
});

describe("text", () => {
  test("version", () => {
    const { exitCode, stdout } = cooper(["version"]);
    expect(exitCode).toBe(0);
    expect(stdout).toStartWith(`Version:         ${version}\n`);
    const json = JSON.parse(cooper(["version", "--json"]).stdout);
    expect(json).toMatchObject({ version, osArch: expect.stringMatching(/^linux\//) });
    // Those of Buildah 1.43.2.
    expect(Object.keys(json)).toEqual(
      expect.arrayContaining(
        "version goVersion imageSpec runtimeSpec cniSpec libcniVersion imageVersion gitCommit built osArch buildPlatform".split(
          " ",
        ),
      ),
    );
    for (const flag of ["--version", "-v"])
      expect(cooper([flag]).stdout).toStartWith(`cooper version ${version} (image-spec `);
  });

  test("help, however it is asked for, goes to stdout", () => {
    const top = cooper(["--help"]);
    expect(top.exitCode).toBe(0);
    expect(top.stdout).toContain("\nCommands:\n");
    expect(cooper([]).stdout).toBe(top.stdout);
    expect(cooper(["help"]).stdout).toBe(top.stdout);
    const run = cooper(["run", "--help"]);
    expect(run.stdout).toContain("cooper run [FLAGS] CONTAINER");
    for (const argv of [
      ["help", "run"],
      ["--help", "run"],
      ["run", "-h"],
    ])
      expect(cooper(argv).stdout).toBe(run.stdout);
    expect(cooper(["bud", "--help"]).stdout).toBe(cooper(["build", "--help"]).stdout);
    expect(cooper(["help", "nosuch"]).exitCode).toBe(125);
  });
});

test("a symbolic link named buildah is the same program, relative or absolute, also by way of PATH", () => {
  symlinkSync(program, join(directory, "buildah"));
  symlinkSync("./buildah", join(directory, "again"));
  for (const command of [join(directory, "buildah"), "./again"]) {
    expect(cooper(["version"], { command })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(version),
    });
  }
  const path = `${directory}:${process.env.PATH}`;
  expect(cooper(["-c", "buildah version"], { command: "/bin/sh", env: { PATH: path } }).stdout).toContain(
    version,
  );
});

test("a reader that goes away is no error", () => {
  const { stdout, stderr } = cooper(["-c", `${program} help build | head -1`], { command: "/bin/sh" });
  expect(stdout.split("\n")).toHaveLength(2);
  expect(stderr).toBe("");
});

test("without Bun and without a compiled file it says what to do", () => {
  const bare = join(directory, "bare/bin");
  Bun.spawnSync(["mkdir", "-p", bare]);
  Bun.spawnSync(["cp", program, bare]);
  const { exitCode, stderr } = cooper(["version"], { command: join(bare, "cooper") });
  expect(exitCode).toBe(125);
  expect(stderr).toContain("npm ci");
});
