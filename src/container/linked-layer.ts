/** `copy --link`: what is copied becomes a layer of its own, on top of all that the container's images get otherwise. */
import { lstatSync } from "node:fs";
import { copyMetadata } from "../archive/copy-tree.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { fsPath } from "../base/path-bytes.ts";
import { destinationPath } from "../plan/container-path.ts";
import { addUses } from "../store/snapshot-records.ts";
import type { StoreFiles } from "../store/store.ts";
import { scratchBase } from "./container-base.ts";
import { type CopyInRequest, copyIntoContainer } from "./copy-in.ts";
import { mkdirInContainer } from "./mkdir.ts";
import { lookupOwner } from "./user.ts";
import {
  createBuildContainer,
  freezeContainer,
  saveContainer,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "./working-container.ts";

/**
 * Copies into a tree of its own; the container's, mounted at `root`, tells whether the destination is a directory, whose the
 * directories above it are, and who users are. Returns the digest of what was copied.
 */
export async function copyAsLayer(
  store: StoreFiles,
  container: WorkingContainer,
  root: string,
  request: CopyInRequest,
): Promise<string> {
  const { driver, image } = container;
  const base = scratchBase;
  const apart = createBuildContainer(store, { driver, base, frozen: [], image, annotations: {}, run: {} });
  const top = snapshotter(apart).mount(treeOf(store, apart));
  const destination = destinationOf(container, root, request);
  copyDirectories(root, top, destination);
  const owner = request.chown === undefined ? undefined : lookupOwner(root, request.chown);
  const digest = await copyIntoContainer(store, apart, top, {
    ...request,
    destination,
    ...(owner === undefined ? {} : { chown: `${owner.uid}:${owner.gid}` }),
  });
  const snapshot = freezeContainer(store, apart);
  if (snapshot === undefined) return digest;
  const step = `${request.add ? "ADD" : "COPY"} --link ${digest.replace(/^sha256:/, "")} in ${destination}`;
  const link = { snapshot, createdBy: `/bin/sh -c #(nop) ${step}` };
  container.links = [...(container.links ?? []), link];
  store.db
    .transaction(() => {
      addUses(store.db, `container:${container.id}`, [snapshot]);
      saveContainer(store, container);
    })
    .immediate();
  return digest;
}

/** With a slash behind it where it is a directory of the container. */
function destinationOf(container: WorkingContainer, root: string, request: CopyInRequest): string {
  const path = destinationPath(container.image.config?.WorkingDir || "/", request.destination ?? "");
  const stat = lstatSync(fsPath(resolveInRoot(root, path)), { throwIfNoEntry: false });
  return stat?.isDirectory() && !path.endsWith("/") ? `${path}/` : path;
}

/** The layer's directories go over the container's: those that are there stay what they are. */
function copyDirectories(root: string, top: string, destination: string): void {
  const names = destination.split("/").slice(1, -1);
  for (const index of names.keys()) {
    const path = `/${names.slice(0, index + 1).join("/")}`;
    const source = resolveInRoot(root, path);
    if (!lstatSync(fsPath(source), { throwIfNoEntry: false })?.isDirectory()) return;
    mkdirInContainer(top, path, "");
    copyMetadata(source, resolveInRoot(top, path));
  }
}
