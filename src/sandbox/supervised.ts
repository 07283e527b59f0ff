/** Command lines below a supervisor, for runs without a PID namespace of their own. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Supervision } from "./plain-supervisor.ts";
import { isPrivate } from "./namespaces.ts";
import type { RunSpec } from "./types.ts";

/** For launch(): nothing where the run has its own PID namespace. `directory`: the run's own; `pidFile`: in which a
 * runtime writes the PID of the command. */
export function supervisorFor(
  spec: RunSpec,
  selfCommand: string[],
  directory: string,
  pidFile?: string,
): { supervisor?: (argv: string[]) => string[] } {
  if (isPrivate(spec, "pid")) return {};
  return {
    supervisor: (argv) => {
      const file = join(directory, "supervise.json");
      const supervise: Supervision = {
        parent: process.pid,
        argv,
        ...(pidFile === undefined ? {} : { pidFile }),
      };
      writeFileSync(file, JSON.stringify({ supervise }));
      return [...selfCommand, "__sandbox-init", file];
    },
  };
}
