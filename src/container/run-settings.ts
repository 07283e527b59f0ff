/** How commands run in a container: what `from` keeps with it, and `run` and `build` may give anew. */
import type { Isolation, NetworkMode } from "../sandbox/types.ts";

export interface RunSettings {
  isolation?: Isolation;
  network?: NetworkMode;
  /** `name:ip` as --add-host has it. */
  addHosts?: string[];
  dns?: { servers?: string[]; search?: string[]; options?: string[] };
  capAdd?: string[];
  capDrop?: string[];
  /** `unconfined` or the path of a profile; default Docker's. */
  seccomp?: string;
  noNewPrivileges?: boolean;
  /** `nofile=1024:2048` as --ulimit has it. */
  ulimits?: string[];
  devices?: string[];
  /** Bytes. */
  shmSize?: number;
  /** `host:container[:options]` as --volume has it. */
  volumes?: string[];
}

/** What one run is asked for on top of what the container keeps: scalars replace, lists add. */
export function mergeRunSettings(kept: RunSettings, asked: RunSettings): RunSettings {
  const merged: RunSettings = { ...kept, ...asked };
  for (const key of ["addHosts", "capAdd", "capDrop", "ulimits", "devices", "volumes"] as const) {
    const both = [...(kept[key] ?? []), ...(asked[key] ?? [])];
    if (both.length > 0) merged[key] = both;
  }
  return merged;
}
