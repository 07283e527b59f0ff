/** Networks for commands: the host's, none, or a namespace that pasta connects. */
import { CooperError } from "../base/errors.ts";
import type { NetworkFacts } from "./prepare-run.ts";
import type { NetworkMode } from "./types.ts";

export interface OpenNetwork extends NetworkFacts {
  /** Path of the network namespace to join, for `private`. */
  namespace?: string;
  close(): Promise<void>;
}

/** Opens the network for one run; close it afterwards. Error: `unsupported` for `private` without pasta. */
export async function openNetwork(mode: NetworkMode, _runtimeDir: string): Promise<OpenNetwork> {
  if (mode === "private") throw new CooperError("unsupported", "Cannot give the command a private network");
  return { close: async () => {} };
}
