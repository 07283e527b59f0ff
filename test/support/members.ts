/** Every command of the program, the members of groups among them. */
import { loadAllCommands } from "../../src/cli/catalog.ts";
import type { Command } from "../../src/cli/command.ts";

export async function loadEveryCommand(): Promise<Command[]> {
  const commands = await loadAllCommands();
  const members = commands.flatMap((command) => Object.values(command.subcommands ?? {}));
  return [...commands, ...(await Promise.all(members.map(async (load) => (await load()).command)))];
}
