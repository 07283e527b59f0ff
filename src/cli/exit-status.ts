/** Exit statuses of failures: 125 is the tool's own, that of a command in a container is its own. */
import { CooperError } from "../base/errors.ts";

export const FAILURE = 125;

export function exitStatusOf(error: unknown): number {
  if (!(error instanceof CooperError)) return FAILURE;
  if (error.code === "run-failed" && error.exitCode !== undefined && error.exitCode !== 0)
    return error.exitCode;
  return FAILURE;
}
