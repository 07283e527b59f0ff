/** Pure edits of image configs: what `config`, `--change` and Dockerfile instructions do (buildah-config(1)). */
import { CooperError } from "../base/errors.ts";
import type { ConfigEdits } from "./config-edits.ts";
import { exposedPorts } from "./ports.ts";
import type { ContainerConfig, ImageConfig, Platform } from "./types.ts";

/** The config of an image without layers, for `scratch`. */
export function newImageConfig(platform: Platform): ImageConfig {
  return { ...platform, config: {}, rootfs: { type: "layers", diff_ids: [] }, history: [] };
}

export interface EditedConfig {
  image: ImageConfig;
  /** Annotations of the manifest. */
  annotations: Record<string, string>;
}

/**
 * Applies edits to a config and the annotations that go with it; neither argument is changed. `createdBy` and
 * `historyComment` are for the next commit's history entry and change nothing here. Throws `usage` for edits that
 * cannot be understood.
 */
export function applyConfigEdits(
  image: ImageConfig,
  annotations: Record<string, string>,
  edits: ConfigEdits,
): EditedConfig {
  return {
    image: { ...editImage(image, edits), config: editContainer(image.config ?? {}, edits) },
    annotations: editMap(annotations, edits.annotations, edits.unsetAnnotations, "Annotation"),
  };
}

function editImage(image: ImageConfig, edits: ConfigEdits): ImageConfig {
  const edited = withFields(image, {
    author: edits.author,
    comment: edits.comment,
    variant: edits.variant,
    "os.version": edits.osVersion,
  });
  const { "os.features": features, ...rest } = edited;
  const newFeatures = editList(features ?? [], edits.osFeatures);
  return {
    ...rest,
    ...(edits.os === undefined ? {} : { os: edits.os }),
    ...(edits.architecture === undefined ? {} : { architecture: edits.architecture }),
    ...(newFeatures.length === 0 ? {} : { "os.features": newFeatures }),
  };
}

function editContainer(config: ContainerConfig, edits: ConfigEdits): ContainerConfig {
  const simple = withFields(config, {
    User: edits.user,
    WorkingDir: edits.workingDir,
    StopSignal: edits.stopSignal,
    Hostname: edits.hostname,
    Domainname: edits.domainname,
    Shell: edits.shell,
    Entrypoint: edits.entrypoint === null ? [] : edits.entrypoint,
    Cmd: edits.cmd === null ? [] : edits.cmd,
    Healthcheck: edits.healthcheck === null ? {} : edits.healthcheck,
  });
  return withFields(simple, {
    Env: editEnv(config.Env, edits),
    Labels:
      changed(edits.labels, edits.unsetLabels) &&
      editMap(config.Labels ?? {}, edits.labels, edits.unsetLabels, "Label"),
    ExposedPorts: changed(edits.ports) && editPorts(config.ExposedPorts ?? {}, edits.ports ?? []),
    Volumes: changed(edits.volumes) && editVolumes(config.Volumes ?? {}, edits.volumes ?? []),
    OnBuild: changed(edits.onBuild) && editOnBuild(config.OnBuild ?? [], edits.onBuild ?? []),
  });
}

/** Values of `over` where it has any; maps are joined, and variables by name. Buildah merges `commit --config` so. */
export function mergeConfig(config: ContainerConfig, over: ContainerConfig): ContainerConfig {
  const { Env, Labels, ExposedPorts, Volumes, OnBuild, ...rest } = over;
  return withFields(withPresent(config, rest), {
    Env: editEnv(config.Env, { env: Env ?? [] }),
    Labels: Labels && { ...config.Labels, ...Labels },
    ExposedPorts: ExposedPorts && { ...config.ExposedPorts, ...ExposedPorts },
    Volumes: Volumes && { ...config.Volumes, ...Volumes },
    OnBuild: OnBuild && [...(config.OnBuild ?? []), ...OnBuild],
  });
}

function withPresent(config: ContainerConfig, over: ContainerConfig): ContainerConfig {
  return { ...config, ...Object.fromEntries(Object.entries(over).filter(([, value]) => !isEmpty(value))) };
}

/** True, or undefined when there is nothing to change: an absent edit leaves its field exactly as it is. */
function changed(...edits: (unknown[] | undefined)[]): true | undefined {
  return edits.some((edit) => edit !== undefined && edit.length > 0) ? true : undefined;
}

/** Sets the fields that are not undefined; an empty text, list or object removes the field. */
function withFields<T extends object>(object: T, fields: { [K in keyof T]?: T[K] | undefined }): T {
  const result = { ...object };
  for (const key of Object.keys(fields) as (keyof T)[]) {
    const value = fields[key];
    if (value === undefined) continue;
    if (isEmpty(value)) delete result[key];
    else result[key] = value as T[keyof T];
  }
  return result;
}

function isEmpty(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === "";
}

// ---- environment ----

/** Name of an entry of Env: `KEY=value` or, as some images have it, `KEY`. */
function envName(entry: string): string {
  const equals = entry.indexOf("=", 1);
  return equals === -1 ? entry : entry.slice(0, equals);
}

