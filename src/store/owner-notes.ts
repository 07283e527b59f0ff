/** Whether a store keeps owners in its files or in notes beside them, which is decided when it is made. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { fileIds } from "../base/process-ids.ts";
import { counts } from "./image-records.ts";
import type { StoreFiles } from "./store.ts";

const marker = (root: string) => join(root, "owners-in-notes");

/** Whether the store at a path was made by a user with one id; such a user goes on using it as one. */
export function keepsOwnersInNotes(root: string): boolean {
  return existsSync(marker(root));
}

/**
 * Makes sure that this process reads the store's owners as they were written; marks a new store. Errors: `unsupported`
 * when it was made the other way.
 */
export function agreeOnOwners({ root, db }: StoreFiles): void {
  const marked = keepsOwnersInNotes(root);
  if (marked === (fileIds() === "own")) return;
  if (marked) {
    throw new CooperError(
      "unsupported",
      `Cannot use the store ${root}: it was made by a user with one id, who alone reads its owners`,
      { hint: "Use it as that user, or another store (--root)" },
    );
  }
  const { images, containers, layers } = counts(db);
  if (images + containers + layers > 0) {
    throw new CooperError(
      "unsupported",
      `Cannot use the store ${root}: it was made with a range of ids, and this user now has one id only`,
      { hint: "See `cooper doctor` for what became of the range, or use another store (--root)" },
    );
  }
  writeFileSync(marker(root), "");
}
