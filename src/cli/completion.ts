/** Completion scripts for shells, made from the tables that parsing and help use. */
import type { Command, Flag, FlagTable } from "./command.ts";
import { shownFlags } from "./flag-syntax.ts";

/** A command by the words that name it: `manifest add`. */
export interface CompletedCommand {
  words: string;
  aliases: string[];
  summary: string;
  usage: string;
  flags: FlagTable;
  /** Names of the members of a group. */
  members: string[];
}

/** What `commands` and the members of groups are, flat. */
export async function completedCommands(commands: Command[]): Promise<CompletedCommand[]> {
  const all = await Promise.all(
    commands.map(async (command) => {
      const loads = Object.entries(command.subcommands ?? {});
      const members = await Promise.all(loads.map(async ([, load]) => describe((await load()).command, [])));
      const names = loads.map(([name]) => name);
      return [describe(command, names), ...members];
    }),
  );
  return all.flat();
}

function describe(command: Command, members: string[]): CompletedCommand {
  const { name, aliases = [], summary, usage, flags } = command;
  return { words: name, aliases, summary, usage, flags, members };
}

const takesValue = ({ type, bare }: Flag) => type !== "bool" && bare === undefined;

/** `--name -n …`, all that a flag may be written as. */
function spellings(flags: FlagTable, which: (flag: Flag) => boolean = () => true): string[] {
  return shownFlags(flags)
    .filter(([, flag]) => which(flag))
    .flatMap(([name, { short }]) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])]);
}

/** What the arguments of a command may be, beside files. */
function kinds(usage: string): string {
  return [/CONTAINER/.test(usage) ? "containers" : "", /IMAGE|LIST/.test(usage) ? "images" : ""]
    .filter((kind) => kind !== "")
    .join(" ");
}

/** Templates for names to complete, one on a line; images without a name have none. */
const CONTAINERS = "{{.ContainerName}}";
const IMAGES = '{{if ne .Name "<none>"}}{{.Name}}:{{.Tag}}{{end}}';

/** For bash; where it has nothing to say, bash completes files. */
export function bashCompletion(program: string, commands: CompletedCommand[], globals: FlagTable): string {
  const name = `_${program}`;
  return `# Completion of ${program} for bash: source <(${program} completion bash)
${completionFunction(name, program, commands, globals)}complete -o default -F ${name} ${program}
`;
}

/** A function that fills COMPREPLY. */
function completionFunction(
  name: string,
  program: string,
  commands: CompletedCommand[],
  globals: FlagTable,
): string {
  const top = commands.filter(({ words }) => !words.includes(" "));
  const names = top.flatMap(({ words, aliases }) => [words, ...aliases]);
  const groups = top.filter(({ members }) => members.length > 0).map(({ words }) => words);
  const cases = commands.map(({ words, aliases, usage, flags, members }) => {
    const all = { ...globals, ...flags };
    const patterns = [words, ...aliases].map((name) => `"${name}"`).join("|");
    return [
      `    ${patterns})`,
      `      flags="${spellings(all).join(" ")} --help"`,
      `      valued="${spellings(all, takesValue).join(" ")}"`,
      `      members="${members.join(" ")}"`,
      `      kinds="${kinds(usage)}" ;;`,
    ].join("\n");
  });
  return `${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local command= word i skip= flags valued members= kinds= found=
  local -a given
  local globals=" ${spellings(globals, takesValue).join(" ")} "
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $skip ]]; then skip=; continue; fi
    if [[ $word == -* ]]; then
      [[ $globals == *" $word "* ]] && skip=1
      continue
    fi
    if [[ -z $command ]]; then
      command=$word
      # Flags before the command may name another store.
      given=("\${COMP_WORDS[@]:1:$((i - 1))}")
      [[ " ${groups.join(" ")} " == *" $word "* ]] || break
    else
      command="$command $word"
      break
    fi
  done
  case $command in
    "")
      flags="${spellings(globals).join(" ")} --help --version"
      valued="$globals"
      members="${names.join(" ")} help" ;;
${cases.join("\n")}
    *) return ;;
  esac
  COMPREPLY=()
  [[ " $valued " == *" $prev "* ]] && return
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    return
  fi
  [[ $kinds == *containers* ]] && found+=" $(${program} "\${given[@]}" containers --format '${CONTAINERS}' 2>/dev/null)"
  [[ $kinds == *images* ]] && found+=" $(${program} "\${given[@]}" images --format '${IMAGES}' 2>/dev/null)"
  COMPREPLY=($(compgen -W "$members $found" -- "$cur"))
  # Colons divide words for bash: what is there already must not be repeated. zsh has another declare, and no such need.
  [[ -n \${BASH_VERSION-} ]] && declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
}
`;
}

/** For zsh, by its support for bash's functions: to be sourced, or as the file _cooper in a directory of $fpath. */
export function zshCompletion(program: string, commands: CompletedCommand[], globals: FlagTable): string {
  const name = `_${program}_words`;
  return `#compdef ${program}
(( $+functions[compdef] )) || { autoload -U +X compinit && compinit -u }
autoload -U +X bashcompinit && bashcompinit
${completionFunction(name, program, commands, globals)}complete -o default -F ${name} ${program}
# As a file of $fpath all of this is a function, which was called for the first completion.
if [[ \${funcstack[1]-} == _${program} ]]; then
  _bash_complete -o default -F ${name}
fi
`;
}

const fishText = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;

/** For fish. */
export function fishCompletion(program: string, commands: CompletedCommand[], globals: FlagTable): string {
  const lines = [
    `# Completion of ${program} for fish: ${program} completion fish | source`,
    ...flagLines(program, "", globals),
  ];
  for (const { words, aliases, summary, usage, flags, members } of commands) {
    const [name, member] = words.split(" ") as [string, string | undefined];
    const seen = `__fish_seen_subcommand_from ${[name, ...(member === undefined ? aliases : [])].join(" ")}`;
    if (member === undefined) {
      for (const one of [name, ...aliases])
        lines.push(`complete -c ${program} -n __fish_use_subcommand -fa ${one} -d ${fishText(summary)}`);
    } else {
      const absent = `${seen}; and not __fish_seen_subcommand_from ${membersOf(commands, name).join(" ")}`;
      lines.push(`complete -c ${program} -n ${fishText(absent)} -fa ${member} -d ${fishText(summary)}`);
    }
    const when = member === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${member}`;
    lines.push(...flagLines(program, when, flags));
    if (members.length > 0) continue;
    for (const kind of kinds(usage).split(" ").filter(Boolean)) {
      const format = kind === "containers" ? CONTAINERS : IMAGES;
      const list = `(${program} ${kind} --format '${format}' 2>/dev/null)`;
      lines.push(`complete -c ${program} -n ${fishText(when)} -a ${fishText(list)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function membersOf(commands: CompletedCommand[], group: string): string[] {
  return commands.find(({ words }) => words === group)?.members ?? [];
}

function flagLines(program: string, when: string, flags: FlagTable): string[] {
  return shownFlags(flags).map(([name, flag]) =>
    [
      `complete -c ${program}`,
      ...(when === "" ? [] : [`-n ${fishText(when)}`]),
      `-l ${name}`,
      ...(flag.short === undefined ? [] : [`-s ${flag.short}`]),
      ...(takesValue(flag) ? ["-r"] : []),
      `-d ${fishText(flag.help)}`,
    ].join(" "),
  );
}
