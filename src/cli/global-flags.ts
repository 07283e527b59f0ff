/** Flags that every command takes, before or after its name. */
import { resolve } from "node:path";
import { CooperError } from "../base/errors.ts";
import type { FlagTable, GlobalValues, LogLevel } from "./command.ts";
import { DEFAULT_MAP_FLAGS } from "./userns-flags.ts";

export const GLOBAL_FLAGS = {
  root: {
    type: "string",
    placeholder: "dir",
    help: "where images and containers are kept",
    env: ["COOPER_ROOT"],
  },
  runroot: {
    type: "string",
    placeholder: "dir",
    help: "where the state of running things is kept",
    env: ["COOPER_RUNROOT"],
  },
  "storage-driver": {
    type: "string",
    placeholder: "overlay|copy",
    help: "how working containers are laid on their images; vfs is another name for copy",
    env: ["COOPER_STORAGE_DRIVER", "STORAGE_DRIVER"],
  },
  "cgroup-manager": {
    type: "string",
    placeholder: "cgroupfs",
    help: "who makes the cgroups of commands with limits: Cooper itself, and nobody else",
  },
  "storage-opt": {
    type: "commaList",
    placeholder: "option",
    help: "overlay.ignore_chown_errors=true, which is how every store is; no other",
  },
  "log-level": {
    type: "string",
    placeholder: "debug|info|warn|error",
    default: "warn",
    help: "trace, debug (errors with their causes), info, warn, error (no warnings), fatal or panic",
  },
  "registries-conf": {
    type: "string",
    placeholder: "file",
    help: "in place of the user's and the system's registries.conf",
  },
  "registries-conf-dir": {
    type: "string",
    placeholder: "dir",
    help: "in place of the user's and the system's registries.conf.d",
  },
  "short-name-alias-conf": {
    type: "string",
    placeholder: "file",
    help: "in place of the short names that Podman has noted",
  },
  ...DEFAULT_MAP_FLAGS,
} as const satisfies FlagTable;

/** Variables by which the transport knows of these; the process inside the user namespace has them too. */
const FILE_VARIABLES = {
  "registries-conf": "CONTAINERS_REGISTRIES_CONF",
  "registries-conf-dir": "COOPER_REGISTRIES_CONF_DIR",
  "short-name-alias-conf": "COOPER_SHORT_NAME_ALIAS_CONF",
} as const;

/** Makes the files that were named this process's. */
function nameFiles(values: Record<string, unknown>): void {
  for (const [flag, variable] of Object.entries(FILE_VARIABLES)) {
    const path = values[flag];
    if (typeof path === "string" && path !== "") process.env[variable] = resolve(path);
  }
}

/** Global flags of Buildah that Cooper does not have. */
export const UNSUPPORTED_GLOBALS = ["imagestore", "transient-store"];

const LEVELS: readonly string[] = [
  "trace",
  "debug",
  "info",
  "warn",
  "error",
  "fatal",
  "panic",
] satisfies LogLevel[];

/** Checks the global flags' values; files about registries hold for the whole process from here. Throws `usage`. */
export function globalValues(values: Record<string, unknown>): GlobalValues {
  const level = String(values["log-level"] ?? "warn");
  const normal = level === "warning" ? "warn" : level;
  if (!LEVELS.includes(normal)) {
    throw new CooperError("usage", `Unknown log level ${JSON.stringify(level)}`, {
      hint: `one of ${LEVELS.join(", ")}`,
    });
  }
  nameFiles(values);
  checkCgroupManager(values["cgroup-manager"] as string | undefined);
  for (const option of (values["storage-opt"] as string[] | undefined) ?? []) checkStorageOption(option);
  return {
    root: values.root as string | undefined,
    runRoot: values.runroot as string | undefined,
    driver: driverOf(values["storage-driver"] as string | undefined),
    logLevel: normal as LogLevel,
    defaultMaps: {
      uids: (values["userns-uid-map"] as string[] | undefined) ?? [],
      gids: (values["userns-gid-map"] as string[] | undefined) ?? [],
    },
  };
}

function checkCgroupManager(name: string | undefined): void {
  if (name === undefined || name === "" || name === "cgroupfs") return;
  throw new CooperError("unsupported", `The cgroup manager ${JSON.stringify(name)} is not supported`, {
    hint: "use cgroupfs: Cooper makes cgroups itself, and only for commands with limits",
  });
}

/**
 * Without a range of ids files keep in the store the owners that they have in images: nothing is left that chown(2) could
 * fail for.
 */
function checkStorageOption(option: string): void {
  if (/^(?:(?:overlay2?|vfs)\.)?ignore_chown_errors=true$/.test(option)) return;
  throw new CooperError("unsupported", `The storage option ${JSON.stringify(option)} is not supported`, {
    hint: "the store has no options but its place (--root) and its driver (--storage-driver)",
  });
}

function driverOf(name: string | undefined): "overlay" | "copy" | undefined {
  switch (name) {
    case undefined:
    case "overlay":
    case "copy":
      return name;
    case "overlay2":
      return "overlay";
    case "vfs":
      return "copy";
    default:
      throw new CooperError("unsupported", `The storage driver ${JSON.stringify(name)} is not supported`, {
        hint: "use overlay or copy (vfs)",
      });
  }
}
