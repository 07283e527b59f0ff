/** What the flag tables cannot tell: how a flag differs from Buildah's. Keys: `COMMAND FLAG`. */

/** `*` stands for every command that has the flag. */
export const DIFFERENCES: Record<string, string> = {
  " cgroup-manager": "cgroupfs alone: Cooper makes cgroups itself, and only for commands with limits",
  " storage-opt": "overlay.ignore_chown_errors=true, which is how every store is; any other is refused",
  " root":
    "other default: /var/lib/cooper, or $XDG_DATA_HOME/cooper; the layout is Cooper's own, beside Buildah's store",
  " runroot": "other default: /run/cooper, or $XDG_RUNTIME_DIR/cooper",
  " userns-uid-map": "same",
  " userns-gid-map": "same",
  " storage-driver": "overlay or copy; vfs is another name for copy",
  "* retry-delay": "default 1s, doubled before each further try",
  // The host's in both.
  "* arch": "same",
  "* os": "same",
  "pull platform": "same",
  "* created-annotation": "default false: the config tells the time already",
  "build inherit-annotations": "default false, as in BuildKit: a base's annotations are about the base",
  "* rewrite-timestamp": "default true: a source date holds for the files as well",
  "* network":
    "default private where it can be had, for root too (in Buildah bridges are root's), else host; private is pasta, else slirp4netns; both by name too, with options; CNI's networks are refused",
  "* pid":
    "private or host; the path of a namespace is refused: what is left running there could not be ended",
  "* cgroupns": "default: as the isolation has it",
  "* userns":
    "auto finds ids for each run, and only while it lasts; without root ids are the same inside and outside",
  "* userns-uid-map":
    "files keep the image's ids on the disk; without root ids are the same inside and outside (docs/rootless.md)",
  "* userns-gid-map": "as --userns-uid-map",
  "* userns-uid-map-user": "as --userns-uid-map",
  "* userns-gid-map-group": "as --userns-uid-map",
  "* volume": "shared and slave propagation are refused: mounts of commands are private",
  "config volume": "same",
  "* device": "permissions are rw or rwm, since commands have no cgroup of devices; CDI is refused",
  "* isolation": "oci (crun, else runc), crun, runc or chroot; by default the best that the host allows",
  "* runtime-flag":
    "all but those that Cooper sets: root, log, log-format, cgroup-manager, rootless, systemd-cgroup",
  "* security-opt":
    "an AppArmor profile takes AppArmor and a runtime; SELinux labels, which Cooper never sets, are refused where there is SELinux; unmask=ALL also opens what is read-only, as the manual page says",
  "* ulimit": "default: the caller's limits",
  "push format": "v2s1 is refused: registries have dropped it",
  "manifest push format": "v2s1 is refused: registries have dropped it",
  "from format": "checked and without effect; in Buildah it only decides which warnings config gives",
  "build disable-compression": "the store keeps layers uncompressed in either case; push compresses them",
  "commit disable-compression":
    "false compresses what goes to a place; in the store layers stay uncompressed, and push compresses them",
  "push disable-compression": "same",
  "* remove-signatures": "without effect: signatures are never copied",
  "build rm":
    "always true; false is refused: from makes a container of the image, --debug-shell shows a failed step's files",
  "build force-rm": "false removes them, too: a build's working containers are gone when it ends",
  "commit pull": "default missing; false is missing, too",
  "build stdin":
    "each RUN reads on where the last one stopped; its steps are run each time, with --layers too",
  "build hooks-dir":
    "by default containers.conf's hooks_dir; schema 1.0.0 alone; refused with the isolation chroot, where Buildah passes over it",
  "build jobs": "default: the number of processors",
  "build output": "may be repeated; type=oci and type=docker too",
  "build cache-from": "works without --layers; also type=registry,ref=… and type=local,src=… (docs/cache.md)",
  "build cache-to": "works without --layers; also type=registry,ref=… and type=local,dest=… (docs/cache.md)",
  "build all-platforms": "stages FROM --platform=$BUILDPLATFORM or a fixed platform do not count",
  "build iidfile": "for several platforms the id of the list, where Buildah refuses",
  "build platform":
    "several make a list of the images, which --tag names; in Buildah --tag names one of the images (docs/dockerfile.md)",
  "build layers": "false still rebuilds from the cache",
  "config onbuild": "each flag is one instruction; Buildah splits it at commas",
  "login get-login": "default false: Buildah, too, looks only whether the flag is there",
};

/** What is different and belongs to no flag. */
export const MANNERS: readonly string[] = [
  "The lines of a build (`STEP n/m: …`, `COMMIT name`) go to standard error, and its image's ID alone to standard output; `COMMIT` tells the full name, and a step of a stage has the stage's name before it in place of `[1/2]`",
  "A command that is not there ends `run` with 127, one that cannot be executed with 126; Buildah ends with 1",
  "Commands have no variable `HOSTNAME`, which would differ with each build",
  "Steps are cached as snapshots: `images --all` has no images of single steps",
  "Manifests get no annotations `org.opencontainers.image.base.*`; history is written as BuildKit writes it",
  "`source add` adds an archive as it is, or compressed; Buildah puts it into another one",
];
