/** What the doctor looks at and how: everything that a check reads comes through here, so that tests can seed faults. */
import { release } from "node:os";
import { findProgram } from "../../base/process.ts";
import { type CgroupView, cgroupView } from "../cgroup-view.ts";
import { type NamespaceState, namespaceState } from "../user-namespace.ts";

export interface ProbeResult {
  /** 127 when the program could not be started. */
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface Host {
  state: NamespaceState;
  /** As from uname -r. */
  kernel: string;
  /** Milliseconds since 1970. */
  now: number;
  paths: {
    subuid: string;
    subgid: string;
    passwd: string;
    /** A proc file system: sys/…, self/status, self/mountinfo. */
    proc: string;
    fuse: string;
    tun: string;
  };
  cgroups: CgroupView;
  /** The store's root and the runtime state's; need not exist. */
  store: string;
  runRoot: string;
  driver: "overlay" | "copy";
  env: Record<string, string | undefined>;
  find(program: string): string | undefined;
  /** Runs a probe to its end, ten seconds at most. */
  run(argv: string[], cwd?: string): ProbeResult;
}

const PROBE_MILLISECONDS = 10_000;

/** This host as it is. */
export function thisHost(store: { root: string; runRoot: string; driver: "overlay" | "copy" }): Host {
  return {
    state: namespaceState(),
    kernel: release(),
    now: Date.now(),
    paths: {
      subuid: "/etc/subuid",
      subgid: "/etc/subgid",
      passwd: "/etc/passwd",
      proc: "/proc",
      fuse: "/dev/fuse",
      tun: "/dev/net/tun",
    },
    cgroups: cgroupView(),
    store: store.root,
    runRoot: store.runRoot,
    driver: store.driver,
    env: process.env,
    find: findProgram,
    run: probe,
  };
}

function probe(argv: string[], cwd = "/"): ProbeResult {
  try {
    const { exitCode, stdout, stderr } = Bun.spawnSync(argv, {
      cwd,
      env: { ...process.env, LC_ALL: "C" },
      stdin: "ignore",
      timeout: PROBE_MILLISECONDS,
    });
    return { exitCode: exitCode ?? 124, stdout: stdout.toString(), stderr: stderr.toString() };
  } catch (error) {
    return { exitCode: 127, stdout: "", stderr: error instanceof Error ? error.message : String(error) };
  }
}
