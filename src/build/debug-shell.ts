/** --debug-shell: after a RUN has failed, a shell where it ran, with the files as they were before it. */
import { rmSync } from "node:fs";
import { messageOf } from "../base/errors.ts";
import type { StepLabel } from "../base/events.ts";
import { runInTree } from "../container/run-in-tree.ts";
import { type RunRequest, runSpec } from "../container/run-spec.ts";
import { findShell } from "../container/shell.ts";
import { snapshotter, treeOf, type WorkingContainer } from "../container/working-container.ts";
import type { Build } from "./build-image.ts";

/**
 * Runs a shell on this process's terminal in the place of the failed command: its mounts, environment, user and
 * directory, and nothing of what it wrote into the image. Other stages and platforms are ended before. What the shell leaves goes with
 * the build; its status says nothing.
 */
export async function openDebugShell(
  build: Build,
  container: WorkingContainer,
  failed: { request: RunRequest; label: StepLabel; error: unknown },
): Promise<void> {
  // One terminal, one shell: where another step failed first, that has it.
  if (build.signal.aborted) return;
  build.fail(failed.error);
  build.endOthers();
  const { store, request } = build;
  const tree = treeOf(store, container);
  const driver = snapshotter(container);
  driver.unmount(tree, true);
  driver.remove(tree);
  driver.prepare(tree);
  const root = driver.mount(tree);
  for (const mount of failed.request.mounts ?? [])
    if (mount.type === "bind" && mount.overlay?.upper !== undefined)
      rmSync(mount.overlay.upper, { recursive: true, force: true });
  request.onEvent({ type: "debug-shell", step: failed.label, open: true });
  try {
    const shell = findShell(root);
    const mounts = [...(failed.request.mounts ?? []), ...shell.mounts];
    const spec = runSpec(container, root, { ...failed.request, argv: shell.argv, mounts, terminal: true });
    const io = { inherit: true, signal: build.interrupt };
    await runInTree(store, container, build.sandbox(), spec, io);
  } catch (error) {
    // The build's own failure is what it ends with.
    request.onEvent({ type: "warning", message: `No shell could be opened: ${messageOf(error)}` });
  } finally {
    request.onEvent({ type: "debug-shell", step: failed.label, open: false });
  }
}
