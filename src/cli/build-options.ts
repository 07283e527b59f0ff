/** From `build`'s command line to the API's options. */
import { CooperError } from "../base/errors.ts";
import type { BuildOptions } from "../index.ts";
import type { BUILD_FLAGS } from "./build-flags.ts";
import { imageVariables, parseOutput, parseSsh } from "./build-output.ts";
import {
  buildArguments,
  buildContexts,
  buildPlaces,
  parseSecret,
  preprocessorFlags,
  readBuildArguments,
} from "./build-values.ts";
import { parseCacheFrom, parseCacheTo, parseCacheTtl } from "./cache-flags.ts";
import type { CommandContext } from "./command.ts";
import { formatOf, identityLabelOf, platformsOf, pullPolicyOf } from "./image-flags.ts";
import { registryOptions } from "./registry-flags.ts";
import { runSettings } from "./run-flags.ts";
import { sbomOptions } from "./sbom-flags.ts";

/** What a build command was given. */
export type BuildContext = CommandContext<typeof BUILD_FLAGS>;

/** What a command line asks for. Throws `usage`. */
export function buildOptions({ args, flags, given, signal, globals }: BuildContext): BuildOptions {
  const options: BuildOptions = {
    ...buildPlaces(args[0], flags.file),
    ...registryOptions(flags, given),
    run: runSettings(flags, given, globals.defaultMaps),
    signal,
    layers: flags.layers,
  };
  if (flags["compat-volumes"]) options.compatVolumes = true;
  if (!flags["skip-unused-stages"]) options.skipUnusedStages = false;
  if (flags.stdin) options.stdin = true;
  const format = formatOf(flags.format);
  const platforms = askedPlatforms(flags);
  const pull = pullPolicyOf(flags);
  if (format !== undefined) options.format = format;
  if (platforms.length > 0) options.platforms = platforms;
  if (pull !== undefined) options.pull = pull;
  if (flags.tag.length > 0) options.tags = flags.tag;
  if (flags.target !== undefined) options.target = flags.target;
  const buildArgs = [...flags["build-arg-file"].flatMap(readBuildArguments), ...flags["build-arg"]];
  if (buildArgs.length > 0) options.buildArgs = buildArguments(buildArgs);
  if (flags["cpp-flag"].length > 0) options.cppFlags = preprocessorFlags(flags["cpp-flag"], given);
  if (flags.from !== undefined) options.from = flags.from;
  if (flags["build-context"].length > 0) options.buildContexts = buildContexts(flags["build-context"]);
  if (flags.squash) options.squash = true;
  if (flags["no-cache"]) options.noCache = true;
  if (flags.label.length > 0) options.labels = flags.label;
  if (flags.annotation.length > 0) options.annotations = flags.annotation;
  if (flags.ignorefile !== undefined) options.ignoreFile = flags.ignorefile;
  if (flags.secret.length > 0) options.secrets = flags.secret.map(parseSecret);
  if (flags.timestamp !== undefined) options.timestamp = flags.timestamp;
  addLists(options, flags);
  const epoch = flags["source-date-epoch"];
  if (epoch !== undefined) options.sourceDateEpoch = epoch;
  if (!flags["rewrite-timestamp"]) options.rewriteTimestamp = false;
  if (flags["omit-history"]) options.omitHistory = true;
  if (flags.manifest !== undefined) options.manifest = flags.manifest;
  if (flags["created-annotation"]) options.createdAnnotation = true;
  if (flags["inherit-annotations"]) options.inheritAnnotations = true;
  if (!flags["inherit-labels"]) options.inheritLabels = false;
  if (flags["os-feature"].length > 0) options.osFeatures = flags["os-feature"];
  if (flags["os-version"] !== undefined) options.osVersion = flags["os-version"];
  const identityLabel = identityLabelOf(flags, given);
  if (identityLabel !== undefined) options.identityLabel = identityLabel;
  // 0 is "no limit" in Buildah; the API's default is the number of processors.
  if (given.has("jobs") && flags.jobs !== 0) options.jobs = checkJobs(flags.jobs);
  return options;
}

function askedPlatforms(flags: BuildContext["flags"]): NonNullable<BuildOptions["platforms"]> {
  const platforms = platformsOf(flags);
  if (!flags["all-platforms"]) return platforms;
  if (platforms.length > 0)
    throw new CooperError("usage", "--all-platforms cannot be combined with a platform");
  return "all";
}

function addLists(options: BuildOptions, flags: BuildContext["flags"]): void {
  if (flags["allow-secret-leak"].length > 0) options.allowSecretLeaks = flags["allow-secret-leak"];
  if (flags.allow.length > 0) options.allow = flags.allow;
  if (flags["cache-from"].length > 0) options.cacheFrom = flags["cache-from"].map(parseCacheFrom);
  if (flags["cache-to"].length > 0) options.cacheTo = flags["cache-to"].map(parseCacheTo);
  if (flags["cache-ttl"] !== undefined) options.cacheTtl = parseCacheTtl(flags["cache-ttl"]);
  if (flags["no-cache-filter"].length > 0) options.noCacheFilter = flags["no-cache-filter"];
  if (flags.env.length > 0) options.env = imageVariables(flags.env);
  if (flags.unsetenv.length > 0) options.unsetEnv = flags.unsetenv;
  if (flags.unsetlabel.length > 0) options.unsetLabels = flags.unsetlabel;
  if (flags.unsetannotation.length > 0) options.unsetAnnotations = flags.unsetannotation;
  const sbom = sbomOptions(flags);
  if (sbom !== undefined) options.sbom = sbom;
  if (flags["debug-shell"]) options.debugShell = true;
  if (flags.ssh.length > 0) options.ssh = flags.ssh.map(parseSsh);
  if (flags.output.length > 0) options.outputs = flags.output.map(parseOutput);
}

function checkJobs(jobs: number | undefined): number {
  if (jobs === undefined || jobs < 1) throw new CooperError("usage", "--jobs must not be negative");
  return jobs;
}
