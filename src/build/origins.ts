/** Where COPY --from and RUN --mount=from take files: each origin becomes a directory that can be read. */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type Digest, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import type { Origin } from "../plan/types.ts";
import type { Build } from "./build-image.ts";
import { imageStage, scratchStage } from "./stage-base.ts";
import { mountStage, type StageState } from "./stage-state.ts";

/** What stands behind an origin: a plain directory of the host, or the files of a stage or image. */
export type OpenOrigin = { kind: "directory"; path: string } | { kind: "stage"; stage: StageState };

/** Finds (waits for, pulls) an origin; each is opened once per build. */
export function openOrigin(build: Build, origin: Origin): Promise<OpenOrigin> {
  const key = JSON.stringify(origin);
  let open = build.origins.get(key);
  if (open === undefined) {
    open = openNew(build, origin);
    build.origins.set(key, open);
  }
  return open;
}

async function openNew(build: Build, origin: Origin): Promise<OpenOrigin> {
  switch (origin.kind) {
    case "scratch":
      return { kind: "stage", stage: scratchStage(build.request, undefined) };
    case "stage":
      return { kind: "stage", stage: await build.stage(origin.stage) };
    case "image":
      return {
        kind: "stage",
        stage: await imageStage(build.store, build.request, origin.reference, origin.platform),
      };
    case "context":
      return openContext(build, origin.name);
  }
}

async function openContext(build: Build, name: string | undefined): Promise<OpenOrigin> {
  if (name === undefined) {
    if (build.request.context !== undefined) return { kind: "directory", path: build.request.context };
    const empty = build.store.session.path("context");
    mkdirSync(empty);
    return { kind: "directory", path: empty };
  }
  const given = build.request.buildContexts[name];
  if (given === undefined) throw new CooperError("not-found", `There is no build context named "${name}"`);
  const image = /^(?:docker-image:\/\/|container-image:\/\/|docker:\/\/)(.+)$/.exec(given);
  if (image !== null) {
    return { kind: "stage", stage: await imageStage(build.store, build.request, image[1]!, undefined) };
  }
  const layout = /^oci-layout:\/\/(.+)$/.exec(given);
  if (layout !== null) {
    return {
      kind: "stage",
      stage: await imageStage(build.store, build.request, `oci:${layout[1]}`, undefined),
    };
  }
  const path = resolve(given);
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    throw new CooperError("not-found", `The build context "${name}" is no directory: ${given}`, {
      hint: "Give a directory, docker-image://NAME or oci-layout://PATH",
    });
  }
  return { kind: "directory", path };
}

/** The origin's files as a directory of this mount namespace. */
export async function originRoot(build: Build, origin: Origin): Promise<string> {
  const open = await openOrigin(build, origin);
  return open.kind === "directory" ? open.path : mountStage(build.store, build.request, open.stage);
}

/** What identifies the content of an origin for the cache; undefined for a directory, whose files are hashed. */
export async function originKey(build: Build, origin: Origin): Promise<Digest | undefined> {
  const open = await openOrigin(build, origin);
  return open.kind === "directory" ? undefined : digestOf(`origin ${open.stage.key}`);
}