/** Env with a variable set: in the place that it had, or at the end. */
export function setEnv(env: readonly string[], key: string, value: string): string[] {
  const entry = `${key}=${value}`;
  const at = env.findIndex((existing) => envName(existing) === key);
  if (at === -1) return [...env, entry];
  return [...env.slice(0, at), entry, ...env.slice(at + 1).filter((existing) => envName(existing) !== key)];
}

/** Env without a variable. */
export function unsetEnv(env: readonly string[], key: string): string[] {
  return env.filter((entry) => envName(entry) !== key);
}

/** Env as names and values, in order; of doubles the last one counts. */
export function envMap(env: readonly string[]): Map<string, string> {
  return new Map(env.map((entry) => [envName(entry), entry.slice(envName(entry).length + 1)]));
}

function editEnv(env: string[] = [], edits: ConfigEdits): string[] | undefined {
  if (changed(edits.env, edits.unsetEnv) === undefined) return undefined;
  let result = env;
  for (const edit of edits.env ?? []) {
    const name = envName(edit);
    if (name.length < edit.length) result = setEnv(result, name, edit.slice(name.length + 1));
    else if (edit === "-") result = [];
    else if (edit.endsWith("-")) result = unsetEnv(result, edit.slice(0, -1));
    else throw badEdit("Environment variable", edit, "write KEY=value to set it, KEY- to remove it");
  }
  for (const name of edits.unsetEnv ?? []) result = unsetEnv(result, name);
  return result;
}

// ---- maps and lists ----

function badEdit(what: string, edit: string, hint: string): CooperError {
  return new CooperError("usage", `${what} "${edit}" cannot be understood`, { hint });
}

/** Labels and annotations: `key=value`, `key` (an empty value), `key-`, `-`. */
function editMap(
  map: Record<string, string>,
  edits: string[] = [],
  unset: string[] = [],
  what: string,
): Record<string, string> {
  const result = new Map(Object.entries(map));
  for (const edit of edits) {
    const equals = edit.indexOf("=");
    if (equals === 0 || edit === "")
      throw badEdit(what, edit, "write key=value to set it, key- to remove it");
    if (equals !== -1) result.set(edit.slice(0, equals), edit.slice(equals + 1));
    else if (edit === "-") result.clear();
    else if (edit.endsWith("-")) result.delete(edit.slice(0, -1));
    else result.set(edit, "");
  }
  for (const key of unset) result.delete(key);
  return Object.fromEntries(result);
}

type Keys = Record<string, Record<string, never>>;

/** A trailing dash removes, a dash alone clears. */
function editPorts(ports: Keys, edits: string[]): Keys {
  const result = new Set(Object.keys(ports));
  for (const edit of edits) {
    if (edit === "-") {
      result.clear();
    } else if (edit.endsWith("-")) {
      const spec = edit.slice(0, -1);
      // The base image may hold what it was given rather than the full form.
      for (const port of [spec, ...exposedPorts(spec)]) result.delete(port);
    } else {
      for (const port of exposedPorts(edit)) result.add(port);
    }
  }
  return toKeys(result);
}

function editVolumes(volumes: Keys, edits: string[]): Keys {
  const result = new Set(Object.keys(volumes));
  for (const edit of edits) {
    if (edit === "") throw badEdit("Volume", edit, "write the path of a directory in the image");
    if (edit === "-") result.clear();
    else if (edit.endsWith("-") && result.has(edit.slice(0, -1))) result.delete(edit.slice(0, -1));
    else if (!edit.endsWith("-")) result.add(edit);
  }
  return toKeys(result);
}

function toKeys(names: Iterable<string>): Keys {
  return Object.fromEntries([...names].map((name) => [name, {}]));
}

function editOnBuild(triggers: string[], edits: string[]): string[] {
  // Only what comes after the last clearing dash counts.
  const cleared = edits.lastIndexOf("-");
  return cleared === -1 ? [...triggers, ...edits] : edits.slice(cleared + 1);
}

function editList(list: string[], edits: string[] = []): string[] {
  let result = list;
  for (const edit of edits) {
    if (edit === "-") result = [];
    else if (edit.endsWith("-")) result = result.filter((entry) => entry !== edit.slice(0, -1));
    else if (!result.includes(edit)) result = [...result, edit];
  }
  return result;
}

// ---- formats ----

/** Members of a Docker config that describe how Docker made it, and that OCI does not have. */
const DOCKER_ONLY = [
  "id",
  "parent",
  "comment",
  "container",
  "container_config",
  "docker_version",
  "throwaway",
];

/**
 * The config as Docker's schema 2 has it: the same document (Docker's is the origin of OCI's), with `config` always
 * there and room for what only Docker has.
 */
export function toDockerConfig(
  image: ImageConfig,
  extra: { comment?: string; parent?: string } = {},
): ImageConfig & { comment?: string; parent?: string } {
  const { comment, parent } = extra;
  return {
    ...image,
    config: image.config ?? {},
    ...(comment === undefined || comment === "" ? {} : { comment }),
    ...(parent === undefined ? {} : { parent }),
  };
}

/** The config without what only Docker has; Docker's extensions of `config` (Healthcheck, OnBuild, Shell) stay. */
export function toOciConfig(image: ImageConfig): ImageConfig {
  return Object.fromEntries(
    Object.entries(image).filter(([key]) => !DOCKER_ONLY.includes(key)),
  ) as unknown as ImageConfig;
}
