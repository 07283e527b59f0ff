/** `host:container[:options]` of --volume (buildah-run(1), podman-run(1)). */
import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { CooperError } from "../base/errors.ts";
import type { RunMount } from "../sandbox/types.ts";

type Bind = Extract<RunMount, { type: "bind" }>;

/**
 * Options that change nothing here: what they ask for is how it is. Labels (z, Z) among them: commands run under the
 * caller's, so that nothing has to be relabelled for them.
 */
const AS_IT_IS = new Set(["rw", "z", "Z", "bind", "rbind", "private", "rprivate", "dev", "exec", "suid"]);
const RESTRICTIONS = ["nosuid", "nodev", "noexec"] as const;

/** Throws `usage`, `not-found`, and `unsupported` for options that are not there. */
export function parseVolume(text: string): Bind {
  const [source, target, options = "", ...rest] = text.split(":");
  const isWhole = source !== undefined && target !== undefined && rest.length === 0;
  if (!isWhole || !isAbsolute(source) || !isAbsolute(target)) {
    throw new CooperError(
      "usage",
      `The volume "${text}" is not of the form /host/path:/container/path[:options]`,
    );
  }
  const volume: Bind = { type: "bind", source, target, readOnly: false };
  for (const word of options.split(",").filter((one) => one !== "")) applyOption(volume, word, text);
  if (volume.overlay !== undefined) checkOverlay(volume, text);
  requireSource(source, text);
  return volume;
}

function applyOption(volume: Bind, word: string, text: string): void {
  const restriction = RESTRICTIONS.find((name) => name === word);
  const [, name, path] = /^(upperdir|workdir)=(\/.*)$/.exec(word) ?? [];
  if (AS_IT_IS.has(word)) return;
  if (word === "ro") volume.readOnly = true;
  else if (word === "U") volume.chown = true;
  else if (word === "O") volume.overlay ??= {};
  else if (restriction !== undefined) volume.forbids = [...(volume.forbids ?? []), restriction];
  else if (name === "upperdir") volume.overlay = { ...volume.overlay, upper: path! };
  else if (name === "workdir") volume.overlay = { ...volume.overlay, work: path! };
  else
    throw new CooperError("unsupported", `The option "${word}" of the volume "${text}" is not supported`, {
      hint: "ro, rw, z, Z, U, O (with upperdir=… and workdir=…), nosuid, nodev and noexec are",
    });
}

function checkOverlay({ overlay = {} }: Bind, text: string): void {
  const { upper, work } = overlay;
  if ((upper === undefined) !== (work === undefined))
    throw new CooperError("usage", `The volume "${text}" needs both upperdir and workdir, or neither`);
}

/** Throws `not-found`. */
function requireSource(source: string, text: string): void {
  if (statSync(source, { throwIfNoEntry: false }) === undefined) {
    throw new CooperError("not-found", `The source of "${text}" does not exist`);
  }
}
