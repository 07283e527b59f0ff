/** How much this host lets Cooper do (docs/rootless.md). */

/**
 * 0: root who may mount. 1: a user with a range of ids. 2: a user with one id. 3: root of a container that may not
 * mount. 4: a user without namespaces.
 */
export type Tier = 0 | 1 | 2 | 3 | 4;

/** A line about each tier. */
export const TIER_SUMMARIES: Record<Tier, string> = {
  0: "root: everything works",
  1: "rootless with a range of ids (newuidmap): everything works, owners included",
  2: "rootless with one id: commands run and give files away, but cannot become other users",
  3: "root of a container that may not mount: commands run by chroot, in copies of the files",
  4: "a user without namespaces: everything but RUN works",
};
