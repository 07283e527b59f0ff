/** From a command line to an exit status. */
import { fstatSync } from "node:fs";
import { CooperError, isDiskFull, withHint, wrapError } from "../base/errors.ts";
import type { Store } from "../index.ts";
import { COMMAND_NAMES, ALIASES, loadAllCommands, loadCommand } from "./catalog.ts";
import type { Command, FlagTable, GlobalValues } from "./command.ts";
import { GLOBAL_FLAGS, globalValues, UNSUPPORTED_GLOBALS } from "./global-flags.ts";
import { writeOut } from "./output.ts";
import { type ParsedLine, parseFlags } from "./parse-flags.ts";
import { commandRefusal } from "./refusals.ts";
import type { Cancellation } from "./signals.ts";
import { nearestName } from "./suggest.ts";
import { PROGRAM } from "./version.ts";

const TOP_FLAGS = {
  ...GLOBAL_FLAGS,
  version: { type: "bool", short: "v", help: "show the version" },
} as const satisfies FlagTable;

/** What was asked for, after the whole line was checked; nothing has been touched yet. */
export type Request =
  | { kind: "text"; text: string }
  | { kind: "command"; command: Command; line: ParsedLine; globals: GlobalValues };

/** Reads the whole command line. Throws `usage` and `unsupported`. */
export async function readRequest(argv: string[]): Promise<Request> {
  const top = parseFlags(argv, {
    flags: TOP_FLAGS,
    unsupported: UNSUPPORTED_GLOBALS,
    stopsAtFirstArgument: true,
  });
  let [name, ...rest] = top.args;
  if (name === "__complete")
    return { kind: "text", text: await completed([...argv.slice(0, -top.args.length), ...rest]) };
  if (top.values.version) [name, rest] = ["version", ["--short"]];
  const wantsHelp = top.help || name === "help";
  if (name === "help") name = rest[0];
  if (name === undefined) return { kind: "text", text: await topHelp() };
  let command = await loadCommand(name);
  if (command === undefined) throw unknownCommand(name);
  if (command.subcommands !== undefined) {
    const entered = await enterGroup(command, top.args[0] === "help" ? top.args.slice(2) : rest);
    if (entered.command === command || wantsHelp)
      return { kind: "text", text: await helpOf(entered.command) };
    command = entered.command;
    rest = entered.rest;
  }
  if (wantsHelp) return { kind: "text", text: await helpOf(command) };
  const line = parseFlags(rest, {
    flags: { ...GLOBAL_FLAGS, ...command.flags },
    unsupported: [...(command.unsupported ?? []), ...UNSUPPORTED_GLOBALS],
    ...(command.stopsAtFirstArgument === undefined
      ? {}
      : { stopsAtFirstArgument: command.stopsAtFirstArgument }),
  });
  if (line.help) return { kind: "text", text: await helpOf(command) };
  const globals = globalValues(mergeGlobals(top, line));
  checkArguments(command, line.args);
  return { kind: "command", command, line, globals };
}

/** For the shells' completion scripts. */
async function completed(words: string[]): Promise<string> {
  const { complete, completionLines, listStoreNames } = await import("./complete.ts");
  return completionLines(await complete(words, listStoreNames));
}

/** The member of a group that a line goes on with; the group itself where it does not, or asks for help. */
async function enterGroup(group: Command, rest: string[]): Promise<{ command: Command; rest: string[] }> {
  const line = parseFlags(rest, {
    flags: GLOBAL_FLAGS,
    unsupported: UNSUPPORTED_GLOBALS,
    stopsAtFirstArgument: true,
  });
  const before = rest.slice(0, rest.length - line.args.length);
  const members = group.subcommands ?? {};
  const wantsHelp = line.help || line.args[0] === "help";
  const [name, ...others] = line.args[0] === "help" ? line.args.slice(1) : line.args;
  if (name === undefined) return { command: group, rest: [] };
  if (!Object.hasOwn(members, name)) {
    const near = nearestName(name, Object.keys(members));
    throw new CooperError("usage", `Unknown command ${JSON.stringify(`${group.name} ${name}`)}`, {
      hint:
        near === undefined
          ? `${PROGRAM} ${group.name} --help lists the commands`
          : `did you mean ${group.name} ${near}?`,
    });
  }
  const { command } = await members[name]!();
  return { command, rest: wantsHelp ? ["--help"] : [...before, ...others] };
}

