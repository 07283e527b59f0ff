/** A mount namespace of our own, so that no mount outlives this process, however it ends. */
import { CooperError } from "../base/errors.ts";
import { MS, mount } from "../base/mounts.ts";
import { CLONE, unshare } from "../base/process-calls.ts";
import { canHaveOwnProc, namespaceState } from "./user-namespace.ts";

let entered = false;
let allowed: boolean | undefined;

/**
 * Gives this process (its main thread, and the threads and children made from now on) a mount namespace that follows
 * the host's mounts and umounts but shows the host nothing of ours. Once per process; in a user namespace that we
 * entered ourselves it is already so. Error: `denied` without CAP_SYS_ADMIN.
 */
export function privateMountNamespace(): void {
  if (entered) return;
  const state = namespaceState();
  if (state.kind === "unprivileged") {
    throw new CooperError(
      "denied",
      `Cannot make a mount namespace as user ${state.uid} outside a user namespace`,
    );
  }
  if (state.kind === "root") makePrivate();
  entered = true;
}

/** The same where it can be had; whether it could. What mounts nothing does without. */
export function tryPrivateMountNamespace(): boolean {
  if (allowed === undefined) {
    try {
      privateMountNamespace();
      allowed = true;
    } catch {
      allowed = false;
    }
  }
  return allowed;
}

/** Whether commands get mounts and namespaces of their own; else they find copies of what they are given. */
export function commandsHaveMounts(): boolean {
  return canHaveOwnProc() && tryPrivateMountNamespace();
}

function makePrivate(): void {
  try {
    unshare(CLONE.NEWNS);
    mount("none", "/", undefined, MS.REC | MS.SLAVE);
  } catch (error) {
    throw new CooperError("denied", "Cannot make a private mount namespace: this host refuses mounts", {
      cause: error,
      hint: "Use --storage-driver copy, which mounts nothing; or give the outer container CAP_SYS_ADMIN and a seccomp profile that allows mount and unshare",
    });
  }
}
