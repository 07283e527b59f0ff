/** What takes a namespace, a mount or a cgroup, and so is refused where there are none of these. */
import { CooperError } from "../base/errors.ts";
import type { RunSpec } from "./types.ts";

/** Everything that may be asked for beside the network. Error: `unsupported`. What the outer container shares is `host`. */
export function requireNothingIsolated({
  namespaces = {},
  ids,
  limits,
  mounts,
  hostnameAsked,
  shmSizeAsked,
  kernelPathsAsked,
}: RunSpec): void {
  const refuse = (what: string, hint: string) => {
    throw new CooperError("unsupported", `Cannot run the command ${what}: this host refuses namespaces`, {
      hint,
    });
  };
  for (const [kind, choice] of Object.entries(namespaces)) {
    if (choice !== undefined && choice !== "host")
      refuse(
        `with the ${kind} namespace ${choice}`,
        "It has the outer container's: leave the flag away, or use host",
      );
  }
  if (ids !== undefined) refuse("in a user namespace of its own", "Leave --userns away, or use host");
  if (hostnameAsked) refuse("under a host name of its own", "It has the outer container's name");
  if (shmSizeAsked) refuse("with a /dev/shm of its own size", "Give the outer container one of that size");
  if (kernelPathsAsked) refuse("with other paths of /proc hidden", "It has no /proc of its own");
  if (limits !== undefined) refuse("with limits of memory or processors", "Give them to the outer container");
  for (const mount of mounts) {
    if (mount.type === "bind" && mount.overlay !== undefined)
      refuse(`with ${mount.source} under an overlay (O)`, "Mount it read-only (:ro)");
  }
}
