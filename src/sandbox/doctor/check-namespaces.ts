/** Whether the kernel lets this process make the namespaces that a build needs, and which tier that gives. */
import { readFileSync } from "node:fs";
import { isSingle } from "../../base/process-ids.ts";
import { capabilityMask } from "../capabilities.ts";
import type { Tier } from "../tier.ts";
import { type Check, failure, install, lastLine, ok, warning } from "./check.ts";
import type { Host } from "./host.ts";

/** What was found out by trying. */
export interface Namespaces {
  tier: Tier;
  checks: Check[];
  /** What to put before a command line so that it runs as the root of a mount namespace; undefined when nothing gives that. */
  inside: string[] | undefined;
}

const NO_BUILD = "RUN does not work; everything else does (tier 4)";

/** Tries, from the strongest way to the weakest. */
export function checkNamespaces(host: Host): Namespaces {
  if (host.state.kind === "root" && !mayHave(host, "CAP_SYS_ADMIN"))
    return unmounting(host, "it lacks CAP_SYS_ADMIN");
  const unshare = host.find("unshare");
  if (unshare === undefined) {
    const remedy = install(host, "util-linux");
    return {
      tier: 4,
      inside: undefined,
      checks: [failure("util-linux", "There is no unshare", NO_BUILD, remedy)],
    };
  }
  const programs = checkPrograms(host, unshare);
  return host.state.kind === "unprivileged"
    ? unprivileged(host, unshare, programs)
    : privileged(host, unshare, programs);
}

function checkPrograms(host: Host, unshare: string): Check[] {
  const missing = ["setpriv", "nsenter"].filter((name) => host.find(name) === undefined);
  if (missing.length > 0) {
    const finding = `There is no ${missing.join(" and no ")}`;
    return [
      failure("util-linux", finding, "commands cannot be isolated: RUN fails", install(host, "util-linux")),
    ];
  }
  const text = host.run([unshare, "--version"]).stdout.trim();
  const version = /util-linux (\d+)\.(\d+)/.exec(text);
  if (version === null) {
    return [
      failure(
        "util-linux",
        `${unshare} is not util-linux's`,
        "commands cannot be isolated: RUN fails",
        install(host, "util-linux"),
      ),
    ];
  }
  return [ok("util-linux", `${unshare}, util-linux ${version[1]}.${version[2]}`)];
}

/** Root of the machine, of an outer container, or of a user namespace. */
function privileged(host: Host, unshare: string, programs: Check[]): Namespaces {
  const inside = [unshare, "--mount"];
  const { exitCode, stderr } = host.run([...inside, "true"]);
  if (exitCode === 0) {
    const tier = privilegedTier(host);
    const checks = [...programs, ok("namespaces", "root may make mount namespaces")];
    return { tier, inside, checks: [...checks, ...checkProc(host, inside)] };
  }
  return unmounting(host, lastLine(stderr));
}

/** Root of a container that may not mount: chroot(2) takes one capability, and no program. */
function unmounting(host: Host, why: string): Namespaces {
  const finding = `Root may not make a mount namespace here: ${why}`;
  const remedy =
    "for more, give the outer container CAP_SYS_ADMIN and a seccomp profile that allows mount and unshare";
  const consequence =
    "commands run by chroot, without /proc and without isolation from the outer container, in a copy of all files for each stage (tier 3)";
  const check = mayHave(host, "CAP_SYS_CHROOT")
    ? warning("namespaces", finding, consequence, remedy)
    : failure(
        "namespaces",
        `${finding}, nor change the root directory: it lacks CAP_SYS_CHROOT`,
        "RUN does not work; everything else does",
        "give the outer container CAP_SYS_CHROOT, which is among the defaults of Docker and Podman",
      );
  return { tier: 3, inside: undefined, checks: [check] };
}

/** By /proc/self/status; where that does not tell, trying will. */
function mayHave(host: Host, capability: string): boolean {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(read(`${host.paths.proc}/self/status`));
  return match === null || (BigInt(`0x${match[1]}`) & capabilityMask([capability])) !== 0n;
}

