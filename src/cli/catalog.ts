/** Every command by each of its names; a command's module is loaded only when it is asked for. */
import type { Command } from "./command.ts";

type Load = () => Promise<{ command: Command }>;

/** In the order of the help. The bundler follows these literal imports. */
const MODULES = {
  add: () => import("./commands/add.ts"),
  api: () => import("./commands/api.ts"),
  build: () => import("./commands/build.ts"),
  check: () => import("./commands/check.ts"),
  commit: () => import("./commands/commit.ts"),
  completion: () => import("./commands/completion.ts"),
  config: () => import("./commands/config.ts"),
  containers: () => import("./commands/containers.ts"),
  copy: () => import("./commands/copy.ts"),
  diff: () => import("./commands/diff.ts"),
  digest: () => import("./commands/digest.ts"),
  doctor: () => import("./commands/doctor.ts"),
  du: () => import("./commands/du.ts"),
  enter: () => import("./commands/enter.ts"),
  explore: () => import("./commands/explore.ts"),
  export: () => import("./commands/export.ts"),
  from: () => import("./commands/from.ts"),
  history: () => import("./commands/history.ts"),
  image: () => import("./commands/image.ts"),
  images: () => import("./commands/images.ts"),
  import: () => import("./commands/import.ts"),
  info: () => import("./commands/info.ts"),
  inspect: () => import("./commands/inspect.ts"),
  load: () => import("./commands/load.ts"),
  login: () => import("./commands/login.ts"),
  logout: () => import("./commands/logout.ts"),
  man: () => import("./commands/man.ts"),
  manifest: () => import("./commands/manifest.ts"),
  mount: () => import("./commands/mount.ts"),
  prune: () => import("./commands/prune.ts"),
  pull: () => import("./commands/pull.ts"),
  push: () => import("./commands/push.ts"),
  rename: () => import("./commands/rename.ts"),
  rm: () => import("./commands/rm.ts"),
  rmi: () => import("./commands/rmi.ts"),
  run: () => import("./commands/run.ts"),
  save: () => import("./commands/save.ts"),
  source: () => import("./commands/source.ts"),
  tag: () => import("./commands/tag.ts"),
  umount: () => import("./commands/umount.ts"),
  unshare: () => import("./commands/unshare.ts"),
  untag: () => import("./commands/untag.ts"),
  version: () => import("./commands/version.ts"),
} satisfies Record<string, Load>;

/** A test holds this table to the aliases in the commands' own. */
export const ALIASES: Record<string, keyof typeof MODULES> = {
  bud: "build",
  "build-using-dockerfile": "build",
  delete: "rm",
  list: "containers",
  ls: "containers",
  ps: "containers",
  unmount: "umount",
};

export const COMMAND_NAMES: readonly string[] = Object.keys(MODULES);

/** The command of that name or alias, or undefined. */
export async function loadCommand(name: string): Promise<Command | undefined> {
  const known = Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name;
  if (!Object.hasOwn(MODULES, known)) return undefined;
  return (await MODULES[known as keyof typeof MODULES]()).command;
}

export async function loadAllCommands(): Promise<Command[]> {
  return Promise.all(Object.values<Load>(MODULES).map(async (load) => (await load()).command));
}
