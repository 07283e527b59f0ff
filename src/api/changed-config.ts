/** `--change` of import and commit. */
import { CooperError } from "../base/errors.ts";
import { configOfChanges } from "../build/config-changes.ts";
import type { ContainerConfig } from "../oci/types.ts";

/** What Dockerfile instructions make of a config. Throws `usage` for those that are malformed or touch files. */
export function changedConfig(changes: string[], base: ContainerConfig = {}): ContainerConfig {
  try {
    return configOfChanges(changes, base);
  } catch (error) {
    if (error instanceof CooperError)
      throw new CooperError("usage", `A change is not valid: ${error.message}`, { cause: error });
    throw error;
  }
}