function privilegedTier(host: Host): Tier {
  if (isSingle(read(`${host.paths.proc}/self/uid_map`))) return 2;
  return host.state.kind === "root" ? 0 : 1;
}

function unprivileged(host: Host, unshare: string, programs: Check[]): Namespaces {
  const single = [unshare, "--user", "--map-root-user", "--mount"];
  const alone = host.run([...single, "true"]);
  if (alone.exitCode !== 0) {
    return { tier: 4, inside: undefined, checks: [...programs, refusal(host, lastLine(alone.stderr))] };
  }
  const allowed = ok("user-namespaces", "user namespaces are allowed");
  const full = [unshare, "--user", "--map-root-user", "--map-auto", "--mount"];
  const tried = host.run([...full, "true"]);
  const inside = tried.exitCode === 0 ? full : single;
  const checks = [...programs, allowed, ...checkProc(host, inside)];
  if (tried.exitCode === 0) return { tier: 1, inside, checks };
  // Versions of util-linux that lack the option: Cooper runs newuidmap itself.
  if (/unrecognized option/.test(tried.stderr)) return { tier: 1, inside, checks };
  return { tier: 2, inside, checks: [...checks, mappingRefusal(lastLine(tried.stderr))] };
}

function mappingRefusal(said: string): Check {
  return warning(
    "id-mapping",
    `A range of ids cannot be mapped: ${said}`,
    "a build has one id: commands see one owner, and cannot become other users (tier 2)",
    "see the checks of subuid, subgid, newuidmap and newgidmap",
  );
}

/** Why user namespaces are refused, by the settings that refuse them. */
function refusal(host: Host, said: string): Check {
  const setting = (name: string) => read(`${host.paths.proc}/sys/${name}`).trim();
  const id = "user-namespaces";
  if (setting("user/max_user_namespaces") === "0")
    return failure(id, "user.max_user_namespaces is 0", NO_BUILD, "sysctl -w user.max_user_namespaces=15000");
  if (setting("kernel/unprivileged_userns_clone") === "0") {
    const remedy = "sysctl -w kernel.unprivileged_userns_clone=1";
    return failure(id, "kernel.unprivileged_userns_clone is 0", NO_BUILD, remedy);
  }
  if (setting("kernel/apparmor_restrict_unprivileged_userns") === "1") {
    return failure(
      id,
      "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1, as Ubuntu 24.04 has it)",
      NO_BUILD,
      "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,` for the program (docs/rootless.md has one)",
    );
  }
  return failure(
    id,
    `User namespaces are refused: ${said}`,
    NO_BUILD,
    "in an outer container, use a seccomp profile that allows unshare and mount (docs/rootless.md)",
  );
}

/** A new /proc is refused where the outer one has parts hidden: the kernel would uncover them. */
function checkProc(host: Host, inside: string[]): Check[] {
  const { exitCode, stderr } = host.run([...inside, "--pid", "--fork", "--mount-proc", "true"]);
  if (exitCode === 0) return [ok("proc", "a container can have a /proc of its own")];
  const masked = maskedPaths(host);
  const cause =
    masked.length > 0
      ? `the outer container hides parts of /proc (${masked.slice(0, 3).join(", ")}…)`
      : lastLine(stderr);
  return [
    warning(
      "proc",
      `A container cannot have a /proc of its own: ${cause}`,
      "commands run by chroot, without /proc and without isolation from each other, in a copy of all files for each stage",
      "run the outer container with an unmasked /proc: --security-opt unmask=ALL (podman), systempaths=unconfined (docker), procMount: Unmasked (Kubernetes)",
    ),
  ];
}

function maskedPaths(host: Host): string[] {
  const points = read(`${host.paths.proc}/self/mountinfo`)
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
  // What systemd mounts there hides nothing.
  return points.filter(
    (point) => point.startsWith("/proc/") && !point.startsWith("/proc/sys/fs/binfmt_misc"),
  );
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
