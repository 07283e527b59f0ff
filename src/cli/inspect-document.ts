/** The document that `inspect` prints: Buildah's BuilderInfo, with its names and order of fields. */
import type { ContainerConfig, ContainerDetails, IdMap, ImageDetails } from "../index.ts";
import { type GoStruct, GoTime, type GoValue, goMap } from "./go-value.ts";

type Config = ImageDetails["config"];
type Run = ContainerDetails["run"];

/** An image's document. */
export function imageDocument(image: ImageDetails): GoStruct {
  return document({
    fromImage: image.names[0] ?? "",
    fromImageId: image.id,
    fromImageDigest: image.digest,
    base: image,
    annotations: image.manifest.annotations ?? {},
    config: image.config,
    format: image.manifest.mediaType?.includes("docker") ? "docker" : "oci",
  });
}

/** A working container's document; `base` is its image, where it has one that is still there. */
export function containerDocument(container: ContainerDetails, base: ImageDetails | undefined): GoStruct {
  return document({
    fromImage: container.imageName ?? "",
    fromImageId: container.imageId ?? "",
    fromImageDigest: container.baseDigest ?? "",
    base,
    container,
    annotations: container.annotations,
    config: container.config,
    format: "oci",
  });
}

interface Parts {
  fromImage: string;
  fromImageId: string;
  fromImageDigest: string;
  base: ImageDetails | undefined;
  container?: ContainerDetails;
  annotations: Record<string, string>;
  config: Config;
  format: string;
}

function document(parts: Parts): GoStruct {
  const { base, container, config } = parts;
  const run = container?.run;
  return {
    Type: "buildah 0.0.1",
    FromImage: parts.fromImage,
    FromImageID: parts.fromImageId,
    FromImageDigest: parts.fromImageDigest,
    GroupAdd: run?.groups ?? [],
    Config: base === undefined ? "" : JSON.stringify(base.config),
    Manifest: base === undefined ? "" : JSON.stringify(base.manifest),
    Container: container?.name ?? "",
    ContainerID: container?.id ?? "",
    MountPoint: container?.mountPoint ?? "",
    ProcessLabel: "",
    MountLabel: "",
    ImageAnnotations: goMap(parts.annotations),
    ImageCreatedBy: "",
    OCIv1: ociDocument(config),
    Docker: dockerDocument(config),
    DefaultMountsFilePath: "",
    Isolation: run?.isolation ?? "oci",
    NamespaceOptions: namespaceOptions(run),
    Capabilities: [...(container?.capabilities ?? [])].sort(),
    ConfigureNetwork:
      run?.network === "none"
        ? "NetworkDisabled"
        : run?.network === "private"
          ? "NetworkEnabled"
          : "NetworkDefault",
    CNIPluginPath: "",
    CNIConfigDir: "",
    IDMappingOptions: idMappingOptions(run?.ids),
    History: history(config),
    Devices: [],
    DeviceSpecs: run?.devices ?? [],
    CDIConfigDir: "",
  };
}

/** Leaves out what Go's `omitempty` leaves out. */
function filled(fields: Record<string, GoValue>): GoStruct {
  const empty = (value: GoValue) =>
    value === undefined ||
    value === "" ||
    value === null ||
    (Array.isArray(value) && value.length === 0) ||
    (value instanceof Map && value.size === 0);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !empty(value)));
}

/** A struct whose fields templates can name even where JSON leaves them out. */
function ociDocument(config: Config): GoStruct {
  const inner: ContainerConfig = config.config ?? {};
  return sparse(
    {
      created: timeOf(config.created),
      author: config.author,
      architecture: config.architecture,
      variant: config.variant,
      os: config.os,
      "os.version": config["os.version"],
      "os.features": config["os.features"],
      config: sparse(
        {
          User: inner.User,
          ExposedPorts: emptyMap(inner.ExposedPorts),
          Env: inner.Env,
          Entrypoint: inner.Entrypoint,
          Cmd: inner.Cmd,
          Volumes: emptyMap(inner.Volumes),
          WorkingDir: inner.WorkingDir,
          Labels: goMap(inner.Labels),
          StopSignal: inner.StopSignal,
          ArgsEscaped: inner.ArgsEscaped || undefined,
        },
        { User: "", WorkingDir: "", StopSignal: "", Env: [], Entrypoint: [], Cmd: [], ArgsEscaped: false },
      ),
      rootfs: { type: config.rootfs.type, diff_ids: [...config.rootfs.diff_ids] },
      history: history(config),
    },
    { author: "", variant: "", "os.version": "", "os.features": [], history: [] },
  );
}

function dockerDocument(config: Config): GoStruct {
  const inner = dockerConfig(config.config ?? {});
  return sparse(
    {
      comment: config.comment ?? "",
      created: timeOf(config.created),
      container_config: inner,
      author: config.author,
      config: inner,
      architecture: config.architecture,
      variant: config.variant,
      os: config.os,
      "os.version": config["os.version"],
      "os.features": config["os.features"],
      rootfs: { type: config.rootfs.type, diff_ids: [...config.rootfs.diff_ids] },
      history: history(config),
    },
    { created: new GoTime("0001-01-01T00:00:00Z"), author: "", comment: "", variant: "", history: [] },
  );
}

