// Protects completion: the scripts are valid, and in bash give what the command line then takes.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { people } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { Terminal } from "../support/tmux.ts";

setDefaultTimeout(30_000);

const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];

function script(shell: string) {
  const { status, stdout, stderr } = spawnSync(program[0]!, [program[1]!, "completion", shell], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

describe("bash", () => {
  /** What bash offers at the end of a line, with a cooper that has two containers and an image. */
  function offers(...words: string[]): string[] {
    using scratch = scratchDirectory("completion");
    mkdirSync(scratch.file("bin"));
    const stub =
      "#!/bin/sh\ncase $1 in containers) echo work; echo other;; images) echo localhost/hello:latest;; esac\n";
    writeFileSync(scratch.file("bin/cooper"), stub, { mode: 0o755 });
    writeFileSync(scratch.file("script"), script("bash").stdout);
    const line = ["cooper", ...words].map((word) => `'${word}'`).join(" ");
    const code = `set -eu +e; source ${scratch.file("script")}; COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _cooper; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${scratch.file("bin")}:${process.env.PATH}` };
    const { stdout, stderr } = spawnSync("bash", ["-c", code], { encoding: "utf8", env });
    expect(stderr).toBe("");
    return stdout.split("\n").filter((one) => one !== "");
  }

  const cases: [line: string[], offered: string[]][] = [
    [["com"], ["commit", "completion"]],
    [["bu"], ["build", "bud", "build-using-dockerfile"]],
    [["--root", "/x", "unm"], ["unmount"]],
    [["commit", "--squ"], ["--squash"]],
    [["bud", "--no-cache-f"], ["--no-cache-filter"]],
    [["run", "w"], ["work"]],
    [["run", "-"], expect.arrayContaining(["--user", "-t", "--root", "--help"]) as never],
    [["rmi", "localhost/"], ["localhost/hello:latest"]],
    [["manifest", "an"], ["annotate"]],
    [["manifest", "annotate", "--ar"], ["--arch"]],
    // A value, and what takes no names, are left to bash, which completes files.
    [["commit", "--iidfile", "w"], []],
    [["no-such-command", "x"], []],
  ];
  test.each(cases)("%j", (line, offered) => {
    expect(offers(...line)).toEqual(offered);
  });

  test("hidden flags are not offered", () => {
    expect(offers("run", "--tt")).toEqual([]);
  });
});

test("zsh gets bash's through its bashcompinit", () => {
  const { stdout } = script("zsh");
  expect(stdout.startsWith("#compdef cooper\n")).toBe(true);
  const ofBash = script("bash").stdout;
  expect(stdout).toContain(ofBash.slice(ofBash.indexOf("{\n"), ofBash.indexOf("complete -o")));
  if (Bun.which("zsh") !== null) expect(spawnSync("zsh", ["-n"], { input: stdout }).status).toBe(0);
});

test("fish: every line is one completion, quoted", () => {
  const { stdout } = script("fish");
  const lines = stdout.trimEnd().split("\n").slice(1);
  expect(lines.length).toBeGreaterThan(300);
  for (const line of lines)
    expect(line).toMatch(/^complete -c cooper( -\w+ ('(?:[^'\\]|\\.)*'|[\w-]+)| -r)+$/);
  if (Bun.which("fish") !== null) expect(spawnSync("fish", ["-n"], { input: stdout }).status).toBe(0);
});

test("another shell is refused", () => {
  const { status, stderr } = script("tcsh");
  expect([status, stderr.includes('"tcsh"')]).toEqual([125, true]);
});

describe("names of what is there", () => {
  /** Each says what it offers for `cooper rmi` and for a container, in bash and zsh of a store that the line names. */
  const shells: [
    shell: string,
    flags: string[],
    offers: (script: string, elsewhere: string) => string,
    container: string,
  ][] = [
    [
      "bash",
      [],
      (script, elsewhere) => `source ${script}
COMP_WORDS=(cooper rmi ''); COMP_CWORD=2; _cooper; printf '%s\\n' "\${COMPREPLY[@]}"
COMP_WORDS=(cooper --root ${elsewhere} rm ''); COMP_CWORD=4; _cooper; printf '%s\\n' "\${COMPREPLY[@]}"`,
      "far",
    ],
    [
      "zsh",
      ["-f"],
      (script, elsewhere) => `source ${script}
COMP_WORDS=(cooper rmi ''); COMP_CWORD=2; words=($COMP_WORDS); CURRENT=3; compgen -F _cooper_words -- ''
COMP_WORDS=(cooper --root ${elsewhere} rm ''); COMP_CWORD=4; words=($COMP_WORDS); CURRENT=5; compgen -F _cooper_words -- ''`,
      "far",
    ],
    [
      "fish",
      ["-N"],
      (script) => `source ${script}; complete -C "cooper rmi l"; complete -C "cooper rm o"`,
      "other",
    ],
  ];
  let site: Site;
  const elsewhere = () => `${site.dir}/elsewhere`;
  beforeAll(async () => {
    site = openSite(people[0]!);
    await site.ok("from", "--name", "other", "scratch");
    await site.ok("--root", elsewhere(), "from", "--name", "far", "scratch");
    await site.ok("commit", "other");
    await site.ok("commit", "other", "localhost/named");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  for (const [shell, flags, offers, container] of shells) {
    test.skipIf(Bun.which(shell) === null)(shell, async () => {
      const file = `${site.files({ script: script(shell).stdout })}/script`;
      const { stdout, stderr } = await site.run([shell, ...flags, "-c", offers(file, elsewhere())]);
      expect(stderr).toBe("");
      expect(stdout.split(/\s+/).filter((one) => one !== "")).toEqual(["localhost/named:latest", container]);
    });
  }

  test.skipIf(Bun.which("zsh") === null)("zsh, from a directory of $fpath, at the first Tab", async () => {
    const directory = site.files({ _cooper: script("zsh").stdout });
    using terminal = new Terminal(site.person, site.work, site.environment(), [100, 20]);
    terminal.type("exec zsh -f");
    terminal.type(`fpath=(${directory} $fpath); autoload -U compinit; compinit -D -u; clear; echo ready`);
    await terminal.shows(/^ready$/m);
    terminal.press("cooper rmi l");
    terminal.press("Tab");
    const { text } = await terminal.shows(/cooper rmi localhost\/named:latest/);
    expect(text).not.toMatch(/not found|_cooper/);
  });
});
