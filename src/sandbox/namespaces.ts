/** Namespaces that a command shares with the host or joins, in place of its own (--ipc, --pid, --uts, --cgroupns). */
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import type { NamespaceChoice, NetworkMode, RunSpec } from "./types.ts";

export type NamespaceKind = "ipc" | "pid" | "uts" | "cgroup";

/** Whether a run has a namespace of this kind that nobody else is in; of cgroups only where that is asked for. */
export function isPrivate(spec: Pick<RunSpec, "namespaces">, kind: NamespaceKind): boolean {
  const choice = spec.namespaces?.[kind];
  return choice === undefined ? kind !== "cgroup" : choice === "private";
}

/** Path in `ns:PATH`. */
export function namespacePath(choice: NamespaceChoice | NetworkMode | undefined): string | undefined {
  return choice?.startsWith("ns:") ? choice.slice(3) : undefined;
}

/**
 * Options of nsenter(1) for those to be joined: before a new /proc is mounted, where their paths would lead elsewhere.
 * Errors: `unsupported` for one that cannot be joined, and for PID namespaces.
 */
export function joinedNamespaces(spec: Pick<RunSpec, "namespaces">): string[] {
  if (namespacePath(spec.namespaces?.pid) !== undefined) {
    throw new CooperError(
      "unsupported",
      "Cannot run the command in another PID namespace: what it leaves running there could not be ended",
      { hint: "--pid takes private or host" },
    );
  }
  return (["ipc", "uts", "cgroup"] as const).flatMap((kind) => {
    const path = namespacePath(spec.namespaces?.[kind]);
    return path === undefined ? [] : [joinOption(kind, path)];
  });
}

/** Option of nsenter(1) that joins a namespace, which is tried. Error: `unsupported`. */
export function joinOption(kind: NamespaceKind | "net", path: string): string {
  const option = `--${kind}=${path}`;
  const nsenter = findProgram("nsenter");
  if (nsenter === undefined)
    throw new CooperError("unsupported", `Cannot join the namespace ${path}: there is no nsenter`, {
      hint: "Install util-linux",
    });
  const { exitCode, stderr } = Bun.spawnSync([nsenter, option, "true"], {
    stdin: "ignore",
    stdout: "ignore",
  });
  if (exitCode === 0) return option;
  const said = stderr
    .toString()
    .trim()
    .replace(/^nsenter: /, "");
  throw new CooperError("unsupported", `Cannot join the ${kind} namespace ${path}: ${said}`, {
    hint: "It must be a namespace of that kind, owned by this user's own user namespace or, for root, by any",
  });
}
