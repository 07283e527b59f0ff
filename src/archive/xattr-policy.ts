/** Which extended attributes belong to an image and which to the host or to overlayfs. */

/** Prefixes of overlayfs's own bookkeeping: root's mounts and those with `userxattr`. */
const OVERLAY = ["user.overlay.", "trusted.overlay."];

/** Set on a directory that hides everything of the same path below, with the value "y" (overlayfs, `userxattr`). */
export const OPAQUE_XATTR = "user.overlay.opaque";

/** Makes an empty file a whiteout, where the device cannot be made (overlayfs, `userxattr`). */
export const WHITEOUT_XATTR = "user.overlay.whiteout";

/** Every name under which overlayfs says so. */
export const OPAQUE_XATTRS: readonly string[] = OVERLAY.map((prefix) => `${prefix}opaque`);

/** Overlayfs features under which a diff directory alone does not tell its content. */
export const INCOMPLETE_XATTRS: readonly string[] = OVERLAY.flatMap((prefix) => [
  `${prefix}metacopy`,
  `${prefix}redirect`,
]);

/** Owner that a file should have, where this process may not give it away (owner-note.ts). */
export const OWNER_XATTR = "user.containers.override_stat";

/** What a program may do that root may (capabilities(7)). */
export const CAPABILITY_XATTR = "security.capability";

/** The same value, where this process may not set that one: layers have it under the other's name. */
export const CAPABILITY_NOTE = "user.cooper.capability";

/** Whether an attribute is overlayfs's own and must neither enter nor leave an image. */
export function isOverlayXattr(name: string): boolean {
  return OVERLAY.some((prefix) => name.startsWith(prefix));
}

// Labels and seals of this host's security modules, and what only the host's root sees, are not the image's;
// signatures (security.ima) come with packages and are.
const HOST_ONLY = ["trusted.", "security.selinux", "security.apparmor", "security.SMACK64", "security.evm"];
// system.* are views of the file system's own (NFS, NTFS…), access control lists excepted.
const ACCESS_LISTS = ["system.posix_acl_access", "system.posix_acl_default"];

/** Whether an attribute of a file belongs to its content and is written into layers. */
export function isPortableXattr(name: string): boolean {
  if (isOverlayXattr(name)) return false;
  if (name.startsWith("system.")) return ACCESS_LISTS.includes(name);
  return !HOST_ONLY.some((prefix) => name.startsWith(prefix));
}
