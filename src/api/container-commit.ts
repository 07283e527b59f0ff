/** An image from a working container. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { CommitOptions, SbomOptions, Store } from "../api-types.ts";
import { wrapError } from "../base/errors.ts";
import { ignoreEvents } from "../base/events.ts";
import { commitImage, type ImageTime, type LayerPlan } from "../container/commit.ts";
import { isMountedForUser, requireReach } from "../container/mounting.ts";
import {
  copyContainerDiff,
  createBuildContainer,
  freezeContainer,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import { placeHostFile } from "../container/copy-in.ts";
import { applyConfigEdits, mergeConfig } from "../oci/config.ts";
import { normaliseName } from "../oci/reference.ts";
import { parseContainerConfig } from "../oci/schema.ts";
import type { ContainerConfig, HistoryEntry } from "../oci/types.ts";
import { changedConfig } from "./changed-config.ts";
import { sandboxOf } from "./container-run.ts";
import { registrySettings } from "./registry-options.ts";
import { filesOf } from "./store.ts";

/** Steps that were noted, and the commit; in reproducible images all have its time. */
function historyOf(container: WorkingContainer, timestamp: ImageTime | undefined): HistoryEntry[] {
  const noted = (container.history ?? []).map(({ created, ...rest }) =>
    timestamp === undefined ? { created, ...rest } : rest,
  );
  const { createdBy = "cooper commit", comment } = container;
  return [
    ...noted,
    { created_by: createdBy, ...(comment === undefined ? {} : { comment }) },
  ] as HistoryEntry[];
}

/** As for builds: one sets every time, the other those after it. */
function commitTime({ timestamp, sourceDateEpoch, rewriteTimestamp }: CommitOptions): ImageTime | undefined {
  if (timestamp !== undefined) return { seconds: timestamp, files: "set" };
  if (sourceDateEpoch === undefined) return undefined;
  return { seconds: sourceDateEpoch, files: rewriteTimestamp === false ? "keep" : "clamp" };
}

/** FROM gives stages a PATH; here nothing is FROM. */
function editedByInstructions(changes: string[], config: ContainerConfig): ContainerConfig {
  const edited = changedConfig(changes, config);
  const isPath = (entry: string) => entry.startsWith("PATH=");
  if (config.Env?.some(isPath) || changes.some((change) => /\bPATH\b/.test(change))) return edited;
  const env = edited.Env?.filter((entry) => !isPath(entry)) ?? [];
  const { Env: _, ...rest } = edited;
  return env.length === 0 ? rest : { ...rest, Env: env };
}

/** The config and the annotations of the image, which the container itself does not get. */
function editedForCommit(container: WorkingContainer, options: CommitOptions) {
  const { changes = [], annotations = [], unsetEnv = [], unsetAnnotations = [], identityLabel } = options;
  const changed = editedByInstructions(changes, container.image.config ?? {});
  const config =
    options.configFile === undefined ? changed : mergeConfig(changed, readConfigFile(options.configFile));
  return applyConfigEdits({ ...container.image, config }, container.annotations, {
    labels: identityLabel === undefined ? [] : [`io.buildah.version=${identityLabel}`],
    annotations,
    unsetEnv,
    unsetAnnotations,
  });
}

function readConfigFile(path: string): ContainerConfig {
  try {
    return parseContainerConfig(readFileSync(path), path);
  } catch (error) {
    throw wrapError(`Cannot use the config in ${path}`, error);
  }
}

/** A layer on top of what the container has, and what is to be written once there is an image. */
interface Added {
  layers: LayerPlan[];
  written?: () => void;
}

