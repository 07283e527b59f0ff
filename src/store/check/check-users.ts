/** Everything that needs snapshots and blobs: images, lists, containers, cached steps, names. What lost its parts is lost. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../base/digest.ts";
import { deleteIndexRecord } from "../indexes.ts";
import { deleteContainer, findContainer } from "../container-records.ts";
import { deleteImage, deleteName } from "../image-records.ts";
import { addUses, dropUses, type User } from "../snapshot-records.ts";
import { type Condition, conditionOfImage, conditionOfIndex } from "./check-images.ts";
import { isInProgress } from "./check-layers.ts";
import type { Checking, StoreFault } from "./fault.ts";

const WHAT_TO_DO = "--repair forgets it; pull or build it again then";

export function checkUsers(check: Checking): void {
  checkImages(check);
  checkContainers(check);
  checkCache(check);
  checkNames(check);
}

/** Notes a fault, and does what puts it right when that was asked for. */
export function settle(
  { faults, store, repair }: Checking,
  fault: StoreFault,
  done: string,
  act: () => unknown,
): void {
  if (!repair) {
    faults.push(fault);
    return;
  }
  store.db.transaction(() => void act()).immediate();
  const { hint: _, ...rest } = fault;
  faults.push({ ...rest, repair: done });
}

function checkImages(check: Checking): void {
  const { inventory, store } = check;
  for (const image of inventory.images) {
    const user: User = `image:${image.id}`;
    settleCondition(check, "image", image.id, user, conditionOfImage(check, image), () => {
      deleteImage(store.db, image.id);
      dropUses(store.db, user);
    });
  }
  for (const index of inventory.indexes) {
    const user: User = `index:${index.id}`;
    settleCondition(check, "list", index.id, user, conditionOfIndex(check, index), () =>
      deleteIndexRecord(store.db, index.id),
    );
  }
}

function settleCondition(
  check: Checking,
  kind: "image" | "list",
  id: string,
  user: User,
  condition: Condition,
  forget: () => void,
): void {
  const names = check.inventory.names.filter((entry) => entry.id === id).map(({ name }) => name);
  const what = [id.slice(0, 12), ...names].join(" ");
  if ("lost" in condition) {
    const lost = names.length === 0 ? "forgotten" : `forgotten: ${names.join(", ")}`;
    settle(check, { kind, what, problem: condition.lost, hint: WHAT_TO_DO }, lost, forget);
    return;
  }
  const claimed = check.inventory.uses.get(user);
  const unclaimed = [...condition.needs].filter((thing) => claimed?.has(thing) !== true);
  if (unclaimed.length === 0) return;
  const problem = `it does not claim what it needs, which prune would delete: ${unclaimed.join(", ")}`;
  settle(check, { kind, what, problem }, "claimed", () => {
    const query =
      kind === "image" ? "SELECT 1 FROM images WHERE id = ?" : "SELECT 1 FROM indexes WHERE id = ?";
    if (check.store.db.query(query).get(id) !== null) addUses(check.store.db, user, unclaimed);
  });
}

/**
 * A container without its files, or on layers that are gone, cannot be used any more. One on a layer that was changed can:
 * what its owner wrote is not thrown away for that.
 */
function checkContainers(check: Checking): void {
  const { inventory, store, damage } = check;
  for (const { id, name } of inventory.containers) {
    const forget = () => {
      deleteContainer(store.db, id);
      dropUses(store.db, `container:${id}`);
    };
    const fault = (problem: string): StoreFault => ({ kind: "container", what: name, problem });
    const files = join(store.root, "containers", id);
    if (!existsSync(files)) {
      // It may just be removed: files and record go in one transaction.
      const isLost = () => findContainer(store.db, id) !== undefined && !existsSync(files);
      if (!store.db.transaction(isLost).immediate()) continue;
      settle(check, fault("its files are missing"), `forgotten: ${name}`, forget);
      continue;
    }
    const bad = [...(inventory.uses.get(`container:${id}`) ?? [])].filter(
      (thing) => !isInProgress(store, thing) && (damage.has(thing) || !inventory.snapshots.has(thing)),
    );
    if (bad.length === 0) continue;
    const gone = bad.find((thing) => !existsSync(join(store.root, "layers", thing, "diff")));
    if (gone !== undefined) {
      settle(check, fault(`layers/${gone} is missing, on which it stands`), `forgotten: ${name}`, forget);
      continue;
    }
    const problem = `layers/${bad[0]}, on which it stands, is not what it was: ${damage.get(bad[0]!)}`;
    check.faults.push({ ...fault(problem), hint: "save what you need of it, then: cooper rm" });
  }
}

function checkCache(check: Checking): void {
  const { inventory, store, damage } = check;
  for (const { key, snapshot } of inventory.cache) {
    if (snapshot === null || (inventory.snapshots.has(snapshot) && !damage.has(snapshot))) continue;
    const problem = `layers/${snapshot}: ${damage.get(snapshot) ?? "not known"}`;
    const fault: StoreFault = { kind: "cache", what: `step ${key.slice(7, 19)}`, problem };
    settle(check, fault, "forgotten: the step runs again in the next build", () => forgetStep(check, key));
  }
  function forgetStep({ store: { db } }: Checking, key: Digest): void {
    db.query("DELETE FROM cache WHERE key = ? AND snapshot IS NOT NULL").run(key);
    dropUses(store.db, `cache:${key}`);
  }
}

function checkNames(check: Checking): void {
  const { inventory, store } = check;
  const known = new Set([...inventory.images, ...inventory.indexes].map(({ id }) => id));
  for (const { name, id } of inventory.names) {
    if (known.has(id)) continue;
    const fault: StoreFault = { kind: "image", what: name, problem: "it names an image that is not there" };
    settle(check, fault, `forgotten: ${name}`, () => deleteName(store.db, name));
  }
}
