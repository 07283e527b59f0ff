/** Containers that go with a process, such as the script that made them. */
import { join } from "node:path";
import type { Store } from "../api-types.ts";
import { endKeeper } from "../container/mounting.ts";
import { containerOf, removeContainerFiles } from "../container/working-container.ts";
import { type Owner, ownerEnded, whenEnded } from "../sandbox/owner.ts";
import { tryLock } from "../store/locks.ts";
import { allContainers } from "../store/container-records.ts";
import { selfCommand } from "./namespace.ts";
import { filesOf } from "./store.ts";

/** Has a container removed when its owner has ended, by a process that waits for that. */
export function removeWithOwner(store: Store, id: string, owner: Owner): void {
  whenEnded(owner, [...selfCommand(), "--root", store.root, "--runroot", store.runRoot, "rm", id]);
}

/**
 * Removes the containers of owners that have ended, where whoever should have done so was killed too, or the machine was
 * switched off. Those that a command still works on stay. Returns their names.
 */
export function removeOrphans(store: Store): string[] {
  const files = filesOf(store);
  return allContainers(files.db).flatMap((record) => {
    const container = containerOf(files, record);
    if (container.owner === undefined || !ownerEnded(container.owner)) return [];
    using lock = tryLock(join(container.directory, "lock"), "exclusive");
    if (lock === undefined) return [];
    endKeeper(store.runRoot, container.id);
    removeContainerFiles(files, container);
    return [record.name];
  });
}
