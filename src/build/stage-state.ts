/** A stage while it is being built: what it stands on, what its steps gave, and its working container once it needs one. */
import type { Digest } from "../base/digest.ts";
import type { LayerPlan } from "../container/commit.ts";
import {
  createBuildContainer,
  freezeContainer,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import type { ContainerBase } from "../container/working-container.ts";
import type { ImageConfig } from "../oci/types.ts";
import type { StageState as PlannedState } from "../plan/types.ts";
import type { ImageRecord } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import type { BuildRequest } from "./build-request.ts";
import type { PortableKey } from "./portable-key.ts";

export interface StageState {
  /** Without its layers as long as there is `obtainBase`. */
  base: ContainerBase;
  /** Pulls the base, of which only the config was read so far. */
  obtainBase: (() => Promise<ImageRecord>) | undefined;
  /** Snapshots on top of the base, those of the stage that this one is FROM included. */
  frozen: string[];
  /** Layers of the image that this stage would make, above the base's. */
  plan: LayerPlan[];
  image: ImageConfig;
  annotations: Record<string, string>;
  /** What the planner hands from stage to stage: config, ARG and ENV in scope. */
  planned: PlannedState;
  /** Cache key of everything so far. */
  key: Digest;
  /** The same for all machines. */
  portable: PortableKey;
  /** Made when the first step really runs, or when another stage reads from this one. */
  container: WorkingContainer | undefined;
}

/** The stage's working container, with the state so far, which is at hand: materialise(). */
export function containerOf(store: StoreFiles, request: BuildRequest, stage: StageState): WorkingContainer {
  stage.container ??= createBuildContainer(store, {
    driver: request.driver,
    base: stage.base,
    frozen: [...stage.frozen],
    image: stage.image,
    annotations: stage.annotations,
    run: request.run,
  });
  stage.container.image = stage.image;
  return stage.container;
}

/** Root of the stage's files, mounted. */
export function mountStage(store: StoreFiles, request: BuildRequest, stage: StageState): string {
  const container = containerOf(store, request, stage);
  return snapshotter(container).mount(treeOf(store, container));
}

/** Deletes the working container's tree, which is a copy of everything where nothing can be mounted. */
export function releaseStage(store: StoreFiles, stage: StageState): void {
  if (stage.container === undefined) return;
  const tree = treeOf(store, stage.container);
  const driver = snapshotter(stage.container);
  driver.unmount(tree);
  driver.remove(tree);
  stage.container = undefined;
}

/** Freezes what the current step wrote; null when it wrote nothing. */
export function freezeStage(store: StoreFiles, stage: StageState): string | null {
  if (stage.container === undefined) return null;
  const snapshot = freezeContainer(store, stage.container);
  if (snapshot === undefined) return null;
  stage.frozen.push(snapshot);
  return snapshot;
}
