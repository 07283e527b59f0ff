// Runs one command in a sandbox, as root or from inside a user namespace, and prints the result as JSON.
import { readFileSync } from "node:fs";
import { defaultCapabilities } from "../../src/sandbox/capabilities.ts";
import { runSandboxInit } from "../../src/sandbox/sandbox-init.ts";
import { selectSandbox } from "../../src/sandbox/select-sandbox.ts";
import type { RunIo, RunSpec } from "../../src/sandbox/types.ts";
import { enterUserNamespace, finishEntering, namespaceState } from "../../src/sandbox/user-namespace.ts";

/** What the test asks for, as JSON in a file that the only argument names. */
export interface Request {
  isolation: string;
  runtimeDir: string;
  rootfs: string;
  spec: Partial<RunSpec> & { argv: string[] };
  /** Text for stdin. */
  stdin?: string;
  /** Aborts once stdout shows this. */
  abortOn?: string;
  /** Stdio goes to the command. */
  inherit?: boolean;
  /** Commands to run at the same time. */
  copies?: number;
}

/** What comes back: a result, or the error. */
export interface Reply {
  exitCode: number;
  stdout: string;
  stderr: string;
  error?: { code: string; message: string };
}

const BASE: Omit<RunSpec, "rootfs" | "argv" | "capabilities"> = {
  env: ["PATH=/bin"],
  cwd: "/",
  user: { uid: 0, gid: 0, additionalGids: [] },
  hostname: "box",
  network: "host",
  mounts: [],
  addHosts: [],
  dns: { servers: [], search: [], options: [] },
  seccomp: "default",
  noNewPrivileges: false,
  rlimits: [],
  devices: [],
  shmSize: 1 << 20,
  terminal: false,
};

async function runOne(request: Request): Promise<Reply> {
  const { isolation, runtimeDir, rootfs } = request;
  const sandbox = selectSandbox({ isolation, runtimeDir, selfCommand: [process.execPath, import.meta.path] });
  const spec: RunSpec = { ...BASE, capabilities: defaultCapabilities(), rootfs, ...request.spec };
  const reply: Reply = { exitCode: -1, stdout: "", stderr: "" };
  const abort = new AbortController();
  const io: RunIo = request.inherit
    ? { inherit: true }
    : {
        onStdout: (chunk) => {
          reply.stdout += Buffer.from(chunk).toString();
          if (request.abortOn !== undefined && reply.stdout.includes(request.abortOn))
            abort.abort(new Error("enough"));
        },
        onStderr: (chunk) => {
          reply.stderr += Buffer.from(chunk).toString();
        },
        ...(request.stdin === undefined ? {} : { stdin: Buffer.from(request.stdin) }),
        signal: abort.signal,
      };
  try {
    const copies = Array.from({ length: request.copies ?? 1 }, () => sandbox.run(spec, io));
    reply.exitCode = (await Promise.all(copies))[0]!.exitCode;
  } catch (error) {
    const { code = "?", message = "" } = error as { code?: string; message?: string };
    reply.error = { code, message };
  } finally {
    await sandbox.close();
  }
  return reply;
}

if (import.meta.main) {
  if (process.argv[2] === "__sandbox-init") process.exit(await runSandboxInit(process.argv[3]!));
  finishEntering();
  if (namespaceState().kind === "unprivileged") {
    enterUserNamespace({ execPath: process.execPath, argv: process.argv, env: process.env });
  }
  const request = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as Request;
  const reply = await runOne(request);
  if (request.inherit) process.exit(reply.error ? 125 : reply.exitCode);
  process.stdout.write(JSON.stringify(reply));
}
