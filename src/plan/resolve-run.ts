/** RUN, expanded: its shell, its environment, its mounts (Dockerfile reference, "RUN"). */
import { posix } from "node:path";
import { CooperError } from "../base/errors.ts";
import { heredocOrUndefined, stripLeadingTabs } from "../dockerfile/heredoc.ts";
import type { CommandLine, RunInstruction } from "../dockerfile/instruction.ts";
import type { ContainerConfig } from "../oci/types.ts";
import { absolutePath } from "./container-path.ts";
import { type MountFields, parseMountFields } from "./mount-fields.ts";
import { mountFrom } from "./origins.ts";
import { expandIn, type StageWalk } from "./stage-walk.ts";
import type { MountOp, Origin, RunOp } from "./types.ts";

const DEFAULT_SHELL = ["/bin/sh", "-c"];
const SCRIPT_DIRECTORY = "/dev/pipes";

/** A command in shell form behind the shell of SHELL, or of the system. */
export function withShell(config: ContainerConfig, text: string): string[] {
  const shell = config.Shell === undefined || config.Shell.length === 0 ? DEFAULT_SHELL : config.Shell;
  return [...shell, text];
}

/** The op and its line in the history. Throws `invalid`; `unsupported` for --device. */
export function resolveRun(walk: StageWalk, instruction: RunInstruction): { op: RunOp; createdBy: string } {
  if (instruction.devices.length > 0) {
    throw new CooperError(
      "unsupported",
      "RUN --device is not supported: Cooper hands no devices to build steps",
    );
  }
  const cwd = absolutePath(walk.config.WorkingDir ?? "/");
  const mounts: MountOp[] = [];
  for (const text of instruction.mounts) {
    // Sockets of agents are numbered for themselves.
    const agents = mounts.filter((mount) => mount.type === "ssh").length;
    mounts.push(resolveMount(walk, text, cwd, agents));
  }
  const { argv, script } = commandOf(walk, instruction.command);
  const args = visibleArgs(walk);
  const op: RunOp = {
    kind: "run",
    argv,
    env: stepEnv(walk, mounts),
    args,
    proxyEnv: walk.proxyEnv,
    user: walk.config.User ?? "",
    cwd,
    mounts,
    network: instruction.network,
    security: instruction.security,
    script,
    ...keptVolumes(walk),
  };
  const count = args.length === 0 ? [] : [`|${args.length}`, ...args];
  return { op, createdBy: `RUN ${[...count, ...argv].join(" ")} # buildkit` };
}

/** Those that are below none of the others. */
function keptVolumes({ compatVolumes, config }: StageWalk): Pick<RunOp, "volumes"> {
  if (!compatVolumes) return {};
  const paths = [...new Set(Object.keys(config.Volumes ?? {}).map((path) => absolutePath(path)))].sort();
  const volumes = paths.filter((path) => path !== "/" && !paths.some((one) => path.startsWith(`${one}/`)));
  return volumes.length === 0 ? {} : { volumes };
}

/** Declared args, each once, with the value that the step sees: an ENV of the name may have replaced it. */
function visibleArgs(walk: StageWalk): string[] {
  const values = new Map<string, string>();
  for (const { name, value } of walk.args) values.set(name, walk.env.get(name) ?? value ?? "");
  return Array.from(values, ([name, value]) => `${name}=${value}`);
}

function stepEnv(walk: StageWalk, mounts: MountOp[]): string[] {
  const env = walk.env.entries();
  const ssh = mounts.find((mount) => mount.type === "ssh");
  if (ssh?.target !== undefined && !walk.env.has("SSH_AUTH_SOCK")) env.push(`SSH_AUTH_SOCK=${ssh.target}`);
  return env;
}

