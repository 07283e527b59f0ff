import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { CooperError } from "../../base/errors.ts";
import { findProgram, signalNumber } from "../../base/process.ts";
import type { Container, Store } from "../../index.ts";
import { type CommandContext, defineCommand } from "../command.ts";

/** buildah-unshare(1) */
export const command = defineCommand({
  name: "unshare",
  summary: "Run a command in the user namespace that the store's files belong to",
  usage: "[--] [COMMAND [ARG…]]",
  args: { max: Number.POSITIVE_INFINITY },
  flags: {
    mount: {
      type: "commaList",
      short: "m",
      placeholder: "[variable=]container",
      help: "mount a container while the command runs, and tell it the path in a variable",
    },
  },
  details: ["Without a command, runs $SHELL. The exit status is the command's."],
  examples: [
    "cooper unshare id",
    "cooper unshare cat /proc/self/uid_map",
    "cooper unshare --mount root=work sh -c 'npm install --prefix $root/app'",
  ],
  stopsAtFirstArgument: true,
  // Without mounts the command itself enters the namespace, in this process's place.
  namespace: (_args, flags) => {
    const first = flags.mount[0];
    return first === undefined ? undefined : { container: splitMount(first).container };
  },
  async run({ args, flags, signal, globals, store, api }) {
    const env: Record<string, string | undefined> = { ...process.env };
    if (globals.root !== undefined) env.COOPER_ROOT = resolve(globals.root);
    if (globals.runRoot !== undefined) env.COOPER_RUNROOT = resolve(globals.runRoot);
    if (flags.mount.length === 0) {
      const { executeUnshared } = await api();
      return await executeUnshared(args, env);
    }
    const argv = args.length > 0 ? args : [env.SHELL || "/bin/sh"];
    return withMounts(flags.mount, { api, signal }, await store(), env, () => spawn(argv, env));
  },
});

function splitMount(text: string): { variable: string; container: string } {
  const at = text.indexOf("=");
  return at === -1
    ? { variable: text, container: text }
    : { variable: text.slice(0, at), container: text.slice(at + 1) };
}

function programOf(name: string): string {
  const program = name.includes("/") ? name : findProgram(name);
  if (program === undefined)
    throw new CooperError("run-failed", `Cannot run ${name}: it is not on PATH`, { exitCode: 127 });
  return program;
}

/** A process is in one namespace: that of the first container, when it is mounted already. */
function mountedElsewhere(name: string): CooperError {
  return new CooperError("in-use", `Container ${name} is mounted in another namespace`, {
    hint: `cooper umount ${name}, so that it can be mounted together with the first`,
  });
}

async function withMounts(
  mounts: string[],
  { api, signal }: Pick<CommandContext, "api" | "signal">,
  store: Store,
  env: Record<string, string | undefined>,
  run: () => Promise<number>,
): Promise<number> {
  const { listContainers, openContainer } = await api();
  const mountedBefore = new Set(
    (await listContainers(store)).flatMap(({ id, mountPoint }) => (mountPoint === undefined ? [] : [id])),
  );
  const toUnmount: Container[] = [];
  try {
    for (const mount of mounts) {
      signal.throwIfAborted();
      const { variable, container: name } = splitMount(mount);
      const container = await openContainer(store, name);
      const path = await container.mount();
      if (!existsSync(path)) throw mountedElsewhere(name);
      env[variable] = path;
      if (!mountedBefore.has(container.id)) toUnmount.push(container);
    }
    return await run();
  } finally {
    for (const container of toUnmount.reverse()) await container.umount();
  }
}

async function spawn(argv: string[], env: Record<string, string | undefined>): Promise<number> {
  const child = Bun.spawn([programOf(argv[0]!), ...argv.slice(1)], {
    env,
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  });
  await child.exited;
  if (child.exitCode !== null) return child.exitCode;
  return 128 + signalNumber(String(child.signalCode));
}
