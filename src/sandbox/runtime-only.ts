/** What an OCI runtime does for a command beside isolating it: AppArmor profiles (apparmor(7)), hooks, kept groups. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import type { Isolation, RunSpec } from "./types.ts";

/**
 * The runtime specification's field for the profile that is asked for. Where there is no AppArmor, everything is unconfined.
 * Throws `unsupported` for a profile there: a command would run without what was to confine it.
 */
export function apparmorOf({ apparmor }: Pick<RunSpec, "apparmor">): { apparmorProfile?: string } {
  if (apparmor === undefined) return {};
  if (isEnabled()) return { apparmorProfile: apparmor };
  if (apparmor === "unconfined") return {};
  throw new CooperError(
    "unsupported",
    `Cannot confine the command by the AppArmor profile ${apparmor}: AppArmor is not enabled on this host`,
    { hint: "Leave --security-opt apparmor away, or use apparmor=unconfined" },
  );
}

/** Throws `unsupported` for what other runtimes and isolations do not have. */
export function requireNoCrun({ user }: Pick<RunSpec, "user">, isolation: Isolation): void {
  if (user.keepsGroups !== true) return;
  throw new CooperError(
    "unsupported",
    `Cannot keep the caller's groups for the command (--group-add keep-groups) with --isolation ${isolation}`,
    { hint: "Install crun, and use --isolation crun" },
  );
}

/** For isolations without a runtime. Throws `unsupported` for what takes one. */
export function requireNoRuntime(spec: Pick<RunSpec, "apparmor" | "hooks" | "user">): void {
  const { apparmor, hooks } = spec;
  requireNoCrun(spec, "chroot");
  const hint = "Install crun or runc, and use --isolation oci";
  if (apparmor !== undefined && (apparmor !== "unconfined" || isEnabled()))
    throw new CooperError(
      "unsupported",
      `Cannot give the command the AppArmor profile ${apparmor} with --isolation chroot`,
      { hint },
    );
  if (hooks !== undefined)
    throw new CooperError(
      "unsupported",
      "Cannot run the command with the hooks of an OCI runtime: --isolation chroot has none",
      { hint },
    );
}

function isEnabled(): boolean {
  try {
    return readFileSync("/sys/module/apparmor/parameters/enabled", "latin1").startsWith("Y");
  } catch {
    return false;
  }
}
