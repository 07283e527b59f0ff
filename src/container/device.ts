/** `host[:container][:permissions]` of --device (buildah-run(1)) and of containers.conf's devices. */
import { realpathSync, statSync } from "node:fs";
import { isAbsolute, join, posix } from "node:path";
import { CooperError } from "../base/errors.ts";
import { readNames } from "../base/path-bytes.ts";

/** A device node of the host, and where the command finds it. */
export interface Device {
  source: string;
  target: string;
}

/**
 * The device that is meant, or all below a directory. Throws `usage`, `not-found`, and `unsupported` for what would have to
 * be taken from the command (a device that it may only read) or looked up elsewhere (CDI).
 */
export function parseDevice(text: string): Device[] {
  const [source = "", ...rest] = text.split(":");
  if (!isAbsolute(source)) throw notAPath(text);
  const permissions = rest.at(-1)?.startsWith("/") === false ? rest.pop() : undefined;
  const [target = source, ...more] = rest;
  if (more.length > 0 || !/^[rwm]+$/.test(permissions ?? "rwm")) {
    throw new CooperError(
      "usage",
      `The device "${text}" is not of the form /host/path[:/container/path][:permissions]`,
      {
        hint: "Permissions are rw or rwm",
      },
    );
  }
  if (!/r.*w|w.*r/.test(permissions ?? "rw")) {
    throw new CooperError(
      "unsupported",
      `Cannot give the device ${source} with the permissions "${permissions}": commands have no cgroup of devices that could keep them to it`,
      { hint: "Leave the permissions out, and give the device to commands that may write to it" },
    );
  }
  return nodes(source, posix.normalize(target), text);
}

function notAPath(text: string): CooperError {
  if (/^[^/=]+\/[^/=]+=/.test(text)) {
    return new CooperError(
      "unsupported",
      `The CDI device ${text} cannot be given: specifications of CDI are not read`,
      {
        hint: "Name the device's nodes: --device /dev/…",
      },
    );
  }
  return new CooperError("usage", `The device "${text}" does not begin with an absolute path`);
}

/** Links are followed, as Buildah does: the container has the node alone. */
function nodes(path: string, target: string, text: string): Device[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new CooperError("not-found", `The device ${path} does not exist`);
  if (stat.isCharacterDevice() || stat.isBlockDevice()) return [{ source: realpathSync(path), target }];
  const below = stat.isDirectory() ? devicesBelow(path, target) : [];
  if (below.length > 0) return below;
  throw new CooperError("usage", `Cannot give ${path} to the container ("${text}"): it is no device`);
}

function devicesBelow(directory: string, target: string): Device[] {
  return readNames(directory)
    .sort()
    .flatMap((name) => {
      const path = join(directory, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat?.isDirectory() === true) return devicesBelow(path, join(target, name));
      if (stat?.isCharacterDevice() !== true && stat?.isBlockDevice() !== true) return [];
      return [{ source: realpathSync(path), target: join(target, name) }];
    });
}
