/** The machine: its clock, its kernel, its cgroups; and the programs that a build would like to find. */
import { accessSync, constants } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { defaultNetwork } from "../network-choice.ts";
import { openLimits } from "../resource-limits.ts";
import { chosenRuntimeProgram } from "../select-sandbox.ts";
import { type Check, failure, install, ok, warning } from "./check.ts";
import { kernelAtLeast } from "./check-storage.ts";
import type { Host } from "./host.ts";

/** Cooper did not exist before. */
const EARLIEST = Date.UTC(2020, 0, 1);

export function checkClock(host: Host): Check {
  const date = new Date(host.now).toISOString().slice(0, 10);
  if (host.now >= EARLIEST) return ok("clock", date);
  return warning(
    "clock",
    `The clock says ${date}`,
    "certificates of registries and package mirrors seem not to be valid yet, and images are dated in the past",
    `timedatectl set-ntp true, or: date -s '2026-01-01'`,
  );
}

export function checkKernel(host: Host): Check {
  if (kernelAtLeast(host.kernel, 5, 11)) return ok("kernel", `Linux ${host.kernel}`);
  const finding = `Linux ${host.kernel} is older than 5.11`;
  return failure(
    "kernel",
    finding,
    "overlay has no userxattr: containers cannot be mounted with the overlay driver",
    "a newer kernel, or --storage-driver copy",
  );
}

const LAYOUTS = { 1: "hierarchies of version 1", 2: "unified (v2)" };

/** By making one, as a run with limits does; runs without make none, whatever the layout. */
export function checkCgroups({ cgroups }: Host): Check {
  const layout = cgroups.version === undefined ? "none" : LAYOUTS[cgroups.version];
  try {
    openLimits({ memory: 1 << 30, cpuShares: 1024 }, cgroups)?.close();
    return ok("cgroups", `${layout}; commands can be limited`);
  } catch (error) {
    return warning(
      "cgroups",
      `Cgroups: ${layout}. ${messageOf(error)}`,
      "--memory, --cpu-shares and their kin are refused; all else works",
      "systemd-run --user --scope -p Delegate=yes cooper …, or as root",
    );
  }
}

/** The runtime that runs would use, and its version. */
export function checkRuntime(host: Host): Check {
  let program: string | undefined;
  try {
    program = chosenRuntimeProgram(host.find);
  } catch (error) {
    return failure("runtime", messageOf(error), "RUN fails", "correct `runtime` in containers.conf");
  }
  if (program === undefined) {
    return warning(
      "runtime",
      "Neither crun nor runc is installed",
      "the built-in chroot isolation is used: RUN works, a little slower",
      install(host, "crun"),
    );
  }
  const { exitCode, stdout, stderr } = host.run([program, "--version"]);
  const version = /version ([0-9][^\s]*)/.exec(stdout)?.[1];
  if (exitCode !== 0 || version === undefined) {
    const said = (stderr || stdout).trim().split("\n")[0] ?? "";
    const finding = `${program} does not say its version: ${said}`;
    return failure("runtime", finding, "RUN fails", `${install(host, "crun")}, or --isolation chroot`);
  }
  const isCrun = /(^|\/)crun[^/]*$/.test(program);
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const old = isCrun ? major < 1 : major < 1 || (major === 1 && minor < 1);
  if (!old) return ok("runtime", `${program} ${version}`);
  return warning(
    "runtime",
    `${program} ${version} is older than ${isCrun ? "1.0" : "1.1"}`,
    "seccomp filters may fail to load",
    `${install(host, isCrun ? "crun" : "runc")}, or --isolation chroot`,
  );
}

/** What connects networks of commands' own. That proxies on the loopback take pasta is `cooper info`'s to say. */
export function checkPasta(host: Host): Check {
  const { tun, proc } = host.paths;
  const { mode, why } = defaultNetwork({ addHosts: [] }, { find: host.find, tun, proc });
  if (mode === "private") return ok("pasta", `${host.find(why)}`);
  const hasProgram = host.find("pasta") !== undefined || host.find("slirp4netns") !== undefined;
  const hasTun = hasProgram && why.includes(tun);
  return warning(
    "pasta",
    `Commands have no network of their own: ${why}`,
    "they share the host's, with all that listens on its loopback, unless they are given none",
    !hasProgram ? install(host, "passt") : hasTun ? `modprobe tun; chmod 666 ${tun}` : "connect the host",
  );
}

/** For information: other builders' rootless overlay needs it, Cooper's does not. */
export function checkFuse(host: Host): Check {
  try {
    accessSync(host.paths.fuse, constants.R_OK | constants.W_OK);
    return ok("fuse", `${host.paths.fuse} can be opened; Cooper does without it`);
  } catch {
    return ok("fuse", `${host.paths.fuse} cannot be opened; Cooper does without it`);
  }
}
