/** The plan of what a build is asked for. */
import { CooperError } from "../base/errors.ts";
import type { Dockerfile } from "../dockerfile/instruction.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { parsePlatform } from "../oci/platform.ts";
import { planBuild } from "../plan/graph.ts";
import type { BuildPlan } from "../plan/types.ts";
import type { BuildRequest } from "./build-request.ts";

/** Parses and plans; nothing is looked up. Throws what planBuild() and the parser throw. */
export function planRequest(request: BuildRequest): BuildPlan {
  return planBuild(withCheckArg(parseDockerfiles(request.dockerfiles), request), {
    buildArgs: request.buildArgs,
    contexts: Object.keys(request.buildContexts),
    target: request.target,
    from: request.from,
    everyStage: !request.skipUnusedStages,
    platform: request.platform === undefined ? undefined : parsePlatform(request.platform),
  });
}

/** BuildKit's build arg for the checks goes before the file's directive. */
function withCheckArg(dockerfile: Dockerfile, { buildArgs }: BuildRequest): Dockerfile {
  const check = buildArgs.BUILDKIT_DOCKERFILE_CHECK;
  return check === undefined
    ? dockerfile
    : { ...dockerfile, directives: { ...dockerfile.directives, check } };
}

/** Several files are one, as in Buildah; each keeps its name for messages. */
function parseDockerfiles(files: BuildRequest["dockerfiles"]): Dockerfile {
  const [first, ...rest] = files.map(({ text, file }) => parseDockerfile(text, file));
  if (first === undefined) throw new CooperError("internal", "A build has no Dockerfile");
  return {
    ...first,
    instructions: [first, ...rest].flatMap((parsed) => parsed.instructions),
    warnings: [first, ...rest].flatMap((parsed) => parsed.warnings),
  };
}