function dockerConfig(inner: ContainerConfig): GoStruct {
  const check = inner.Healthcheck;
  return sparse(
    {
      Hostname: inner.Hostname ?? "",
      Domainname: inner.Domainname ?? "",
      User: inner.User ?? "",
      AttachStdin: false,
      AttachStdout: false,
      AttachStderr: false,
      ExposedPorts: emptyMap(inner.ExposedPorts),
      Tty: false,
      OpenStdin: false,
      StdinOnce: false,
      Env: inner.Env ?? [],
      Cmd: inner.Cmd ?? [],
      Healthcheck: check === undefined ? undefined : filled({ ...check } as Record<string, GoValue>),
      ArgsEscaped: inner.ArgsEscaped || undefined,
      Image: "",
      Volumes: emptyMap(inner.Volumes),
      WorkingDir: inner.WorkingDir ?? "",
      Entrypoint: inner.Entrypoint ?? [],
      NetworkDisabled: undefined,
      MacAddress: undefined,
      OnBuild: inner.OnBuild ?? [],
      Labels: goMap(inner.Labels),
      StopSignal: inner.StopSignal,
      StopTimeout: undefined,
      Shell: inner.Shell,
    },
    { ArgsEscaped: false, NetworkDisabled: false, MacAddress: "", StopSignal: "", Shell: [] },
    [
      "Hostname",
      "Domainname",
      "User",
      "Env",
      "Cmd",
      "Image",
      "WorkingDir",
      "Entrypoint",
      "OnBuild",
      "Labels",
    ],
  );
}

/**
 * Fields without a value are not enumerable: JSON leaves them out, as Go's `omitempty` does, and templates find them
 * with their zero value. `kept` are those that Go writes even when they are empty.
 */
function sparse(
  fields: Record<string, GoValue>,
  zeros: Record<string, GoValue>,
  kept: string[] = [],
): GoStruct {
  const present = filled(fields);
  const out: GoStruct = {};
  for (const name of new Set([...Object.keys(fields), ...Object.keys(zeros)])) {
    const enumerable = name in present || kept.includes(name);
    Object.defineProperty(out, name, { value: fields[name] ?? zeros[name] ?? null, enumerable });
  }
  return out;
}

function timeOf(written: string | undefined): GoValue {
  return written === undefined ? undefined : new GoTime(written);
}

function emptyMap(names: Record<string, object> | undefined): GoValue {
  return goMap(Object.fromEntries(Object.keys(names ?? {}).map((name) => [name, {}])));
}

function history(config: Config): GoValue {
  const entries = (config.history ?? []).map(({ created, created_by, author, comment, empty_layer }) =>
    sparse(
      { created: timeOf(created), created_by, author, comment, empty_layer: empty_layer || undefined },
      { created_by: "", author: "", comment: "", empty_layer: false },
    ),
  );
  return entries.length === 0 ? null : entries;
}

function namespaceOptions(run: Run | undefined): GoValue {
  const { network, ids } = run ?? {};
  const host: Record<string, boolean> = {
    cgroup: true,
    network: network === "host",
    user: ids === undefined,
  };
  const user = typeof ids === "object" && "namespace" in ids ? ids.namespace : "";
  return ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"].map((name) => ({
    Name: name,
    Host: host[name] ?? false,
    Path: name === "user" ? user : "",
  }));
}

/** Maps that were asked for; which ids `auto` gives, each run finds out for itself. */
function idMappingOptions(ids: Run["ids"]): GoStruct {
  const maps = typeof ids === "object" && "uids" in ids ? ids : { uids: [], gids: [] };
  const auto = typeof ids === "object" && "auto" in ids ? ids.auto : undefined;
  return {
    HostUIDMapping: ids === undefined,
    HostGIDMapping: ids === undefined,
    UIDMap: maps.uids.map(idMapping),
    GIDMap: maps.gids.map(idMapping),
    AutoUserNs: auto !== undefined,
    AutoUserNsOpts: {
      Size: auto?.size ?? 0,
      InitialSize: 0,
      PasswdFile: "",
      GroupFile: "",
      AdditionalUIDMappings: auto?.uids?.map(storageMapping) ?? [],
      AdditionalGIDMappings: auto?.gids?.map(storageMapping) ?? [],
    },
  };
}

/** As the runtime specification has it. */
const idMapping = ({ inside, outside, count }: IdMap) => ({
  containerID: inside,
  hostID: outside,
  size: count,
});

/** As containers-storage has it. */
const storageMapping = ({ inside, outside, count }: IdMap) => ({
  container_id: inside,
  host_id: outside,
  size: count,
});
