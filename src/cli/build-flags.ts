/** The flags of a build (buildah-build(1)). */
import type { FlagTable } from "./command.ts";
import { FORMAT_FLAG, MADE_IMAGE_FLAGS, PLATFORM_FLAGS, PULL_FLAGS } from "./image-flags.ts";
import { JSON_FLAG } from "./json-flag.ts";
import { REGISTRY_FLAGS, RETRY_FLAGS } from "./registry-flags.ts";
import { HOST_FLAGS, RUN_FLAGS, RUNTIME_FLAGS } from "./run-flags.ts";
import { SBOM_FLAGS } from "./sbom-flags.ts";

export const BUILD_FLAGS = {
  ...RUN_FLAGS,
  ...HOST_FLAGS,
  ...RUNTIME_FLAGS,
  ...PLATFORM_FLAGS,
  ...PULL_FLAGS,
  ...REGISTRY_FLAGS,
  ...RETRY_FLAGS,
  ...MADE_IMAGE_FLAGS,
  ...SBOM_FLAGS,
  ...JSON_FLAG,
  "all-platforms": {
    type: "bool",
    help: "build for every platform that all base images have, as with several of --platform",
  },
  allow: {
    type: "commaList",
    placeholder: "entitlement",
    help: "let RUN flags have security.insecure or network.host",
  },
  "allow-secret-leak": {
    type: "list",
    placeholder: "id",
    help: "commit an image that holds this secret; where it is becomes a warning",
  },
  annotation: { type: "list", placeholder: "key=value", help: "annotation of the manifest" },
  platform: {
    type: "commaList",
    placeholder: "os/arch[/variant]",
    help: "the platform in place of the host's; with several the result is a list of images, which has the names",
  },
  "build-arg": {
    type: "list",
    placeholder: "key[=value]",
    help: "value of an ARG; without one, the host's variable",
  },
  "build-arg-file": {
    type: "list",
    placeholder: "file",
    help: "values of ARGs, one on each line, as --build-arg has them; that one is stronger",
  },
  "build-context": {
    type: "list",
    placeholder: "name=place",
    help: "another context, for FROM and COPY --from",
  },
  "cpp-flag": {
    type: "list",
    placeholder: "flag",
    help: "an argument of cpp(1), which Dockerfiles with names in .in go through",
    env: ["COOPER_CPPFLAGS", "BUILDAH_CPPFLAGS"],
  },
  "cache-from": {
    type: "list",
    placeholder: "place",
    help: "look up steps there that this store does not know: registry/repository, type=registry,ref=…, type=local,src=…",
  },
  "cache-to": {
    type: "list",
    placeholder: "place",
    help: "export the steps' results there: registry/repository, type=registry,ref=…, type=local,dest=…",
  },
  "cache-ttl": {
    type: "string",
    placeholder: "duration",
    help: "do not use results that are older (24h, 30m); 0 runs every step anew",
  },
  check: { type: "bool", help: "judge the Dockerfile without building: 1 when there are warnings" },
  "compat-volumes": {
    type: "bool",
    help: "keep nothing of what RUN writes below a VOLUME; what COPY and ADD put there stays",
  },
  compress: { type: "bool", help: "no effect, as in Buildah: of old Docker" },
  "debug-shell": {
    type: "bool",
    help: "when a RUN fails, open a shell in its place, with the files as they were before it; needs a terminal",
  },
  "disable-content-trust": { type: "bool", help: "no effect, as in Buildah: of Docker" },
  env: {
    type: "list",
    placeholder: "name[=value]",
    help: "variable of all stages and of the image; without a value, the host's",
  },
  file: {
    type: "commaList",
    short: "f",
    placeholder: "file",
    help: "the Dockerfile, - for standard input; several are read as one",
  },
  "force-rm": {
    type: "bool",
    help: "working containers are removed after a failed build, as they always are",
  },
  format: FORMAT_FLAG,
  from: { type: "string", placeholder: "image", help: "in place of what the first FROM names" },
  "hooks-dir": {
    type: "list",
    placeholder: "dir",
    help: "a directory of hooks for the OCI runtime (oci-hooks(5)), in place of containers.conf's",
  },
  ignorefile: { type: "string", placeholder: "file", help: "in place of .containerignore and .dockerignore" },
  "inherit-annotations": { type: "bool", help: "take over the annotations of the base image" },
  "inherit-labels": {
    type: "bool",
    default: true,
    help: "take over the labels of base images and of the stages that others are FROM",
  },
  jobs: {
    type: "int",
    placeholder: "number",
    help: "stages that run at once; 0 for as many as there are processors",
  },
  label: { type: "list", placeholder: "key=value", help: "label of the image" },
  layers: {
    type: "bool",
    help: "a layer for each instruction that changes files; otherwise one on top of the base, with the same cache",
    env: ["COOPER_LAYERS", "BUILDAH_LAYERS"],
  },
  logfile: {
    type: "string",
    placeholder: "file",
    help: "write what would be shown on standard error to a file",
  },
  logsplit: {
    type: "bool",
    help: "with --logfile: add the platform to the file's name, as in log_linux_amd64",
  },
  "metadata-file": {
    type: "string",
    placeholder: "file",
    help: "write the image's digests to a file, as JSON",
  },
  manifest: {
    type: "string",
    placeholder: "list",
    help: "add the image, or one for each platform, to a list of images, which is made if need be",
  },
  "no-cache": { type: "bool", help: "run every step anew" },
  "no-cache-filter": {
    type: "commaList",
    placeholder: "stage",
    help: "run the steps of a stage anew",
  },
  "omit-history": { type: "bool", help: "leave the history out of the image" },
  "os-feature": {
    type: "list",
    placeholder: "feature",
    help: "a feature that the operating system must have; feature- takes one of the base away",
  },
  "os-version": { type: "string", placeholder: "version", help: "version of the operating system" },
  output: {
    type: "list",
    short: "o",
    placeholder: "type=local|tar|oci|docker,dest=path",
    help: "write the result there too: a path alone is a directory of files, - a tar on standard output",
  },
  progress: {
    type: "string",
    placeholder: "auto|plain|tty|quiet|rawjson",
    help: "how progress is shown: auto is a live view on a terminal and plain lines elsewhere; rawjson is an event a line; default: COOPER_PROGRESS, else auto",
  },
  report: {
    type: "string",
    placeholder: "file",
    help: "write there how the build went and what is in the image: a page when it ends in .html, else .json",
  },
  "rewrite-timestamp": {
    type: "bool",
    default: true,
    help: "with a source date: files that are newer get it too",
  },
  rm: {
    type: "bool",
    default: true,
    help: "remove working containers after the build",
    fixed: "a build's containers go with it; cooper from IMAGE makes one with the same files",
  },
  secret: {
    type: "list",
    placeholder: "id=name,src=file|env=variable[,cache-salt[=text]]",
    help: "secret for RUN --mount=type=secret; with cache-salt its steps are run again when it, or the text, is another",
  },
  "skip-unused-stages": {
    type: "bool",
    default: true,
    help: "do not run stages that the target does not need; false: all that stand above it",
  },
  "source-date-epoch": {
    type: "int",
    placeholder: "seconds",
    help: "time since 1970 for the image, its history and every file that is newer",
  },
  ssh: {
    type: "list",
    placeholder: "id[=socket|key]",
    help: "SSH agent, or private keys, for RUN --mount=type=ssh; public keys limit what a step may use of an agent",
  },
  stdin: { type: "bool", help: "let RUN read the standard input; such steps are run each time" },
  tag: { type: "list", short: "t", placeholder: "name", help: "name of the image" },
  target: { type: "string", placeholder: "stage", help: "the stage to build" },
  unsetannotation: { type: "commaList", placeholder: "key", help: "take an annotation away" },
  unsetenv: { type: "commaList", placeholder: "name", help: "take a variable away" },
  unsetlabel: { type: "commaList", placeholder: "key", help: "take a label away" },
} as const satisfies FlagTable;
