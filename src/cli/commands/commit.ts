import { CooperError } from "../../base/errors.ts";
import type { CommitOptions, Container, Store } from "../../index.ts";
import { type CommandContext, defineCommand, type FlagTable, onContainer } from "../command.ts";
import { writeIdFile } from "../id-file.ts";
import { FORMAT_FLAG, formatOf, identityLabelOf, MADE_IMAGE_FLAGS, parsePullPolicy } from "../image-flags.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";
import { openProgress, showsWarnings } from "../progress.ts";
import { SBOM_FLAGS, sbomOptions } from "../sbom-flags.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS, registryOptions } from "../registry-flags.ts";

const FLAGS = {
  ...SBOM_FLAGS,
  ...MADE_IMAGE_FLAGS,
  ...REGISTRY_FLAGS,
  ...RETRY_FLAGS,
  annotation: { type: "list", placeholder: "key=value", help: "annotation of the manifest" },
  manifest: {
    type: "string",
    placeholder: "list",
    help: "add the image to a list of images, which is made if need be",
  },
  "add-file": {
    type: "list",
    placeholder: "file[:path]",
    help: "give the image a file of the host, at a path of its own; the container does not get it",
  },
  change: {
    type: "list",
    short: "c",
    placeholder: "instruction",
    help: "change the image's config, not the container's, as this Dockerfile instruction does",
  },
  config: {
    type: "string",
    placeholder: "file",
    help: "merge the values of an image config, as JSON, into the image's; the container's stays",
  },
  format: { ...FORMAT_FLAG, short: "f" },
  ...JSON_FLAG,
  pull: {
    type: "string",
    bare: "true",
    placeholder: "always|missing|newer|never",
    help: "when to bring the image of an SBOM's scanner anew: always, missing (also false), newer (also true) or never; default: missing",
  },
  "omit-history": { type: "bool", help: "leave the history out of the image" },
  "rewrite-timestamp": {
    type: "bool",
    default: true,
    help: "with a source date: files that are newer get it too",
  },
  rm: { type: "bool", help: "remove the container afterwards" },
  "source-date-epoch": {
    type: "int",
    placeholder: "seconds",
    help: "time since 1970 for the image, its history and every file that is newer",
    env: ["SOURCE_DATE_EPOCH"],
  },
  unsetannotation: { type: "commaList", placeholder: "key", help: "take an annotation away" },
  unsetenv: { type: "commaList", placeholder: "name", help: "take a variable away" },
} as const satisfies FlagTable;

/** buildah-commit(1) */
export const command = defineCommand({
  name: "commit",
  summary: "Make an image of a working container",
  usage: "CONTAINER [IMAGE]",
  args: { min: 1, max: 2, missing: "A container must be named" },
  flags: FLAGS,
  unsupported: ["cw", "encrypt-layer", "encryption-key", "reference-time", "sign-by"],
  details: [
    "IMAGE is a name in the store, or a place as for push: oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME, containers-storage:NAME, docker://NAME. Without it the image has an ID only. The image's ID is printed.",
  ],
  examples: [
    "cooper commit work localhost/hello",
    "cooper commit --rm --squash work localhost/hello:1.0",
    "cooper commit work oci-archive:hello.tar",
    "cooper commit --sbom trivy --sbom-output hello.cdx.json work localhost/hello",
  ],
  namespace: onContainer,
  async run(context) {
    const { args, flags, given, signal, globals, api, store } = context;
    using progress = await openProgress({ quiet: flags.quiet, warnings: showsWarnings(globals.logLevel) });
    const format = formatOf(flags.format);
    const options: CommitOptions = { signal, onEvent: progress.onEvent };
    if (format !== undefined) options.format = format;
    if (flags.squash) options.squash = true;
    if (flags["omit-history"]) options.omitHistory = true;
    if (flags.timestamp !== undefined) options.timestamp = flags.timestamp;
    if (flags.annotation.length > 0) options.annotations = flags.annotation;
    if (flags.change.length > 0) options.changes = flags.change;
    if (flags.unsetenv.length > 0) options.unsetEnv = flags.unsetenv;
    if (flags.unsetannotation.length > 0) options.unsetAnnotations = flags.unsetannotation;
    if (flags["source-date-epoch"] !== undefined) options.sourceDateEpoch = flags["source-date-epoch"];
    if (!flags["rewrite-timestamp"]) options.rewriteTimestamp = false;
    if (flags["created-annotation"]) options.createdAnnotation = true;
    if (flags["add-file"].length > 0) options.addFiles = flags["add-file"].map(addedFile);
    if (flags.config !== undefined) options.configFile = flags.config;
    const sbom = sbomOptions(flags);
    if (sbom !== undefined) {
      const pull = flags.pull === "true" ? "newer" : flags.pull;
      options.sbom = pull === undefined ? sbom : { ...sbom, pull: parsePullPolicy(pull, "--pull") };
      options.registry = registryOptions(flags, given);
    }
    const identityLabel = identityLabelOf(flags, given);
    if (identityLabel !== undefined) options.identityLabel = identityLabel;
    const [name, image] = args as [string, string | undefined];
    const opened = await store();
    const container = await (await api()).openContainer(opened, name);
    if (isPlace(image) && flags.manifest !== undefined)
      throw new CooperError("usage", "--manifest needs the image in the store: name it there, not a place");
    let imageId: string;
    if (isPlace(image)) {
      imageId = await commitTo(context, opened, container, image, options);
      if (flags.rm) await container.remove();
    } else {
      ({ imageId } = await container.commit(image, flags.rm ? { ...options, remove: true } : options));
    }
    if (flags.manifest !== undefined)
      await (await api()).createManifest(opened, flags.manifest, { amend: true, images: [imageId] });
    progress.end();
    // As in Buildah, the ID goes to one or the other.
    if (flags.iidfile !== undefined) writeIdFile(flags.iidfile, `sha256:${imageId}`);
    else writeResult(flags.json, { imageId }, [imageId]);
    return 0;
  },
});

/** Without a path of its own a file has the one that it was named by. */
function addedFile(text: string): { source: string; destination: string } {
  const at = text.indexOf(":");
  return at === -1
    ? { source: text, destination: text }
    : { source: text.slice(0, at), destination: text.slice(at + 1) };
}

/** `transport:details`, as against `host:port/name` and `name:tag`. */
function isPlace(image: string | undefined): image is string {
  return /^(oci|oci-archive|docker-archive|dir|docker|docker-daemon|containers-storage|ostree|sif):/.test(
    image ?? "",
  );
}

/** Commits without a name, sends the image to its place, and leaves nothing in the store that was not there before. */
async function commitTo(
  { api, flags, given, signal }: CommandContext<typeof FLAGS>,
  store: Store,
  container: Container,
  place: string,
  options: CommitOptions,
): Promise<string> {
  const { listImages, push, removeImage } = await api();
  const known = new Set((await listImages(store)).map(({ id }) => id));
  const { imageId } = await container.commit(undefined, options);
  try {
    await push(store, imageId, place, {
      ...registryOptions(flags, given),
      ...(flags["disable-compression"] && !place.startsWith("docker://") ? { compression: "none" } : {}),
      signal,
      ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    });
  } finally {
    if (!known.has(imageId)) await removeImage(store, imageId);
  }
  return imageId;
}
