/** RUN: executes a command in the stage's container, with the mounts that it asks for. */
import type { StepLabel } from "../base/events.ts";
import { CooperError } from "../base/errors.ts";
import { emulatorHint, isForeign } from "../container/foreign-programs.ts";
import { runInTree } from "../container/run-in-tree.ts";
import { mergeRunSettings, type RunSettings } from "../container/run-settings.ts";
import { networkNeed, type RunRequest, runSpec } from "../container/run-spec.ts";
import { snapshotter, treeOf } from "../container/working-container.ts";
import type { ImageConfig } from "../oci/types.ts";
import type { RunOp } from "../plan/types.ts";
import { isConnected } from "../sandbox/network.ts";
import type { NetworkMode } from "../sandbox/types.ts";
import type { Build } from "./build-image.ts";
import { OutputTail } from "./output-tail.ts";
import { type PreparedMounts, prepareMounts } from "./run-mounts.ts";
import { RedactedStream } from "./redact-output.ts";
import { Needles } from "./secret-needles.ts";
import { containerOf, type StageState } from "./stage-state.ts";

/** BuildKit's: one that differs from build to build would make their results differ. */
export const HOSTNAME = "buildkitsandbox";

/** Runs it. Throws `run-failed` with the command's exit status and the end of its output. */
export async function executeRun(
  build: Build,
  stage: StageState,
  op: RunOp,
  label: StepLabel,
): Promise<void> {
  const { store, request } = build;
  const container = containerOf(store, request, stage);
  const rootfs = snapshotter(container).mount(treeOf(store, container));
  const prepared = await prepareMounts(build, op, rootfs);
  const tail = new OutputTail();
  const needles = new Needles(build.secrets);
  const redacted = (stream: "stdout" | "stderr") =>
    new RedactedStream(needles, (data) => {
      tail.add(data);
      request.onEvent({ type: "output", step: label, stream, data });
    });
  const [stdout, stderr] = [redacted("stdout"), redacted("stderr")];
  try {
    const hostname = request.buildArgs.BUILDKIT_SANDBOX_HOSTNAME || HOSTNAME;
    const run = runRequest(op, prepared, hostname);
    const spec = runSpec(container, rootfs, run);
    const { exitCode, network } = await runInTree(store, container, build.sandbox(), spec, {
      onStdout: (data) => stdout.add(data),
      onStderr: (data) => stderr.add(data),
      ...(request.stdin ? { stdin: "inherit" } : {}),
      signal: build.signal,
    });
    stdout.end();
    stderr.end();
    if (exitCode === 0) return;
    const error = failure(op, { exitCode, output: tail.text(), network }, stage.image);
    if (request.debugShell) {
      const { openDebugShell } = await import("./debug-shell.ts");
      await openDebugShell(build, container, { request: run, label, error });
    }
    throw error;
  } finally {
    prepared.dispose();
  }
}

const networkSettings = ({ network }: RunOp): RunSettings => (network === "default" ? {} : { network });

/**
 * Begins to open the network of a step to come, while something else is done. What keeps it from running is said when it
 * is to run.
 */
export function expectRun({ request, sandbox }: Build, op: RunOp): void {
  try {
    sandbox().expect(networkNeed(mergeRunSettings(request.run, networkSettings(op)), op.proxyEnv));
  } catch {
    // As above.
  }
}

function runRequest(op: RunOp, { mounts, env }: PreparedMounts, hostname: string): RunRequest {
  return {
    argv: op.argv,
    proxyEnv: op.proxyEnv,
    env: op.env,
    secretEnv: env,
    user: op.user,
    workingDir: op.cwd,
    hostname,
    mounts,
    settings: {
      ...networkSettings(op),
      ...(op.security === "insecure" ? { capAdd: ["ALL"], seccomp: "unconfined" } : {}),
    },
  };
}

/** How a command ended. */
interface Ending {
  exitCode: number;
  /** The last that it wrote. */
  output: string;
  network: NetworkMode | undefined;
}

function failure(op: RunOp, ending: Ending, image: ImageConfig): CooperError {
  // Continued lines are indented in the file, not in a message.
  const command = (op.argv.at(-1) ?? "").replace(/\s+/g, " ").trim();
  const short = command.length > 80 ? `${command.slice(0, 77)}…` : command;
  const { exitCode, output } = ending;
  const hint = hintFor(command, ending, image);
  return new CooperError("run-failed", `The command "${short}" failed: exit status ${exitCode}`, {
    exitCode,
    output,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** A line of what most programs write when they were refused there. */
const MISSES_LOOPBACK = /^(?=.*(?:\b127\.\d+\.\d+\.\d+|\blocalhost\b|::1)).*(?:refused|connect)/im;

/** What a status or the output tells of the reason, beyond what the command itself said. */
function hintFor(
  command: string,
  { exitCode, output, network }: Ending,
  image: ImageConfig,
): string | undefined {
  // The kernel's answer (ENOEXEC) to a program of another architecture for which binfmt_misc names no emulator.
  if (isForeign(image) && /exec format error|ENOEXEC/i.test(output)) return emulatorHint(image);
  if (exitCode === 127 && /^\[\s*["']/.test(command))
    return "It is no JSON, so the shell got it: write strings in double quotes, with commas between them";
  if (exitCode === 137) return "It was killed (SIGKILL), as the kernel does when memory runs out";
  if (network !== undefined && isConnected(network) && MISSES_LOOPBACK.test(output))
    return "The command's network is its own: what listens on this host's loopback is there with --network host only";
  return undefined;
}
