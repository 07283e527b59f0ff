/** A name without a registry may mean several: they are tried in order. */
import { CooperError } from "../base/errors.ts";
import { isFullId } from "../oci/reference.ts";

/** Full names in registries that a reference without a transport may mean; none for names of the store alone. */
export async function candidatesOf(text: string): Promise<string[]> {
  if (isFullId(text)) return [];
  const { registryCandidates } = await import("../transport/registry/short-names.ts");
  return registryCandidates(text);
}

/** The same, for what cannot be in the store alone: throws `not-found`. */
export async function requireCandidates(text: string): Promise<string[]> {
  const candidates = await candidatesOf(text);
  if (candidates.length > 0) return candidates;
  throw new CooperError(
    "not-found",
    `Cannot pull ${text}: names below localhost/ are those of the store only`,
    {
      hint: "name the registry as host:port, or say where localhost is in registries.conf",
    },
  );
}

/**
 * Does the work with the first full name that it can be done with. `doing` begins the error that otherwise tells every
 * name that was tried and what came of it: `Cannot pull hello`.
 */
export async function tryCandidates<T>(
  doing: string,
  candidates: string[],
  work: (name: string) => Promise<T>,
): Promise<T> {
  const failures: CooperError[] = [];
  for (const name of candidates) {
    try {
      return await work(name);
    } catch (error) {
      if (candidates.length === 1 || isCancelled(error) || !(error instanceof CooperError)) throw error;
      failures.push(error);
    }
  }
  const told = failures.map(({ message }, i) => `${candidates[i]}: ${message}`);
  throw new CooperError(
    failures.every(({ code }) => code === "not-found") ? "not-found" : failures.at(-1)!.code,
    `${doing} from any registry that is searched: ${told.join("; ")}`,
    {
      hint: "write the name with its registry, or change unqualified-search-registries in registries.conf",
      cause: failures,
    },
  );
}

/** Whether an error is that of a cancelled operation: nothing else need be tried. */
export function isCancelled(error: unknown): boolean {
  return error instanceof CooperError && error.code === "cancelled";
}
