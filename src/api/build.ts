/** `build`: finds the Dockerfile and decides the defaults; the build floor does the rest. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import type { BuildOptions, BuildResult, Store } from "../api-types.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { ignoreEvents } from "../base/events.ts";
import { buildImage } from "../build/build-image.ts";
import type { BuildRequest } from "../build/build-request.ts";
import { normaliseName } from "../oci/reference.ts";
import { privateMountNamespace } from "../sandbox/mount-namespace.ts";
import { selectSandbox } from "../sandbox/select-sandbox.ts";
import { selfCommand } from "./namespace.ts";
import { registrySettings } from "./registry-options.ts";
import { filesOf } from "./store.ts";

/** Builds a Dockerfile. Throws the first failing step's error, located; nothing is named then. */
export async function build(store: Store, options: BuildOptions): Promise<BuildResult> {
  const request = await buildRequest(store, options);
  // All mounts of a build live in a namespace of its own: however it ends, the host keeps none.
  privateMountNamespace();
  const isolation = options.run?.isolation;
  const { id, digest } = await buildImage(filesOf(store), request, () =>
    selectSandbox({
      ...(isolation === undefined ? {} : { isolation }),
      runtimeDir: store.runRoot,
      selfCommand: selfCommand(),
    }),
  );
  return { imageId: id, names: request.names, digest };
}

async function buildRequest(store: Store, options: BuildOptions): Promise<BuildRequest> {
  const context = options.context === undefined ? undefined : contextDirectory(options.context);
  const file = findDockerfile(options.file, context);
  return {
    context,
    dockerfile: await readDockerfile(file),
    ignoreFile: findIgnoreFile(options.ignoreFile, file, context),
    names: (options.tags ?? []).map(normaliseName),
    target: options.target,
    buildArgs: options.buildArgs ?? {},
    buildContexts: options.buildContexts ?? {},
    layers: options.layers ?? false,
    squash: options.squash ?? false,
    noCache: options.noCache ?? false,
    format: options.format ?? "oci",
    platform: options.platform,
    pull: options.pull ?? "missing",
    registry: registrySettings(options),
    labels: options.labels ?? [],
    annotations: options.annotations ?? [],
    secrets: options.secrets ?? [],
    timestamp: options.timestamp,
    jobs: options.jobs ?? cpus().length,
    identityLabel: options.identityLabel,
    run: options.run ?? {},
    driver: store.driver,
    runRoot: store.runRoot,
    onEvent: options.onEvent ?? ignoreEvents,
    signal: options.signal ?? new AbortController().signal,
  };
}

function contextDirectory(given: string): string {
  const path = resolve(given);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new CooperError("not-found", `The build context ${given} does not exist`);
  if (!stat.isDirectory()) throw new CooperError("unsupported", `The build context ${given} is no directory`);
  return path;
}

/** `-f` against the working directory, then against the context; else Containerfile before Dockerfile. */
function findDockerfile(given: string | undefined, context: string | undefined): string {
  if (given === "-") return given;
  const base = context ?? process.cwd();
  const candidates =
    given === undefined
      ? [join(base, "Containerfile"), join(base, "Dockerfile")]
      : [resolve(given), resolve(base, given)];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) {
    const names = given ?? "Containerfile or Dockerfile";
    throw new CooperError("not-found", `There is no ${names} in ${base}`, { hint: "name it with -f" });
  }
  return statSync(found).isDirectory() ? findDockerfile(undefined, found) : found;
}

async function readDockerfile(file: string): Promise<{ text: Uint8Array; file: string }> {
  try {
    if (file === "-") return { text: new Uint8Array(await Bun.stdin.arrayBuffer()), file: "-" };
    return { text: readFileSync(file), file };
  } catch (error) {
    throw wrapError(`Cannot read ${file}`, error);
  }
}

/** `DOCKERFILE.dockerignore`, else the context's `.containerignore` or `.dockerignore`. */
function findIgnoreFile(
  given: string | undefined,
  dockerfile: string,
  context: string | undefined,
): string | undefined {
  if (given !== undefined) {
    if (!existsSync(given)) throw new CooperError("not-found", `The ignore file ${given} does not exist`);
    return resolve(given);
  }
  if (context === undefined) return undefined;
  const own = dockerfile === "-" ? [] : [`${dockerfile}.containerignore`, `${dockerfile}.dockerignore`];
  return [...own, join(context, ".containerignore"), join(context, ".dockerignore")].find((path) =>
    existsSync(path),
  );
}
