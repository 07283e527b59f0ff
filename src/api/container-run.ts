/** Running a command in a working container. */
import type { RunOptions, RunResult, Store } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { type EventSink, ignoreEvents } from "../base/events.ts";
import { emulatorHint, hasEmulator, isForeign } from "../container/foreign-programs.ts";
import { runInTree } from "../container/run-in-tree.ts";
import { networkNeed, runSpec } from "../container/run-spec.ts";
import { findShell, type Shell } from "../container/shell.ts";
import { mergeRunSettings, type RunSettings, sandboxSettings } from "../container/run-settings.ts";
import type { WorkingContainer } from "../container/working-container.ts";
import { storageLimit } from "../sandbox/containers-conf.ts";
import { selectSandbox } from "../sandbox/select-sandbox.ts";
import type { Sandbox } from "../sandbox/types.ts";
import { withRoot } from "./container-access.ts";
import { selfCommand } from "./namespace.ts";
import type { OpenMounts } from "./run-mounts.ts";
import { filesOf } from "./store.ts";

/** What a run is asked for beside the cache. */
type Plain = Omit<RunOptions, "cache">;
type Ended = Pick<RunResult, "exitCode" | "leaks">;

/** Runs a command as Container.run() says; its caller holds the lock. */
export async function runInContainer(
  store: Store,
  container: WorkingContainer,
  argv: string[],
  { cache, ...options }: RunOptions,
): Promise<RunResult> {
  const { namespaces } = mergeRunSettings(container.run, splitOptions(options).settings);
  if (options.hostname !== undefined && namespaces?.uts === "host")
    throw new CooperError("usage", "A host name cannot be set where the host's own is shared (--uts host)");
  const hostnameAsked = options.hostname !== undefined;
  const hint = (exitCode: number) =>
    exitCode !== 0 && cannotExecute(container) ? { hint: emulatorHint(container.image) } : {};
  const execute = (more: Plain) =>
    runFound(store, container, () => ({ argv, mounts: [] }), { ...options, ...more }, hostnameAsked);
  if (cache !== true) {
    const ended = await execute({});
    return { ...ended, cached: false, ...hint(ended.exitCode) };
  }
  const { cachedRun } = await import("./cached-run.ts");
  const { settings } = splitOptions(options);
  const run = { argv, options, settings };
  const result = await cachedRun(store, container, run, (hostname) => execute({ hostname }));
  const limit = storageLimit();
  if (limit !== undefined && !result.cached) {
    const { keepWithinLimit } = await import("./storage-limit.ts");
    keepWithinLimit(store, limit, { onEvent: options.onEvent ?? ignoreEvents });
  }
  return { ...result, ...hint(result.exitCode) };
}

/** Its streams may be the command's own, so that the kernel's answer is not seen here. */
function cannotExecute({ image }: WorkingContainer): boolean {
  return isForeign(image) && !hasEmulator(image);
}

/** Runs a shell as Container.shell() says; its caller holds the lock. */
export function shellInContainer(store: Store, container: WorkingContainer, options: Plain): Promise<Ended> {
  return runFound(store, container, findShell, options, options.hostname !== undefined);
}

async function runFound(
  store: Store,
  container: WorkingContainer,
  find: (root: string) => Shell,
  options: Plain,
  hostnameAsked: boolean,
): Promise<Ended> {
  const { own, settings } = splitOptions(options);
  const { env, user, workingDir, hostname, terminal, inherit, stdin, signal } = own;
  const sandbox = sandboxOf(store, container, settings, options.onEvent);
  const inRoot = async (root: string, wasMounted: boolean, open?: OpenMounts): Promise<Ended> => {
    const command = find(root);
    const spec = runSpec(container, root, {
      argv: command.argv,
      env: env ?? [],
      ...(user === undefined ? {} : { user }),
      ...(workingDir === undefined ? {} : { workingDir }),
      ...(hostname === undefined ? {} : { hostname }),
      hostnameAsked,
      ...(terminal === undefined ? {} : { terminal }),
      mounts: [...(open?.mounts ?? []), ...command.mounts],
      ...(open === undefined ? {} : { secretEnv: open.env }),
      settings,
    });
    const files = filesOf(store);
    const run = async ({ onStdout, onStderr }: Plain) => {
      const io = {
        ...(inherit === undefined ? {} : { inherit }),
        ...(stdin === undefined ? {} : { stdin }),
        ...(onStdout === undefined ? {} : { onStdout }),
        ...(onStderr === undefined ? {} : { onStderr }),
        ...(signal === undefined ? {} : { signal }),
      };
      const { exitCode } = await runInTree(files, container, sandbox, spec, io, wasMounted);
      return { exitCode };
    };
    if (open === undefined || open.secrets.size === 0) return await run(own);
    const { redactedOutput, refuseLeft } = await import("./run-secrets.ts");
    const { output, end } = redactedOutput(open.secrets, own);
    const ended = await run(output);
    end();
    return { ...ended, ...(await refuseLeft(files, container, open.secrets, own.allowSecretLeaks)) };
  };
  try {
    // While the files are mounted and the command is found.
    sandbox.expect(networkNeed(mergeRunSettings(container.run, settings)));
    return await withMounts(store, container, own, (open) =>
      withRoot(store, container, "by-name", (root, wasMounted) => inRoot(root, wasMounted, open)),
    );
  } finally {
    await sandbox.close();
  }
}

async function withMounts<T>(
  store: Store,
  container: WorkingContainer,
  options: Plain,
  action: (open: OpenMounts | undefined) => Promise<T>,
): Promise<T> {
  const { mounts = [], secrets = [], signal } = options;
  if (mounts.length === 0) return await action(undefined);
  const { ids } = mergeRunSettings(container.run, options);
  const { openMounts } = await import("./run-mounts.ts");
  const open = await openMounts(store, { texts: mounts, secrets, ids }, signal);
  try {
    return await action(open);
  } finally {
    open.close();
  }
}

/** What is of this run alone, and what containers keep, too. */
function splitOptions(options: Plain): { own: Plain; settings: RunSettings } {
  const {
    env,
    user,
    workingDir,
    hostname,
    mounts,
    secrets,
    allowSecretLeaks,
    terminal,
    inherit,
    stdin,
    onStdout,
    onStderr,
    onEvent: _,
    signal,
    ...settings
  } = options;
  return { own: options, settings };
}

/** The sandbox for a container's commands. */
export function sandboxOf(
  store: Store,
  container: WorkingContainer,
  settings: RunSettings,
  onEvent: EventSink = ignoreEvents,
): Sandbox {
  return selectSandbox({
    ...sandboxSettings(mergeRunSettings(container.run, settings)),
    runtimeDir: store.runRoot,
    selfCommand: selfCommand(),
    onWarning: (message) => onEvent({ type: "warning", message }),
  });
}
