/** `run` with a cache: a command that was run on the same files is not run again, be it here or in a Dockerfile. */
import { realpathSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { RunOptions, RunResult, Store } from "../api-types.ts";
import { hashInTurns } from "../archive/hash-tree.ts";
import { type Digest, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { HOSTNAME } from "../build/run-step.ts";
import { settingsInput } from "../build/step-inputs.ts";
import { filesKey, noteStep } from "../container/files-key.ts";
import { isMountedForUser, requireReach } from "../container/mounting.ts";
import { HOST, parseMount, type RunMountOp } from "../container/mount-text.ts";
import { mergeRunSettings, type RunSettings } from "../container/run-settings.ts";
import { readSecret, secretKeyTexts } from "../container/secret.ts";
import { adoptSnapshot, freezeContainer, type WorkingContainer } from "../container/working-container.ts";
import { stepKey } from "../plan/cache-key.ts";
import { absolutePath } from "../plan/container-path.ts";
import { DEFAULT_PATH, EnvList } from "../plan/env-list.ts";
import type { MountOp, RunOp } from "../plan/types.ts";
import { knownStep, rememberStep } from "../store/step-cache.ts";
import { imageInput } from "./run-mounts.ts";
import { filesOf } from "./store.ts";

/**
 * Runs a command by `execute`, which is told the host name, unless the cache knows what it gives. Only what succeeds is
 * remembered. Throws `usage` for what makes a run differ from time to time, `in-use` for a mounted container.
 */
export async function cachedRun(
  store: Store,
  container: WorkingContainer,
  { argv, options, settings }: { argv: string[]; options: RunOptions; settings: RunSettings },
  execute: (hostname: string) => Promise<Pick<RunResult, "exitCode" | "leaks">>,
): Promise<RunResult> {
  requireKnown(store, container, options);
  const files = filesOf(store);
  const mounts = (options.mounts ?? []).map(parseMount);
  const op = opOf(container, argv, options, mounts);
  const inMounts = await Promise.all(mounts.map((mount) => mountInputs(store, mount, options)));
  const inputs = [
    ...inMounts.flat(),
    ...textInput(settingsInput(mergeRunSettings(container.run, settings))),
    ...textInput(options.hostname === undefined ? undefined : `hostname ${options.hostname}`),
  ];
  const parent = await filesKey(files, container, options.signal);
  const key = stepKey(parent, { op }, inputs);
  const found = knownStep(files, key);
  if (found !== undefined) {
    const { snapshot, result } = found;
    if (snapshot !== null) adoptSnapshot(files, container, snapshot);
    noteStep(files, container, { parent, key, identity: result ?? snapshot });
    return { exitCode: 0, cached: true };
  }
  const ended = await execute(options.hostname ?? HOSTNAME);
  // What holds a secret is not for others to find.
  if (ended.exitCode !== 0 || ended.leaks !== undefined) return { ...ended, cached: false };
  const snapshot = freezeContainer(files, container) ?? null;
  noteStep(files, container, { parent, key, identity: snapshot });
  rememberStep(files, [key], { snapshot, result: null, created: Date.now() });
  return { ...ended, cached: false };
}

/** Throws when the command's result may depend on what no key can tell of. */
function requireKnown(store: Store, container: WorkingContainer, options: RunOptions): void {
  requireReach(store.runRoot, container);
  if (isMountedForUser(filesOf(store), container)) {
    throw new CooperError(
      "in-use",
      `Cannot run with the cache in ${container.name ?? container.id}: it is mounted, and may be written to meanwhile`,
      { hint: `unmount it first: cooper umount ${container.name ?? container.id}` },
    );
  }
  const { terminal, inherit, stdin } = options;
  if (terminal === true || inherit === true || stdin !== undefined)
    throw new CooperError("usage", "A run with the cache takes no input: no terminal, and nothing on stdin");
}

const textInput = (text: string | undefined): Digest[] => (text === undefined ? [] : [digestOf(text)]);

/** The command as a Dockerfile's RUN, so that both have one key. */
function opOf(container: WorkingContainer, argv: string[], options: RunOptions, mounts: MountOp[]): RunOp {
  const config = container.image.config ?? {};
  const env = new EnvList(config.Env);
  if (!env.has("PATH")) env.setEntry(DEFAULT_PATH);
  for (const entry of options.env ?? []) env.setEntry(entry);
  return {
    kind: "run",
    argv,
    env: env.entries(),
    args: [],
    proxyEnv: [],
    user: options.user ?? config.User ?? "",
    cwd: workingDirectory(config.WorkingDir, options.workingDir),
    mounts: mounts.map(keyedMount),
    network: "default",
    security: "sandbox",
    script: undefined,
  };
}

function workingDirectory(base = "/", asked = ""): string {
  return asked.startsWith("/") ? absolutePath(asked) : absolutePath(base, asked);
}

/** Where files come from is nothing beside what they are. */
function keyedMount(mount: MountOp): MountOp {
  return mount.type === "bind" && mount.from === HOST ? { ...mount, source: "" } : mount;
}

/** What a mount shows that is there before the command runs. */
async function mountInputs(
  store: Store,
  mount: RunMountOp,
  { secrets = [], signal }: RunOptions,
): Promise<Digest[]> {
  if (mount.type === "tmpfs") return [];
  if (mount.type === "secret") {
    const secret = secrets.find(({ id }) => id === mount.id);
    const value = secret === undefined ? undefined : readSecret(secret);
    return secretKeyTexts(filesOf(store).db, secret ?? mount, value).map(digestOf);
  }
  if (mount.from === HOST) return [await hostFiles(mount.source, signal)];
  const image = await imageInput(store, mount.from, signal);
  return image === undefined ? [] : [image];
}

/** What a file or directory of the host holds. */
function hostFiles(path: string, signal: AbortSignal | undefined): Promise<Digest> {
  const real = realpathSync(path);
  const [sourceRoot, source] = statSync(real).isDirectory() ? [real, "."] : [dirname(real), basename(real)];
  const request = { sourceRoot, sources: [source], wildcards: false, parents: false };
  return hashInTurns(request, { itself: true }, { signal });
}
