/** From a container's config and settings to the plain RunSpec that a sandbox executes. */
import { hostname } from "node:os";
import { isAbsolute, resolve } from "node:path";
import { CooperError } from "../base/errors.ts";
import type { ContainerConfig } from "../oci/types.ts";
import { DEFAULT_PATH } from "../plan/env-list.ts";
import { defaultCapabilities, editCapabilities } from "../sandbox/capabilities.ts";
import { type CommandIds, LEAST_IDS, MOST_IDS } from "../sandbox/command-ids.ts";
import { type ContainersConf, loadContainersConf } from "../sandbox/containers-conf.ts";
import { kernelPaths } from "../sandbox/kernel-paths.ts";
import { hooksFor } from "../sandbox/oci-hooks.ts";
import { parseHost } from "../sandbox/network-files.ts";
import { parseRlimit } from "../sandbox/rlimits.ts";
import type { HostFile, NetworkNeed, RunMount, RunSpec, RunUser } from "../sandbox/types.ts";
import { type Device, parseDevice } from "./device.ts";
import { hostProxies, loopbackProxyPorts } from "./proxies.ts";
import { mergeRunSettings, type RunSettings } from "./run-settings.ts";
import { highestId, lookupGroup, lookupUser } from "./user.ts";
import { parseVolume } from "./volume.ts";
import { mountPointNotes, type WorkingContainer } from "./working-container.ts";

/** In place of groups: those that the caller has. */
const KEEP_GROUPS = "keep-groups";

const DEFAULT_SHM_SIZE = 64 << 20;

/** What one command is asked to be, beside the container's own settings. */
export interface RunRequest {
  argv: string[];
  /** `KEY=value`, over the config's. */
  env?: string[];
  /** Proxies from the command line, below `env`. */
  proxyEnv?: string[];
  /** Variables that are secrets, over all others. */
  secretEnv?: string[];
  user?: string;
  workingDir?: string;
  hostname?: string;
  /** Whether the user chose that name. */
  hostnameAsked?: boolean;
  /** Mounts that the caller prepared. */
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
  const devices = devicesOf(settings, conf);
  const isInPlace = ({ source, target }: Device) => source === target;
  return {
    rootfs,
    argv: request.argv,
    env: environment(config, request, user.home, [...proxiesOf(settings, conf), ...conf.env]),
    cwd: workingDirectory(config, request.workingDir),
    user: withGroups(user, rootfs, settings.groups ?? []),
    hostname: hostnameOf(settings, request.hostname, config.Hostname ?? container.id.slice(0, 12)),
    hostnameAsked: request.hostnameAsked ?? false,
    ...networkNeed(settings, request.proxyEnv),
    mounts: [
      ...mountsOf(settings, conf, request.mounts ?? []),
      ...devices
        .filter((device) => !isInPlace(device))
        .map(({ source, target }): RunMount => ({ type: "bind", source, target })),
    ],
    ...dnsOf(settings, conf),
    ...(settings.namespaces === undefined ? {} : { namespaces: settings.namespaces }),
    ...(settings.ids === undefined ? {} : { ids: sized(settings.ids, rootfs, user) }),
    capabilities: capabilitiesOf(settings, conf),
    seccomp: seccompOf(settings, conf),
    ...(settings.apparmor === undefined ? {} : { apparmor: settings.apparmor }),
    ...kernelPathsOf(settings),
    noNewPrivileges: settings.noNewPrivileges ?? false,
    rlimits: settings.ulimits === undefined ? conf.defaultUlimits : settings.ulimits.map(parseRlimit),
    devices: devices.filter(isInPlace).map(({ source }) => source),
    shmSize: settings.shmSize ?? conf.shmSize ?? DEFAULT_SHM_SIZE,
    shmSizeAsked: settings.shmSize !== undefined,
    terminal: request.terminal ?? false,
    ...(request.secretEnv?.length ? { secretEnv: true } : {}),
    ...(settings.noPivot === undefined ? {} : { noPivot: settings.noPivot }),
    ...hooksOf(container, settings, conf, request.argv),
    ...(settings.limits === undefined ? {} : { limits: settings.limits }),
    // A build's container goes with the build.
    ...(container.name === undefined ? {} : { mountPointNotes: mountPointNotes(container) }),
  };
}

/** Throws `usage` for settings that no command could have, before a container keeps them. */
export function checkSettings(settings: RunSettings): void {
  capabilitiesOf(settings, loadContainersConf());
  // The host's address differs from command to command.
  for (const entry of settings.addHosts ?? []) parseHost(entry, "127.0.0.1");
}

/** Capabilities of a container's commands, as CAP_CHOWN. */
export function capabilitiesOf({ capAdd = [], capDrop = [] }: RunSettings, conf: ContainersConf): string[] {
  return editCapabilities(defaultCapabilities(conf.defaultCapabilities), { add: capAdd, drop: capDrop });
}

/** As many ids as the container's users and groups need, where a number is wanted and none given. */
function sized(ids: CommandIds, rootfs: string, user: RunUser): CommandIds {
  if (ids === "all" || !("auto" in ids) || ids.auto.size !== undefined) return ids;
  const highest = Math.max(user.uid, user.gid, ...user.additionalGids, highestId(rootfs, MOST_IDS));
  return { auto: { ...ids.auto, size: Math.min(Math.max(LEAST_IDS, highest + 1), MOST_IDS) } };
}

