/** Chooses how commands are isolated: crun, else runc, else the built-in chroot. */
import { accessSync, constants } from "node:fs";
import { basename } from "node:path";
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import { chrootSandbox } from "./chroot.ts";
import { plainChrootSandbox } from "./plain-chroot.ts";
import { commandsHaveMounts } from "./mount-namespace.ts";
import { canHaveOwnProc, namespaceState, userNamespaceObstacle } from "./user-namespace.ts";
import { loadContainersConf } from "./containers-conf.ts";
import { defaultNetwork, type NetworkChoice } from "./network-choice.ts";
import { ociSandbox } from "./oci-runtime.ts";
import type { Tier } from "./tier.ts";
import type { Isolation, NetworkNeed, Sandbox } from "./types.ts";

export interface SandboxOptions {
  /** crun, runc, chroot, or Buildah's names: oci, rootless, default. Absent: the best there is. */
  isolation?: string;
  /** Name or path of an OCI runtime (--runtime), before containers.conf's. */
  runtime?: string;
  /** Global flags for it, without their dashes (--runtime-flag). */
  runtimeFlags?: string[];
  /** Directory for the state of runs, of this user alone. */
  runtimeDir: string;
  /** How to start this program, for the chroot isolation. */
  selfCommand: string[];
  /** Told when commands get another network than the one that there should be. */
  onWarning?: (message: string) => void;
}

type RuntimeName = "crun" | "runc";

/**
 * The sandbox for an isolation. Errors: `usage` for an unknown name, `unsupported` when the runtime is not there or this
 * host refuses what it takes.
 */
export function selectSandbox(options: SandboxOptions): Sandbox {
  requireRoot();
  const { runtimeDir, selfCommand, onWarning } = options;
  const common = { runtimeDir, selfCommand, onWarning };
  // A runtime that is asked for is to be used.
  const isolation = options.runtime === undefined ? (options.isolation ?? "default") : "oci";
  const flags = (options.runtimeFlags ?? []).map(runtimeFlag);
  if (flags.length > 0 && isolation === "chroot")
    throw new CooperError("usage", "--runtime-flag takes an OCI runtime, not --isolation chroot");
  const chroot = () => (commandsHaveMounts() ? chrootSandbox : plainChrootSandbox)(common);
  const oci = (found: { name: RuntimeName; program: string }) =>
    requireMounts(found.name) ??
    ociSandbox({ isolation: found.name, program: found.program, flags, ...common });
  switch (isolation) {
    case "chroot":
      return chroot();
    case "crun":
    case "runc":
      return oci(requireRuntime(isolation));
    case "oci":
    case "rootless":
      return oci(chosenRuntime(options.runtime) ?? missing("neither crun nor runc is installed"));
    case "default":
    case "": {
      const found = commandsHaveMounts() ? chosenRuntime(options.runtime) : undefined;
      if (flags.length > 0) return oci(found ?? missing("neither crun nor runc can be used"));
      return found === undefined ? chroot() : oci(found);
    }
    default:
      throw new CooperError("usage", `There is no isolation ${JSON.stringify(isolation)}`, {
        hint: "Isolations are default, oci, rootless, crun, runc and chroot",
      });
  }
}

/** What Cooper itself tells the runtime. */
const OWN_FLAGS = new Set(["root", "log", "log-format", "cgroup-manager", "rootless", "systemd-cgroup"]);

/** `debug` → `--debug`. Throws `usage`, and `unsupported` for what is Cooper's to say. */
function runtimeFlag(text: string): string {
  const name = text.split("=", 1)[0]!;
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new CooperError("usage", `Cannot read the runtime flag ${JSON.stringify(text)}`, {
      hint: "Write it without dashes: --runtime-flag debug, --runtime-flag criu=/path",
    });
  }
  if (!OWN_FLAGS.has(name)) return `--${text}`;
  throw new CooperError("unsupported", `The runtime flag ${name} cannot be given: Cooper sets it itself`);
}

/** Where even a user namespace is refused, nobody can become the users of a container. */
function requireRoot(): void {
  const state = namespaceState();
  if (state.kind !== "unprivileged") return;
  throw new CooperError(
    "unsupported",
    `Cannot run commands as user ${state.uid}: ${userNamespaceObstacle() ?? "no user namespace was entered"}`,
    {
      hint: "COPY, ADD and everything else works. For RUN, be root of this container, or allow user namespaces (`cooper doctor` says how)",
    },
  );
}

function requireMounts(runtime: string): undefined {
  if (commandsHaveMounts()) return undefined;
  throw new CooperError(
    "unsupported",
    `Cannot run commands with ${runtime}: this host refuses the namespaces for it`,
    {
      hint: "Use --isolation chroot, which does without",
    },
  );
}

/** The runtime that was asked for, by flag or containers.conf, else the first that there is. */
function chosenRuntime(
  flag: string | undefined,
  find = findProgram,
): { name: RuntimeName; program: string } | undefined {
  if (flag !== undefined && flag !== "") return requireRuntime(flag, find);
  const configured = loadContainersConf().runtime;
  if (configured !== undefined) return requireRuntime(configured, find);
  return findRuntime("crun", find) ?? findRuntime("runc", find);
}

/**
 * Program of the runtime that runs use by default; undefined where that is the built-in chroot. Error: `unsupported`
 * when containers.conf names one that is not there.
 */
export function chosenRuntimeProgram(find = findProgram): string | undefined {
  return chosenRuntime(undefined, find)?.program;
}

function requireRuntime(name: string, find = findProgram): { name: RuntimeName; program: string } {
  return findRuntime(name, find) ?? missing(`there is no runtime ${name}`);
}

function missing(reason: string): never {
  throw new CooperError("unsupported", `Cannot run commands: ${reason}`, {
    hint: "Install crun, or use --isolation chroot",
  });
}

function findRuntime(
  nameOrPath: string,
  find = findProgram,
): { name: RuntimeName; program: string } | undefined {
  const name = basename(nameOrPath);
  // Their flags differ: what is neither by name is taken for runc's relative, as most runtimes are.
  const kind: RuntimeName = name.startsWith("crun") ? "crun" : "runc";
  const configured = loadContainersConf().runtimes[nameOrPath] ?? [];
  const program = nameOrPath.includes("/")
    ? [nameOrPath].find(isExecutable)
    : (configured.find(isExecutable) ?? find(nameOrPath));
  return program === undefined ? undefined : { name: kind, program };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether commands of a tier get namespaces of their own; commandsHaveMounts() tells it where one has been entered. */
function hasNamespaces(tier: Tier): boolean {
  return tier < 3 && canHaveOwnProc();
}

/** The network of commands that ask for none, for `cooper info`. */
export function expectedNetwork(tier: Tier, need: NetworkNeed): NetworkChoice {
  if (hasNamespaces(tier)) return defaultNetwork(need);
  return { mode: "host", why: "this host refuses the namespaces for another" };
}

/** What this host has for runs of a tier, best first, for `cooper info`. */
export function listRuntimes(tier: Tier): { isolation: Isolation; program?: string }[] {
  if (tier === 4) return [];
  if (!hasNamespaces(tier)) return [{ isolation: "chroot" }];
  const oci = (["crun", "runc"] as const).flatMap((name) => {
    const found = findRuntime(name);
    return found === undefined ? [] : [{ isolation: name, program: found.program }];
  });
  return [...oci, { isolation: "chroot" }];
}
