/** Prints the flags of every command of a Buildah, from its `--help`, as fixtures/buildah holds them. Usage: PROGRAM */
import { spawnSync } from "node:child_process";

interface Help {
  commands: string[];
  /** short, long, kind of value, default; separated by tabs. */
  flags: string[];
}

function help(program: string, command: readonly string[]): Help {
  const { stdout } = spawnSync(program, [...command, "--help"], { encoding: "utf8" });
  const part = (title: string) =>
    new RegExp(`^${title}:\\n((?: .*\\n|\\n(?= ))*)`, "m").exec(stdout)?.[1] ?? "";
  return {
    commands: [...part("Available Commands").matchAll(/^ {2}(\S+)/gm)].map((match) => match[1]!),
    flags: [...part("Flags").matchAll(FLAG)].map(flagLine).filter((line) => !line.includes("\t--help\t")),
  };
}

/** A flag's description may go on in further lines; what matters of those is a default at the end. */
const FLAG = /^ +(?:(-\w), )?(--[\w-]+)(?:\[="[^"]*"\])?(.*(?:\n {20,}\S.*)*)/gm;

function flagLine([, short, name, rest]: RegExpMatchArray): string {
  const [, kind, text] = /^ ?(.*?)(?: {2,}|$)(.*)/s.exec(rest!) ?? [];
  const fallback = /\(default (?!to )([^()]*)\)(?: \(default [^()]*\))?$/.exec(text!.trimEnd())?.[1];
  return [short ?? "", name, kind === "" ? "bool" : kind, ...(fallback === undefined ? [] : [fallback])].join(
    "\t",
  );
}

/** The sections of one command and of those below it. */
function sections(program: string, command: readonly string[]): string[] {
  const { commands, flags } = help(program, command);
  const below =
    command[0] === "help" ? [] : commands.flatMap((name) => sections(program, [...command, name]));
  return [`[${command.join(" ")}]\n${flags.map((flag) => `${flag}\n`).join("")}`, ...below];
}

const program = process.argv[2] ?? "buildah";
const version = spawnSync(program, ["--version"], { encoding: "utf8" }).stdout.split(" ")[2];
console.log(
  `# Flags of Buildah ${version}, from the output of --help of every command: short, long, kind of value, default.\n\n${sections(program, []).join("\n")}`,
);