function commandOf(walk: StageWalk, command: CommandLine): Pick<RunOp, "argv" | "script"> {
  if (command.form === "exec") {
    if (command.argv.length === 0) throw new CooperError("invalid", "RUN [] has no command");
    return { argv: command.argv, script: undefined };
  }
  const [first] = command.heredocs;
  if (first === undefined) return { argv: withShell(walk.config, command.text), script: undefined };
  if (heredocOrUndefined(command.text) === undefined) {
    const text = [command.text, ...command.heredocs.map(({ content, name }) => `${content}${name}`)].join(
      "\n",
    );
    return { argv: withShell(walk.config, text), script: undefined };
  }
  // Nothing but `<<EOF`: the body is the command, or a script if it says what runs it.
  const content = first.stripTabs ? stripLeadingTabs(first.content) : first.content;
  if (!content.startsWith("#!")) return { argv: withShell(walk.config, content), script: undefined };
  const path = posix.join(SCRIPT_DIRECTORY, first.name);
  return { argv: withShell(walk.config, path), script: { name: first.name, content } };
}

function resolveMount(walk: StageWalk, text: string, cwd: string, agents: number): MountOp {
  const fields = parseMountFields(text, (value) => expandIn(walk, value));
  const from = mountFrom(text, walk.table);
  const source = absolutePath(fields.source);
  switch (fields.type) {
    case "bind":
      return {
        type: "bind",
        target: mountPoint(fields, cwd),
        source,
        from: from ?? MAIN_CONTEXT,
        readOnly: fields.readOnly ?? true,
      };
    case "tmpfs":
      return {
        type: "tmpfs",
        target: mountPoint(fields, cwd),
        size: fields.size === 0 ? undefined : fields.size,
      };
    case "cache":
      return cacheMount(fields, from, source, cwd);
    case "secret":
      return secretMount(fields, cwd);
    case "ssh":
      return sshMount(fields, cwd, agents);
  }
}

const MAIN_CONTEXT: Origin = { kind: "context", name: undefined };

/** Relative targets are below the working directory; the root cannot be covered. */
function mountPoint(fields: MountFields, cwd: string): string {
  const target = inContainer(fields.target, cwd);
  if (target !== "/") return target;
  const missing = fields.target === "";
  throw new CooperError(
    "invalid",
    missing ? "RUN --mount has no target" : `RUN --mount cannot cover "${fields.target}"`,
    {
      hint: "Write target=/path",
    },
  );
}

function inContainer(path: string, cwd: string): string {
  return path.startsWith("/") ? absolutePath(path) : absolutePath(cwd, path);
}

function cacheMount(fields: MountFields, from: Origin | undefined, source: string, cwd: string): MountOp {
  return {
    type: "cache",
    target: mountPoint(fields, cwd),
    id: fields.id === "" ? posix.normalize(fields.target).replace(/(?<=.)\/$/, "") : fields.id,
    sharing: fields.sharing ?? "shared",
    from: from?.kind === "scratch" ? undefined : from,
    source,
    mode: fields.mode ?? 0o755,
    uid: fields.uid ?? 0,
    gid: fields.gid ?? 0,
    readOnly: fields.readOnly ?? false,
  };
}

/** As a file below /run/secrets unless a target is given; as a variable with `env`, and then a file only with a target. */
function secretMount(fields: MountFields, cwd: string): MountOp {
  const id = fields.source || fields.id || posix.basename(fields.target);
  let target: string | undefined;
  if (fields.target !== "") target = inContainer(fields.target, cwd);
  else if (fields.env === undefined) target = `/run/secrets/${posix.basename(id)}`;
  const { env, required, mode = 0o400, uid = 0, gid = 0 } = fields;
  return { type: "secret", target, id, env: env === "" ? id : env, required, mode, uid, gid };
}

function sshMount(fields: MountFields, cwd: string, agents: number): MountOp {
  const { required, mode = 0o600, uid = 0, gid = 0 } = fields;
  const target = fields.target === "" ? `/run/buildkit/ssh_agent.${agents}` : inContainer(fields.target, cwd);
  return { type: "ssh", target, id: fields.id === "" ? "default" : fields.id, required, mode, uid, gid };
}
