/** Files that a command finds where there is one id, for programs that look whether they became another user. */
import { resolveInRoot } from "../archive/rooted-path.ts";
import { statusOf } from "../base/path-bytes.ts";

/**
 * Texts by their path in the container. apt downloads as the user _apt and ends when it is still root (its options
 * APT::Sandbox::User and APT::Sandbox::Verify::IDs, apt.conf(5)): where apt is, it is told to stay root.
 */
export function oneIdFiles(rootfs: string): Record<string, string> {
  const directory = "/etc/apt/apt.conf.d";
  if (statusOf(resolveInRoot(rootfs, directory))?.isDirectory() !== true) return {};
  return { [`${directory}/zz-cooper-one-id`]: 'APT::Sandbox::User "root";\n' };
}