/** Executes a request; returns its exit status. `onGlobals` learns the global flags before anything can fail. */
export async function execute(
  request: Extract<Request, { kind: "command" }>,
  cancel: () => Cancellation,
): Promise<number> {
  const { command, line, globals } = request;
  const need = command.namespace?.(line.args, line.values as never);
  if (need !== undefined) {
    // May replace the process by one that reads the same command line again inside the namespace.
    const api = await import("../index.ts");
    await api.enterUserNamespace({ ...locations(globals), ...need });
  }
  const { signal } = cancel();
  let opened: Promise<Store> | undefined;
  const store = () => {
    opened ??= import("../index.ts").then((api) =>
      api.openStore({
        ...locations(globals),
        ...(globals.driver === undefined ? {} : { driver: globals.driver }),
      }),
    );
    return opened;
  };
  const context = {
    args: line.args,
    flags: line.values as never,
    given: line.given,
    signal,
    globals,
    api: () => import("../index.ts"),
    store,
  };
  try {
    return (await command.run(context)) ?? 0;
  } catch (error) {
    const root = (await opened?.catch(() => undefined))?.root;
    throw root === undefined ? error : hintingAtRoom(error, root);
  } finally {
    const store = await opened?.catch(() => undefined);
    if (store !== undefined) await (await import("../index.ts")).leaveStore(store);
  }
}

/** A failure for want of room says how the store can make some. */
function hintingAtRoom(error: unknown, root: string): unknown {
  if (!isDiskFull(error) || (error instanceof CooperError && error.hint !== undefined)) return error;
  const told = error instanceof CooperError ? error : wrapError("The disk is full", error);
  return withHint(
    told,
    `cooper prune makes room where the store is (${root}); cooper rm and rmi remove more`,
  );
}

/** Prints a request that is only text. */
export function printText(request: Extract<Request, { kind: "text" }>): void {
  writeOut(request.text);
}

function locations(globals: GlobalValues): { root?: string; runRoot?: string } {
  return {
    ...(globals.root === undefined ? {} : { root: globals.root }),
    ...(globals.runRoot === undefined ? {} : { runRoot: globals.runRoot }),
  };
}

function mergeGlobals(top: ParsedLine, line: ParsedLine): Record<string, unknown> {
  const merged: Record<string, unknown> = {};
  for (const name of Object.keys(GLOBAL_FLAGS))
    merged[name] = line.given.has(name) ? line.values[name] : top.values[name];
  return merged;
}

/** As wide as the terminal, where it has not room for all. */
async function helpWidth(): Promise<number> {
  const { WIDTH } = await import("./help.ts");
  // What asks a terminal takes some milliseconds to load.
  if (!fstatSync(1).isCharacterDevice()) return WIDTH;
  const { terminalSize } = await import("../base/terminals.ts");
  return Math.min(WIDTH, Math.max(40, terminalSize(1)?.columns ?? WIDTH));
}

async function topHelp(): Promise<string> {
  const { programHelp } = await import("./help.ts");
  return asCalled(programHelp(PROGRAM, await loadAllCommands(), TOP_FLAGS, await helpWidth()));
}

async function helpOf(command: Command): Promise<string> {
  const { commandHelp } = await import("./help.ts");
  const loads = Object.values(command.subcommands ?? {});
  const members = await Promise.all(loads.map(async (load) => (await load()).command));
  return asCalled(commandHelp(PROGRAM, command, GLOBAL_FLAGS, members, await helpWidth()));
}

/** Examples name the program as it was called. */
function asCalled(help: string): string {
  return PROGRAM === "cooper" ? help : help.replace(/\bcooper (?=[a-z-])/g, `${PROGRAM} `);
}

function unknownCommand(name: string): CooperError {
  const refusal = commandRefusal(name);
  if (refusal !== undefined)
    return new CooperError("unsupported", `The command ${JSON.stringify(name)} is not supported: ${refusal}`);
  const near = nearestName(name, [...COMMAND_NAMES, ...Object.keys(ALIASES)]);
  return new CooperError("usage", `Unknown command ${JSON.stringify(name)}`, {
    hint: near === undefined ? `${PROGRAM} --help lists the commands` : `did you mean ${near}?`,
  });
}

/** Throws `usage` when a command has too few or too many arguments. */
export function checkArguments(command: Command, args: string[]): void {
  const { min = 0, max = 0, missing, excess } = command.args ?? {};
  const hint = `usage: ${PROGRAM} ${command.name} ${command.usage}`.trimEnd();
  if (args.length < min) {
    const need = `${command.name} needs at least ${min} argument${min === 1 ? "" : "s"}, got ${args.length}`;
    throw new CooperError("usage", missing ?? need, { hint });
  }
  if (args.length > max) {
    const most =
      max === 0
        ? `${command.name} takes no arguments`
        : `${command.name} takes at most ${max} argument${max === 1 ? "" : "s"}`;
    throw new CooperError("usage", excess ?? `${most}, got ${args.length}`, { hint });
  }
}
