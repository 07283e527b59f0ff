/** `--change` of import and commit: Dockerfile instructions that only touch the config. */
import { CooperError } from "../base/errors.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import type { ContainerConfig } from "../oci/types.ts";
import { planBuild } from "../plan/graph.ts";
import { imageState, resolveStage } from "../plan/resolve.ts";

/** The config that the instructions make of `base`. Throws `invalid` for those that would touch files. */
export function configOfChanges(changes: string[], base: ContainerConfig = {}): ContainerConfig {
  if (changes.length === 0) return base;
  const plan = planBuild(parseDockerfile(["FROM scratch", ...changes].join("\n"), "--change"));
  const { steps, state } = resolveStage(plan, plan.stages[0]!, imageState(base));
  const working = steps.find((step) => step.op.kind !== "config" && step.op.kind !== "mkdir");
  if (working !== undefined)
    throw new CooperError("invalid", `"${working.text}" changes files, which a config change cannot`);
  return state.config;
}
