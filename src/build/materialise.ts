/** A stage whose files are needed: what is known of them only by name so far is brought here. */
import type { Build } from "./build-image.ts";
import type { StageState } from "./stage-state.ts";

/**
 * Pulls the stage's base and fetches the snapshots that a remote cache has, where that has not been done. Throws what
 * pulling throws; for a broken entry of a cache `integrity` and the like, after which buildImage() does without it.
 */
export async function materialise(build: Build, state: StageState): Promise<void> {
  // Without a remote cache everything is at hand.
  if (build.remote === undefined) return;
  const { fetchStage } = await import("./remote-layers.ts");
  await fetchStage(build, build.remote, state);
}
