/** An image from a working container. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { CommitOptions, Store } from "../api-types.ts";
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
import type { StoreFiles } from "../store/store.ts";
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

/** Puts files of the host on top; returns the layer that they are, if there are any. */
async function addedFiles(
  store: StoreFiles,
  { driver, base, image, annotations, run }: WorkingContainer,
  stack: string[],
  { addFiles = [], signal }: CommitOptions,
): Promise<LayerPlan[]> {
  if (addFiles.length === 0) return [];
  const parts = { driver, base, frozen: [...stack], image, annotations, run };
  const container = createBuildContainer(store, parts);
  const root = snapshotter(container).mount(treeOf(store, container));
  for (const { source, destination } of addFiles)
    await placeHostFile(source, { root, destination: resolve("/", destination), signal });
  const snapshot = freezeContainer(store, container);
  const history = addFiles.map(({ destination }) => ({ created_by: `ADD ${destination}` }));
  return [{ stack: snapshot === undefined ? [] : [snapshot], history, checkpoint: true }];
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
  const timestamp = commitTime(options);
  const edited = editedForCommit(container, options);
  const added = await addedFiles(files, container, stack, options);
  const image = commitImage(
    files,
    { ...container, image: edited.image, annotations: edited.annotations },
    [{ stack, history: historyOf(container, timestamp), checkpoint: true }, ...added],
    {
      format: options.format ?? "oci",
      names,
      squash: options.squash ?? false,
      omitHistory: options.omitHistory ?? false,
      createdAnnotation: options.createdAnnotation ?? false,
      timestamp,
      keepTime: false,
      onBytes: (done) => event({ type: "commit-progress", name: names[0], done }),
    },
  );
  event({ type: "commit-done", name: names[0], imageId: image.id });
  return { imageId: image.id };
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
