/** The end of a build: the target's layers become an image with the names that were asked for. */
import { commitImage, type LayerPlan } from "../container/commit.ts";
import { applyConfigEdits } from "../oci/config.ts";
import type { Build, BuiltImage } from "./build-image.ts";
import type { BuildRequest } from "./build-request.ts";
import { refuseLeaks } from "./leak-guard.ts";
import { contextDirectories } from "./origins.ts";
import type { SbomRequest } from "./sbom-scan.ts";
import { containerOf, freezeStage, mountStage, type StageState } from "./stage-state.ts";

/** Commits and names it. Throws `denied` where a secret of the build would be in it. */
export async function commitTarget(build: Build, target: StageState): Promise<BuiltImage> {
  const { store, request } = build;
  const name = request.names[0];
  request.onEvent({ type: "commit-start", name });
  editTarget(request, target);
  const scan = request.sbom === undefined ? undefined : await scannedTarget(build, target, request.sbom);
  const steps = request.layers ? target.plan : joinLayers(target.plan);
  const plan = scan === undefined ? steps : [...steps, scan.layer];
  await refuseLeaks(build, target, plan);
  const container = { ...containerOf(store, request, target), annotations: target.annotations };
  const image = await commitImage(store, container, plan, {
    format: request.format,
    names: request.names,
    squash: request.squash,
    omitHistory: request.omitHistory,
    createdAnnotation: request.createdAnnotation,
    timestamp: request.timestamp,
    keepTime: !request.noCache,
    onBytes: (done) => request.onEvent({ type: "commit-progress", name, done }),
    signal: build.signal,
  });
  scan?.write();
  request.onEvent({ type: "commit-done", name, imageId: image.id });
  return { id: image.id, digest: image.manifest };
}

/** --sbom: a layer with what the scanner told, and what writes the rest once there is an image. */
async function scannedTarget(
  build: Build,
  target: StageState,
  request: SbomRequest,
): Promise<{ layer: LayerPlan; write(): void }> {
  const { placeScan, scanRoot, writeScan } = await import("./sbom-scan.ts");
  const { store } = build;
  const { registry, driver, onEvent, signal } = build.request;
  const site = { store, driver, sandbox: build.sandbox(), registry, onEvent, signal };
  const root = mountStage(store, build.request, target);
  const scan = await scanRoot(site, request, root, await contextDirectories(build));
  const placed = await placeScan(site, request, scan, root);
  const snapshot = freezeStage(store, target);
  const history = placed.map((path) => ({ created_by: `ADD ${path}` }));
  const layer = { stack: snapshot === null ? [] : [snapshot], history, checkpoint: true };
  return { layer, write: () => writeScan(request, scan) };
}

/** Labels, annotations and variables that the command line sets or takes away. */
function editTarget(request: BuildRequest, target: StageState): void {
  const identity = request.identityLabel === undefined ? [] : [`io.buildah.version=${request.identityLabel}`];
  const edited = applyConfigEdits(target.image, target.annotations, {
    labels: [...request.labels, ...identity],
    annotations: request.annotations,
    unsetEnv: request.unsetEnv,
    unsetLabels: request.unsetLabels,
    unsetAnnotations: request.unsetAnnotations,
    osFeatures: request.osFeatures,
    ...(request.osVersion === undefined ? {} : { osVersion: request.osVersion }),
  });
  target.image = edited.image;
  target.annotations = edited.annotations;
}

/** Without --layers one layer holds all steps up to the next checkpoint, or to the end. */
function joinLayers(plan: LayerPlan[]): LayerPlan[] {
  const joined: LayerPlan[] = [];
  let current: LayerPlan | undefined;
  for (const layer of plan) {
    current ??= { stack: [], history: [], checkpoint: false };
    current.stack.push(...layer.stack);
    current.history.push(...layer.history);
    if (layer.checkpoint) {
      joined.push(current);
      current = undefined;
    }
  }
  if (current !== undefined) joined.push(current);
  return joined;
}