/** Puts files of the host on top, and what a scanner tells of those below. */
async function addedFiles(
  store: Store,
  container: WorkingContainer,
  stack: string[],
  options: CommitOptions,
): Promise<Added> {
  const { addFiles = [], sbom, signal } = options;
  if (addFiles.length === 0 && sbom === undefined) return { layers: [] };
  const files = filesOf(store);
  const { driver, base, image, annotations, run } = container;
  const parts = { driver, base, frozen: [...stack], image, annotations, run };
  const top = createBuildContainer(files, parts);
  const root = snapshotter(top).mount(treeOf(files, top));
  const scanned = sbom === undefined ? undefined : await scannedRoot(store, container, root, sbom, options);
  for (const { source, destination } of addFiles)
    await placeHostFile(source, { root, destination: resolve("/", destination), signal });
  const snapshot = freezeContainer(files, top);
  const placed = [...(scanned?.placed ?? []), ...addFiles.map(({ destination }) => destination)];
  const history = placed.map((destination) => ({ created_by: `ADD ${destination}` }));
  const layers = [{ stack: snapshot === undefined ? [] : [snapshot], history, checkpoint: true }];
  return scanned === undefined ? { layers } : { layers, written: scanned.write };
}

async function scannedRoot(
  store: Store,
  container: WorkingContainer,
  root: string,
  sbom: SbomOptions,
  { registry = {}, onEvent = ignoreEvents, signal }: CommitOptions,
): Promise<{ placed: string[]; write(): void }> {
  const { placeScan, scanRoot, writeScan } = await import("../build/sbom-scan.ts");
  const sandbox = sandboxOf(store, container, {}, onEvent);
  const site = {
    store: filesOf(store),
    driver: store.driver,
    sandbox,
    registry: registrySettings(registry),
    onEvent,
    signal,
  };
  const request = { pull: "missing" as const, ...sbom };
  const scan = await scanRoot(site, request, root, []).finally(() => sandbox.close());
  return { placed: await placeScan(site, request, scan, root), write: () => writeScan(request, scan) };
}

/** Commits as Container.commit() says, but removes nothing; its caller holds the lock. */
export async function commitContainer(
  store: Store,
  container: WorkingContainer,
  name: string | undefined,
  options: CommitOptions,
): Promise<{ imageId: string }> {
  const files = filesOf(store);
  requireReach(store.runRoot, container);
  const names = name === undefined ? [] : [normaliseName(name)];
  const event = options.onEvent ?? ignoreEvents;
  event({ type: "commit-start", name: names[0] });
  const stack = changesOf(store, container, options.remove === true);
  const links = linkedLayers(container);
  const timestamp = commitTime(options);
  const edited = editedForCommit(container, options);
  const added = await addedFiles(
    store,
    container,
    [...stack, ...links.flatMap((link) => link.stack)],
    options,
  );
  const image = await commitImage(
    files,
    { ...container, image: edited.image, annotations: edited.annotations },
    [{ stack, history: historyOf(container, timestamp), checkpoint: true }, ...links, ...added.layers],
    {
      format: options.format ?? "oci",
      names,
      squash: options.squash ?? false,
      omitHistory: options.omitHistory ?? false,
      createdAnnotation: options.createdAnnotation ?? false,
      timestamp,
      keepTime: false,
      onBytes: (done) => event({ type: "commit-progress", name: names[0], done }),
      signal: options.signal,
    },
  );
  added.written?.();
  event({ type: "commit-done", name: names[0], imageId: image.id });
  return { imageId: image.id };
}

/** What was copied with --link. */
function linkedLayers({ links = [] }: WorkingContainer): LayerPlan[] {
  return links.map(({ snapshot, createdBy }) => ({
    stack: [snapshot],
    history: [{ created_by: createdBy }],
    checkpoint: true,
  }));
}

/** Snapshots of everything written since the base. A container that its user has mounted is copied, not frozen. */
function changesOf(store: Store, container: WorkingContainer, last: boolean): string[] {
  const files = filesOf(store);
  if (last || !isMountedForUser(files, container)) {
    freezeContainer(files, container);
    return container.frozen;
  }
  const copied = copyContainerDiff(files, container);
  return copied === undefined ? container.frozen : [...container.frozen, copied];
}
