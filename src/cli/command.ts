/** The one table that describes a command: parsing, help, and later completion and man pages derive from it. */
import type { Store } from "../index.ts";

/** What a flag's value is and how repetition and commas are read. The names in brackets are those of Go's pflag. */
export type FlagType =
  | "bool" // --flag, --flag=false
  | "string" // the last one wins
  | "int"
  | "list" // each occurrence adds one value (stringArray)
  | "commaList"; // each occurrence adds the fields of one CSV line (stringSlice)

export interface Flag {
  type: FlagType;
  help: string;
  /** One letter. */
  short?: string;
  /** What stands for the value in the help; default: the type. */
  placeholder?: string;
  /** Shown in the help and used when neither flag nor environment give a value. */
  default?: string | number | boolean;
  /** Value of a string flag that is given without one (`--pull`); then a value needs `=`. */
  bare?: string;
  /** Environment variables that give the default, the first that is set. */
  env?: readonly string[];
  /** A boolean that only ever has this value here: asking for the other one is refused, with this reason. */
  fixed?: string;
  hidden?: boolean;
}

export type FlagTable = Record<string, Flag>;

type ValueOf<F extends Flag> = F["type"] extends "bool"
  ? boolean
  : F["type"] extends "list" | "commaList"
    ? string[]
    : F["type"] extends "int"
      ? number | undefined
      : string | undefined;

/** Values by flag name: booleans and lists always have one, strings and numbers only when given (or by default). */
export type FlagValues<T extends FlagTable> = { [K in keyof T]: ValueOf<T[K]> };

/** What a running command gets. The store and the API are loaded when first asked for. */
export interface CommandContext<T extends FlagTable = FlagTable> {
  args: string[];
  flags: FlagValues<T>;
  /** Names of flags that the user gave, as against defaults. */
  given: ReadonlySet<string>;
  signal: AbortSignal;
  globals: GlobalValues;
  /** The public API. */
  api(): Promise<typeof import("../index.ts")>;
  /** Opens the store at its first call; main closes it. */
  store(): Promise<Store>;
}

export interface GlobalValues {
  root: string | undefined;
  runRoot: string | undefined;
  driver: "overlay" | "copy" | undefined;
  logLevel: LogLevel;
  /** Of ids, for commands in containers that are made without flags for them: INSIDE:OUTSIDE:COUNT each. */
  defaultMaps: { uids: string[]; gids: string[] };
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "panic";

/** A command needs the user namespace of the store's files; and, with a container, the one where it is mounted. */
export interface NamespaceNeed {
  container?: string;
  /** Another one, whose files are read. */
  source?: string;
}

export interface Command<T extends FlagTable = FlagTable> {
  name: string;
  aliases?: string[];
  summary: string;
  /** Arguments as the usage line shows them: `CONTAINER [COMMAND [ARG…]]`. */
  usage: string;
  /** Fewest and most arguments; default none. */
  args?: { min?: number; max?: number; missing?: string; excess?: string };
  flags: T;
  /** Flags that Buildah or skopeo has and Cooper does not, refused by name; refusals.ts tells why. */
  unsupported?: string[];
  examples: string[];
  /** Paragraphs for the help, beyond the summary. */
  details?: string[];
  /**
   * Everything after the first argument belongs to it, `-x` included (`run`, `unshare`). Otherwise an argument that looks like
   * a flag is refused after the first argument.
   */
  stopsAtFirstArgument?: boolean;
  /** Whether it must run inside the user namespace, decided from the parsed line before anything else happens. */
  namespace?: (args: string[], flags: FlagValues<T>) => NamespaceNeed | undefined;
  /** A group: its first argument names one of these, which have the group's name before theirs (`manifest add`). */
  subcommands?: Record<string, () => Promise<{ command: Command }>>;
  /** Returns the exit status; undefined is 0. */
  run(context: CommandContext<T>): Promise<number | undefined> | number | undefined;
}

/** Types a command by its flags; the table itself is returned. */
export function defineCommand<const T extends FlagTable>(command: Command<T>): Command {
  return command as unknown as Command;
}

/** A command that only gathers others; without one of them it shows its help. */
export function defineGroup(
  group: Pick<Command, "name" | "summary" | "details" | "examples"> & {
    subcommands: NonNullable<Command["subcommands"]>;
  },
): Command {
  return {
    ...group,
    usage: "COMMAND",
    args: { max: Number.POSITIVE_INFINITY },
    flags: {},
    stopsAtFirstArgument: true,
    run: () => 0,
  };
}

/** A command that always works on file trees: on its first argument's container if it has one. */
export function onContainer(args: string[]): NamespaceNeed {
  return args[0] === undefined ? {} : { container: args[0] };
}

/** A command that works on file trees but on no particular container. */
export function onStore(): NamespaceNeed {
  return {};
}
