// Protects completion: what fits at the end of a line, and that bash, zsh and fish offer it at a Tab.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { loadAllCommands } from "../../src/cli/catalog.ts";
import { complete, type ListNames } from "../../src/cli/complete.ts";
import { people } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { Terminal } from "../support/tmux.ts";

setDefaultTimeout(30_000);

const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];

function script(shell: string) {
  const { status, stdout, stderr } = spawnSync(program[0]!, [program[1]!, "completion", shell], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

describe("what fits", () => {
  /** Containers and images of a store, and which store that is. */
  const listNames: ListNames = async (kind, globals) => {
    const names = kind === "containers" ? ["work", "other"] : ["localhost/hello:latest"];
    return [...names, ...globals].map((text) => ({ text, about: kind }));
  };
  const offers = async (line: string[]) => {
    const { candidates, files } = await complete(line, listNames);
    return [...candidates.map(({ text }) => text), ...(files ? ["FILES"] : [])];
  };

  const cases: [line: string[], offered: string[]][] = [
    [["com"], ["commit", "completion"]],
    [["bu"], ["build", "bud", "build-using-dockerfile"]],
    [["hel"], ["help"]],
    [["--root", "/x", "unm"], ["unmount"]],
    [["--ver"], ["--version"]],
    [["--root", ""], ["FILES"]],
    [["--log-level", "w"], ["warn"]],
    [["--storage-driver="], ["--storage-driver=overlay", "--storage-driver=copy"]],
    [["commit", "--squ"], ["--squash"]],
    [["bud", "--no-cache-f"], ["--no-cache-filter"]],
    [["bud", "-f", ""], ["FILES"]],
    [["bud", "--file=x"], ["FILES"]],
    [["bud", ""], ["FILES"]],
    [["bud", ".", ""], []],
    [
      ["bud", "--pull=n"],
      ["--pull=newer", "--pull=never"],
    ],
    // A value is never a word of its own.
    [["bud", "--pull", ""], ["FILES"]],
    [["bud", "--squash=t"], ["--squash=true"]],
    [
      ["bud", "--isolation", "c"],
      ["crun", "chroot"],
    ],
    [
      ["bud", "--network", ""],
      ["private", "host", "none"],
    ],
    [["bud", "--build-arg", ""], []],
    [["bud", "--from", ""], ["localhost/hello:latest"]],
    [["copy", "--from", "wo"], ["work"]],
    [
      ["copy", ""],
      ["work", "other"],
    ],
    [["copy", "work", ""], ["FILES"]],
    [["copy", "work", "a", "b", ""], ["FILES"]],
    [["run", "w"], ["work"]],
    [["run", "work", "--us"], ["FILES"]],
    [
      ["run", "--", ""],
      ["work", "other"],
    ],
    [["rm", "work", ""], ["other"]],
    [["rmi", "localhost/"], ["localhost/hello:latest"]],
    [
      ["inspect", ""],
      ["work", "other", "localhost/hello:latest"],
    ],
    [
      ["inspect", "--type", ""],
      ["image", "container"],
    ],
    [["tag", "localhost/hello:latest", ""], []],
    [["push", "localhost/hello:latest", ""], ["FILES"]],
    [["manifest", "an"], ["annotate"]],
    [["manifest", "annotate", "--ar"], ["--arch"]],
    [
      ["manifest", "push", "--add-compression", ""],
      ["gzip", "zstd"],
    ],
    [["manifest", "nothing", ""], ["FILES"]],
    [
      ["completion", ""],
      ["bash", "zsh", "fish"],
    ],
    [["man", "vers"], ["version"]],
    [["images", "--all", ""], ["localhost/hello:latest"]],
    [["login", ""], []],
    [["no-such-command", "x"], ["FILES"]],
    // The store that the line names.
    [["--root", "/x", "rm", "--runroot=/y", "/"], ["/x"]],
    [
      ["rm", "--root", "/x", "--r"],
      ["--registries-conf", "--registries-conf-dir", "--root", "--runroot"],
    ],
    [["run", "--tt"], []],
  ];
  test.each(cases)("%j", async (line, offered) => {
    expect(await offers(line)).toEqual(offered);
  });

  test("short flags for a dash alone; all have a description", async () => {
    const { candidates } = await complete(["run", "-"], listNames);
    expect(candidates.map(({ text }) => text)).toEqual(
      expect.arrayContaining(["-t", "--user", "--root", "--help"]),
    );
    expect(candidates.filter(({ about }) => about === "")).toEqual([]);
  });

  test("every command, each with its summary", async () => {
    const { candidates } = await complete([""], listNames);
    const commands = (await loadAllCommands()).map(({ name, summary }) => ({ text: name, about: summary }));
    expect(candidates).toEqual(expect.arrayContaining(commands));
  });
});

test("another shell is refused", () => {
  const { status, stderr } = script("tcsh");
  expect([status, stderr.includes('"tcsh"')]).toEqual([125, true]);
});

describe("names of what is there", () => {
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

  /** What a shell says that it offers at the end of lines. */
  async function offered(shell: string, flags: string[], code: string): Promise<string[]> {
    const { stdout, stderr } = await site.run([shell, ...flags, "-c", code]);
    expect(stderr).toBe("");
    return stdout.split("\n").filter((line) => line !== "");
  }

  test("bash", async () => {
    const file = `${site.files({ script: script("bash").stdout })}/script`;
    const tab = (line: string) =>
      `COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}; _cooper; printf '%s\\n' "\${COMPREPLY[@]}"; `;
    const lines = ["cooper rmi ", "cooper rmi localhost/named:l", `cooper --root ${elsewhere()} rm `];
    // Behind a colon or an equals sign bash replaces only what follows it.
    const code = `source ${file}; ${[...lines, "cooper bud --pull=ne"].map(tab).join("")}`;
    expect(await offered("bash", [], code)).toEqual([
      "localhost/named:latest",
      "latest",
      "far",
      "newer",
      "never",
    ]);
  });

  test.skipIf(Bun.which("fish") === null)("fish", async () => {
    const files = site.files({ script: script("fish").stdout, "some-file": "" });
    const lines = [
      "cooper rmi l",
      `cooper --root ${elsewhere()} rm `,
      "cooper manifest ex",
      "cooper bud --pull=ne",
      `cooper bud -f ${files}/some`,
      `cooper bud --file=${files}/some`,
      `cooper rm ${files}/some`,
    ];
    const tabs = lines.map((line) => `complete -C "${line}"`).join("; ");
    expect(await offered("fish", ["-N"], `source ${files}/script; ${tabs}`)).toEqual([
      expect.stringMatching(/^localhost\/named:latest\timage [0-9a-f]{12}$/),
      "far\tfrom scratch",
      "exists\tSay by the exit status whether there is a list of that name",
      "--pull=never",
      "--pull=newer",
      `${files}/some-file`,
      `--file=${files}/some-file`,
    ]);
  });

  test.skipIf(Bun.which("zsh") === null).each([
    ["sourced", (file: string) => `source ${file}/_cooper`],
    ["from a directory of $fpath", (file: string) => `fpath=(${file} $fpath); compinit -D -u`],
  ] as const)("zsh, %s, at the first Tab", async (_name, load) => {
    const directory = site.files({ _cooper: script("zsh").stdout });
    using terminal = new Terminal(site.person, site.work, site.environment(), [100, 30]);
    terminal.type("exec zsh -f");
    terminal.type(`autoload -U compinit; compinit -D -u; ${load(directory)}; clear; echo ready`);
    await terminal.shows(/^ready$/m);
    terminal.press("cooper rmi l");
    terminal.press("Tab");
    const { text } = await terminal.shows(/cooper rmi localhost\/named:latest/);
    expect(text).not.toMatch(/not found|_cooper/);
    terminal.press("C-u");
    terminal.press(`cooper --root ${elsewhere()} rm `);
    terminal.press("Tab");
    await terminal.shows(/ rm far/);
    terminal.press("C-u");
    terminal.press("cooper manifest a");
    terminal.press("Tab");
    await terminal.shows(/^add +-- Add an image to a list$/m);
  });
});
