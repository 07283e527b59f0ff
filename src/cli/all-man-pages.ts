/** Every manual page of the program. */
import { loadAllCommands } from "./catalog.ts";
import { GLOBAL_FLAGS } from "./global-flags.ts";
import { commandManPage, type ManPageOptions, manPageName, programManPage } from "./man-page.ts";

export interface ManPages {
  /** By the name of the file: `cooper-build.1`. */
  pages: Map<string, string>;
  /** From an alias's file to the command's. */
  links: Map<string, string>;
}

export async function allManPages(options: ManPageOptions): Promise<ManPages> {
  const file = (command: string) => `${manPageName(options.program, command)}.1`;
  const commands = await loadAllCommands();
  const pages = new Map([[file(""), programManPage(commands, GLOBAL_FLAGS, options)]]);
  const links = new Map<string, string>();
  for (const command of commands) {
    const loads = Object.values(command.subcommands ?? {});
    const members = await Promise.all(loads.map(async (load) => (await load()).command));
    pages.set(file(command.name), commandManPage(command, members, options));
    for (const member of members) pages.set(file(member.name), commandManPage(member, [], options));
    for (const alias of command.aliases ?? []) links.set(file(alias), file(command.name));
  }
  return { pages, links };
}
