/** From a container's config and settings to the plain RunSpec that a sandbox executes. */
import { statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { CooperError } from "../base/errors.ts";
import type { ContainerConfig } from "../oci/types.ts";
import { DEFAULT_PATH } from "../plan/env-list.ts";
import { defaultCapabilities, editCapabilities } from "../sandbox/capabilities.ts";
import { type ContainersConf, loadContainersConf } from "../sandbox/containers-conf.ts";
import { parseRlimit } from "../sandbox/rlimits.ts";
import type { NetworkMode, RunMount, RunSpec } from "../sandbox/types.ts";
import { mergeRunSettings, type RunSettings } from "./run-settings.ts";
import { lookupUser } from "./user.ts";
import { mountPointNotes, type WorkingContainer } from "./working-container.ts";

const DEFAULT_SHM_SIZE = 64 << 20;

/** What one command is asked to be, beside the container's own settings. */
export interface RunRequest {
  argv: string[];
  /** `KEY=value`, over the config's. */
  env?: string[];
  user?: string;
  workingDir?: string;
  hostname?: string;
  /** Mounts that the caller prepared (a build's, or parsed --mount flags). */
  mounts?: RunMount[];
  terminal?: boolean;
  settings?: RunSettings;
}

/** Puts everything together; reads the root's /etc/passwd and the host's containers.conf. */
export function runSpec(container: WorkingContainer, rootfs: string, request: RunRequest): RunSpec {
  const conf = loadContainersConf();
  const config = container.image.config ?? {};
  const settings = mergeRunSettings(container.run, request.settings ?? {});
  const user = lookupUser(rootfs, request.user ?? config.User ?? "");
  return {
    rootfs,
    argv: request.argv,
    env: environment(config, conf, request.env ?? [], user.home, request.terminal === true),
    cwd: workingDirectory(config, request.workingDir),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    hostname: request.hostname ?? config.Hostname ?? container.id.slice(0, 12),
    network: networkOf(settings, conf),
    mounts: mountsOf(settings, conf, request.mounts ?? []),
    addHosts: settings.addHosts ?? [],
    dns: {
      servers: settings.dns?.servers ?? conf.dnsServers,
      search: settings.dns?.search ?? conf.dnsSearches,
      options: settings.dns?.options ?? conf.dnsOptions,
    },
    capabilities: editCapabilities(defaultCapabilities(conf.defaultCapabilities), {
      add: settings.capAdd ?? [],
      drop: settings.capDrop ?? [],
    }),
    seccomp: seccompOf(settings, conf),
    noNewPrivileges: settings.noNewPrivileges ?? false,
    rlimits: settings.ulimits === undefined ? conf.defaultUlimits : settings.ulimits.map(parseRlimit),
    devices: [...new Set([...conf.devices.map(hostDevice), ...(settings.devices ?? [])])],
    shmSize: settings.shmSize ?? conf.shmSize ?? DEFAULT_SHM_SIZE,
    terminal: request.terminal ?? false,
    // A build's container goes with the build.
    ...(container.name === undefined ? {} : { mountPointNotes: mountPointNotes(container) }),
  };
}

function networkOf(settings: RunSettings, conf: ContainersConf): NetworkMode {
  return settings.network ?? conf.network ?? "host";
}

function seccompOf(settings: RunSettings, conf: ContainersConf): RunSpec["seccomp"] {
  const asked = settings.seccomp ?? conf.seccompProfile;
  if (asked === undefined || asked === "") return "default";
  return asked === "unconfined" ? "unconfined" : { profile: asked };
}

/** The host's own volumes are everybody's, but for places that were given something else. */
function mountsOf(settings: RunSettings, conf: ContainersConf, asked: RunMount[]): RunMount[] {
  const wanted = [...(settings.volumes ?? []).map(parseVolume), ...asked];
  const taken = new Set(wanted.map(({ target }) => target));
  return [...conf.volumes.map(parseVolume).filter(({ target }) => !taken.has(target)), ...wanted];
}

/** `path[:path[:permissions]]` of containers.conf's devices. Throws `unsupported` for another path inside. */
function hostDevice(text: string): string {
  const [source = "", target, permissions] = text.split(":");
  const renamed = target?.startsWith("/") === true && target !== source;
  if (!renamed && isAbsolute(source) && permissions === undefined) return source;
  if (!renamed && isAbsolute(source) && /^[rwm]+$/.test(permissions ?? "")) return source;
  throw new CooperError("unsupported", `The device "${text}" of containers.conf is not supported`, {
    hint: "A device keeps its path: /dev/name[:/dev/name[:rwm]]",
  });
}

const PROXIES = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"];

/** The host's proxies, in the spellings that it has them, as Buildah gives them to commands (--http-proxy). */
function hostProxies(conf: ContainersConf): string[] {
  if (!conf.httpProxy) return [];
  return PROXIES.flatMap((name) => [name, name.toUpperCase()]).flatMap((name) =>
    process.env[name] ? [`${name}=${process.env[name]}`] : [],
  );
}

/** Later entries win; the order of first appearance is kept. */
function environment(
  config: ContainerConfig,
  conf: ContainersConf,
  asked: string[],
  home: string,
  terminal: boolean,
): string[] {
  const values = new Map<string, string>();
  const defaults = [
    DEFAULT_PATH,
    ...hostProxies(conf),
    ...conf.env,
    ...(terminal ? [`TERM=${process.env.TERM ?? "xterm"}`] : []),
  ];
  for (const pair of [...defaults, `HOME=${home}`, ...(config.Env ?? []), ...asked]) {
    const at = pair.indexOf("=");
    if (at > 0) values.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return [...values].map(([key, value]) => `${key}=${value}`);
}

function workingDirectory(config: ContainerConfig, asked: string | undefined): string {
  const base = config.WorkingDir || "/";
  if (asked === undefined || asked === "") return base;
  return isAbsolute(asked) ? asked : resolve(base, asked);
}

/** `host:container[:options]` of --volume. Throws `usage`, `not-found`. */
export function parseVolume(text: string): RunMount {
  const [source, target, options, ...rest] = text.split(":");
  if (
    source === undefined ||
    target === undefined ||
    rest.length > 0 ||
    !isAbsolute(source) ||
    !isAbsolute(target)
  ) {
    throw new CooperError(
      "usage",
      `The volume "${text}" is not of the form /host/path:/container/path[:options]`,
    );
  }
  const words = (options ?? "").split(",").filter((word) => word !== "");
  const unknown = words.find((word) => !["ro", "rw", "z", "Z", "bind", "rbind"].includes(word));
  if (unknown !== undefined) {
    throw new CooperError("unsupported", `The option "${unknown}" of the volume "${text}" is not supported`, {
      hint: "ro, rw, z and Z are",
    });
  }
  requireSource(source, text);
  return { type: "bind", source, target, readOnly: words.includes("ro") };
}

const MOUNT_FIELDS = new Set(
  [
    ["type", "source", "src", "target", "dst", "destination", "ro", "readonly", "rw", "readwrite"],
    // Without effect here: labels and propagation are the runtime's, and there is one host.
    ["relabel", "z", "Z", "bind-propagation", "bind-nonrecursive", "consistency", "tmpfs-size", "tmpfs-mode"],
  ].flat(),
);

/** `type=bind|tmpfs,…` of --mount. Throws `usage`, `not-found`, `unsupported`. */
export function parseMount(text: string): RunMount {
  const fields = mountFields(text);
  const take = (...names: string[]) =>
    names.map((name) => fields.get(name)).find((value) => value !== undefined);
  const target = take("target", "dst", "destination");
  if (target === undefined) throw new CooperError("usage", `The mount "${text}" has no target`);
  if (!isAbsolute(target))
    throw new CooperError("usage", `The target of the mount "${text}" is not an absolute path`);
  const type = take("type") ?? "bind";
  if (type === "tmpfs") return { type: "tmpfs", target, ...tmpfsSize(take("tmpfs-size")) };
  if (type !== "bind")
    throw new CooperError(
      "unsupported",
      `Mounts of type "${type}" are not supported here (bind and tmpfs are)`,
    );
  const source = take("source", "src");
  if (source === undefined) throw new CooperError("usage", `The mount "${text}" has no source`);
  requireSource(source, text);
  const readOnly = isTrue(take("ro", "readonly")) || take("rw", "readwrite") === "false";
  return { type: "bind", source: resolve(source), target, readOnly };
}

function mountFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    const name = at === -1 ? part : part.slice(0, at);
    if (!MOUNT_FIELDS.has(name))
      throw new CooperError("usage", `The mount "${text}" has an unknown field "${name}"`);
    fields.set(name, at === -1 ? "true" : part.slice(at + 1));
  }
  return fields;
}

function isTrue(value: string | undefined): boolean {
  return value === "true" || value === "1";
}

function tmpfsSize(text: string | undefined): { size?: number } {
  if (text === undefined) return {};
  const match = /^(\d+)([kmg]?)b?$/i.exec(text);
  if (match === null) throw new CooperError("usage", `"${text}" is not a size`);
  const unit = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 }[match[2]!.toLowerCase()] ?? 1;
  return { size: Number(match[1]) * unit };
}

function requireSource(source: string, text: string): void {
  if (statSync(source, { throwIfNoEntry: false }) === undefined) {
    throw new CooperError("not-found", `The source of "${text}" does not exist`);
  }
}
