/** Has the owners recorded that a command gives to files, where there is one id: by a thread for each run. */
import { closeSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { connectTo } from "../base/seccomp-supervisor.ts";
import { workerFile } from "../base/worker-file.ts";
import type { RunUser } from "./types.ts";

/** Name of the socket in the run's directory at which the thread waits for the filter's descriptor. */
export const OWNER_SOCKET = "owners";

export interface OwnerListener {
  /** Call it when no process of the run is left. */
  close(): void;
}

/**
 * Starts the thread, which waits at OWNER_SOCKET in `directory`; undefined where this kernel, or a filter in force, lets
 * no filter have a supervisor. Users other than root have no files to give away: nor is there one for them.
 */
export async function listenForOwners(directory: string, user: RunUser): Promise<OwnerListener | undefined> {
  if (user.uid !== 0) return undefined;
  const worker = new Worker(workerFile("sandbox/owner-worker.ts"));
  const isReady = await new Promise<boolean>((resolve) => {
    worker.onmessage = ({ data }: MessageEvent<"ready" | "unable">) => resolve(data === "ready");
    worker.onerror = () => resolve(false);
    worker.postMessage({ directory });
  });
  worker.unref();
  if (!isReady) {
    worker.terminate();
    return undefined;
  }
  return {
    close: () => {
      endThread(directory);
      worker.terminate();
    },
  };
}

/** A connection without a descriptor ends it; that of a run which failed before it had its filter was one already. */
function endThread(directory: string): void {
  try {
    closeSync(connectTo(directory, OWNER_SOCKET));
  } catch (error) {
    if (errnoOf(error) !== "ECONNREFUSED") throw error;
  }
}
