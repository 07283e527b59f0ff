// Protects the help texts and the catalog: every command, flag and alias is there, with an example that parses.
import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { ALIASES, COMMAND_NAMES, loadAllCommands, loadCommand } from "../../src/cli/catalog.ts";
import { GLOBAL_FLAGS } from "../../src/cli/global-flags.ts";
import { commandHelp, flagLines, programHelp, wrap } from "../../src/cli/help.ts";
import { parseFlags } from "../../src/cli/parse-flags.ts";
import { checkArguments } from "../../src/cli/run-command.ts";
import { splitWords } from "../../src/cli/shell-words.ts";
import { loadEveryCommand } from "../support/members.ts";

const commands = await loadAllCommands();
const everyCommand = await loadEveryCommand();

describe.each(everyCommand.map((command) => [command.name, command] as const))("%s", (name, command) => {
  const help = commandHelp("cooper", command, GLOBAL_FLAGS);

  test("help mentions every flag, the usage, and the aliases", () => {
    for (const [flag, { hidden, short }] of Object.entries(command.flags)) {
      if (!hidden) expect(help).toContain(`${short === undefined ? "      " : `  -${short}, `}--${flag}`);
      else expect(help).not.toMatch(new RegExp(`--${flag}(?![\\w-])`));
    }
    for (const flag of Object.keys(GLOBAL_FLAGS)) expect(help).toContain(`--${flag}`);
    expect(help).toContain(`cooper ${name} [FLAGS]${command.usage === "" ? "\n" : ` ${command.usage}`}`);
    for (const alias of command.aliases ?? []) expect(help).toContain(alias);
    expect(help).not.toContain("undefined");
    for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  });

  test("the catalog knows it by its own name and aliases", async () => {
    const [group, member] = name.split(" ");
    if (member !== undefined) {
      const load = (await loadCommand(group!))?.subcommands?.[member];
      expect((await load?.())?.command).toBe(command);
      return;
    }
    expect(COMMAND_NAMES).toContain(name);
    const aliases = Object.keys(ALIASES).filter((alias) => ALIASES[alias] === name);
    expect(aliases.sort()).toEqual([...(command.aliases ?? [])].sort());
    for (const word of [name, ...aliases]) expect(await loadCommand(word)).toBe(command);
  });

  test("no flag is both accepted and refused, no short form is used twice", () => {
    const refused = new Set(command.unsupported);
    expect(Object.keys(command.flags).filter((flag) => refused.has(flag))).toEqual([]);
    const shorts = Object.values(command.flags).flatMap(({ short }) => short ?? []);
    expect(new Set(shorts).size).toBe(shorts.length);
    expect(shorts).not.toContain("h");
  });

  test("its examples are lines that it accepts", () => {
    expect(command.examples.length).toBeGreaterThan(0);
    for (const example of command.examples) {
      const words = splitWords(
        /cooper [^|)]*/.exec(example)![0].replace(/"?$/, (quote) => (example.includes('="$(') ? "" : quote)),
        "example",
      );
      const own = name.split(" ").length;
      expect([name, ...(command.aliases ?? [])]).toContain(words.slice(1, 1 + own).join(" "));
      const line = parseFlags(words.slice(1 + own), {
        flags: { ...GLOBAL_FLAGS, ...command.flags },
        stopsAtFirstArgument: command.stopsAtFirstArgument ?? false,
        env: {},
      });
      checkArguments(command, line.args);
    }
  });
});

test("the program's help lists every command with its summary", () => {
  const help = programHelp("cooper", commands, GLOBAL_FLAGS);
  for (const { name, summary } of commands) expect(help).toMatch(new RegExp(`^  ${name} +${summary}$`, "m"));
});

test("help columns: short forms, placeholders, defaults, environment, values that are optional", () => {
  const lines = flagLines({
    all: { type: "bool", short: "a", help: "everything" },
    pull: { type: "string", bare: "always", placeholder: "policy", help: "when" },
    rm: { type: "bool", default: true, help: "remove" },
    env: { type: "list", help: "variables", env: ["X", "Y"] },
    secret: { type: "bool", hidden: true, help: "not shown" },
  });
  expect(lines).toEqual([
    "  -a, --all             everything",
    "      --env string      variables (repeatable; environment: X, Y)",
    "      --pull[=policy]   when",
    "      --rm              remove (default true)",
    "  -h, --help            show this help",
  ]);
});

test("wrap breaks at blanks and never inside a word", () => {
  expect(wrap("one two three", 7)).toEqual(["one two", "three"]);
  expect(wrap("unbreakable", 3)).toEqual(["unbreakable"]);
});

test("called by a link named buildah, the help and the completion say buildah", () => {
  const called = (...argv: string[]) =>
    Bun.spawnSync([process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts"), ...argv], {
      argv0: "/usr/local/bin/buildah",
    });
  const help = called("rm", "--help").stdout.toString();
  expect(help).toContain("  buildah rm [FLAGS] CONTAINER");
  expect(help).toContain("  buildah rm --all\n");
  expect(help).not.toContain("cooper ");
  expect(called("completion", "bash").stdout.toString()).toContain("complete -F _buildah buildah\n");
  expect(called("rename", "a").stderr.toString()).toContain("usage: buildah rename ");
});

test("on a narrow terminal help keeps within its columns, but for what cannot be broken", () => {
  const build = commands.find(({ name }) => name === "build")!;
  const flags = commandHelp("cooper", build, GLOBAL_FLAGS, [], 70).split("\nFlags:\n")[1]!;
  const lines = `${programHelp("cooper", commands, GLOBAL_FLAGS, 70)}\n${flags}`.split("\n");
  expect(lines.filter((line) => line.length > 70 && / \S+ \S+$/.test(line.slice(35)))).toEqual([]);
});