function withGroups({ uid, gid, additionalGids }: RunUser, rootfs: string, groups: string[]): RunUser {
  if (groups.includes(KEEP_GROUPS)) return { uid, gid, additionalGids: [], keepsGroups: true };
  const added = groups.map((group) => lookupGroup(rootfs, group));
  return { uid, gid, additionalGids: [...new Set([...additionalGids, ...added])] };
}

/** Where the host's name is shared, it is the command's. */
function hostnameOf({ namespaces }: RunSettings, asked: string | undefined, otherwise: string): string {
  return namespaces?.uts === "host" ? hostname() : (asked ?? otherwise);
}

/** The network that a command asks for; `proxyEnv` as in RunRequest. */
export function networkNeed(settings: RunSettings, proxyEnv: readonly string[] = []): NetworkNeed {
  const conf = loadContainersConf();
  const ports = loopbackProxyPorts([...proxiesOf(settings, conf), ...proxyEnv]);
  return {
    network: settings.network ?? conf.network ?? "default",
    addHosts: settings.addHosts ?? [],
    ...(ports.length === 0 ? {} : { proxyPorts: ports }),
  };
}

function proxiesOf({ httpProxy }: RunSettings, conf: ContainersConf): string[] {
  return (httpProxy ?? conf.httpProxy) ? hostProxies() : [];
}

/** /etc/resolv.conf, and which of the files in /etc stay the image's. Throws `usage` for what contradicts itself. */
function dnsOf(
  { dns = {}, addHosts = [], noHosts, noHostname }: RunSettings,
  conf: ContainersConf,
): Pick<RunSpec, "dns" | "imageFiles"> {
  if (noHosts === true && addHosts.length > 0)
    throw new CooperError("usage", "--no-hosts and --add-host exclude each other");
  const none = dns.servers === "none" || (dns.servers === undefined && conf.dnsServers.includes("none"));
  if (none && (dns.search !== undefined || dns.options !== undefined))
    throw new CooperError(
      "usage",
      "--dns none leaves /etc/resolv.conf as it is: no other --dns flag goes with it",
    );
  const imageFiles: HostFile[] = [];
  if (none) imageFiles.push("resolv.conf");
  if ((noHosts ?? conf.noHosts) && addHosts.length === 0) imageFiles.push("hosts");
  if (noHostname === true) imageFiles.push("hostname");
  return {
    dns: {
      servers: typeof dns.servers === "object" ? dns.servers : none ? [] : conf.dnsServers,
      search: dns.search ?? conf.dnsSearches,
      options: dns.options ?? conf.dnsOptions,
    },
    ...(imageFiles.length === 0 ? {} : { imageFiles }),
  };
}

function seccompOf(settings: RunSettings, conf: ContainersConf): RunSpec["seccomp"] {
  const asked = settings.seccomp ?? conf.seccompProfile;
  if (asked === undefined || asked === "") return "default";
  return asked === "unconfined" ? "unconfined" : { profile: asked };
}

function hooksOf(
  { annotations }: WorkingContainer,
  { hooksDirs, volumes = [] }: RunSettings,
  conf: ContainersConf,
  [command = ""]: string[],
): Pick<RunSpec, "hooks"> {
  const directories = hooksDirs ?? conf.hooksDirs;
  if (directories.length === 0) return {};
  const hooks = hooksFor(directories, { command, annotations, bindMounts: volumes.length > 0 });
  return hooks === undefined ? {} : { hooks };
}

function kernelPathsOf({ mask, unmask }: RunSettings): Pick<RunSpec, "kernelPaths" | "kernelPathsAsked"> {
  if (mask === undefined && unmask === undefined) return {};
  return { kernelPaths: kernelPaths(mask, unmask), kernelPathsAsked: true };
}

/** The host's own volumes are everybody's, but for places that were given something else. */
function mountsOf(settings: RunSettings, conf: ContainersConf, asked: RunMount[]): RunMount[] {
  const wanted = [...(settings.volumes ?? []).map(parseVolume), ...asked];
  const taken = new Set(wanted.map(({ target }) => target));
  return [...conf.volumes.map(parseVolume).filter(({ target }) => !taken.has(target)), ...wanted];
}

/** Each place in the container once: what the caller says goes before the host's own. */
function devicesOf(settings: RunSettings, conf: ContainersConf): Device[] {
  const devices = [...conf.devices, ...(settings.devices ?? [])].flatMap(parseDevice);
  return [...new Map(devices.map((device) => [device.target, device])).values()];
}

/** Later entries win; the order of first appearance is kept. */
function environment(
  config: ContainerConfig,
  { proxyEnv = [], env: asked = [], secretEnv = [], terminal }: RunRequest,
  home: string,
  host: string[],
): string[] {
  const values = new Map<string, string>();
  const defaults = [DEFAULT_PATH, ...host, ...(terminal ? [`TERM=${process.env.TERM ?? "xterm"}`] : [])];
  for (const pair of [
    ...defaults,
    `HOME=${home}`,
    ...(config.Env ?? []),
    ...proxyEnv,
    ...asked,
    ...secretEnv,
  ]) {
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
