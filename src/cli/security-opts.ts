/** --security-opt of `from` and `build`: what it confines commands by, and what it opens to them. */
import { existsSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import type { RunSettings } from "../index.ts";

/** Applies one option. Throws `usage` and `unsupported`. */
export function applySecurity(settings: RunSettings, option: string): void {
  const [name, value] = splitOption(option);
  if (name === "no-new-privileges" && (value === undefined || value === "true" || value === "false")) {
    settings.noNewPrivileges = value !== "false";
    return;
  }
  if (value === undefined || value === "") throw unknown(option);
  switch (name) {
    case "seccomp":
      settings.seccomp = value;
      return;
    case "apparmor":
      settings.apparmor = value;
      return;
    case "label":
      checkLabel(option, value);
      return;
    case "mask":
    case "unmask":
      settings[name] = [...(settings[name] ?? []), ...value.split(":").filter((path) => path !== "")];
      return;
    default:
      throw unknown(option);
  }
}

/** Without SELinux there is nothing to label, in Buildah as here; with it, commands run under the caller's label. */
function checkLabel(option: string, value: string): void {
  if (value === "disable") return;
  if (!/^(?:user|role|type|level|filetype|nested)[:=]./.test(value)) throw unknown(option);
  if (existsSync("/sys/fs/selinux/enforce"))
    throw new CooperError(
      "unsupported",
      `--security-opt ${option} is not supported: Cooper gives commands no SELinux label of their own`,
      { hint: "They run under the caller's: start Cooper with runcon(1)" },
    );
}

function unknown(option: string): CooperError {
  return new CooperError("usage", `Unknown --security-opt ${option}`, {
    hint: "use seccomp=unconfined|PROFILE, apparmor=unconfined|PROFILE, label=disable, mask=PATH:…, unmask=ALL|PATH:…, no-new-privileges",
  });
}

/** Docker separates with `=`, older scripts with `:`. */
function splitOption(option: string): [string, string | undefined] {
  const at = option.search(/[=:]/);
  return at === -1 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
}
