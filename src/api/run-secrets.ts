/** What a run with secrets shows and leaves: neither has them. */
import type { RunOptions } from "../api-types.ts";
import { refuseWrittenLeaks } from "../build/leak-guard.ts";
import { RedactedStream } from "../build/redact-output.ts";
import { Needles } from "../build/secret-needles.ts";
import { snapshotter, treeOf, type WorkingContainer } from "../container/working-container.ts";
import type { StoreFiles } from "../store/store.ts";

type Output = Pick<RunOptions, "onStdout" | "onStderr">;

/** The same output with the names of secrets in place of their values; `end` gives what was held back. */
export function redactedOutput(
  secrets: ReadonlyMap<string, Buffer>,
  { onStdout, onStderr }: Output,
): { output: Output; end(): void } {
  const needles = new Needles(secrets);
  const streams: RedactedStream[] = [];
  const redacted = (write: (data: Uint8Array) => void) => {
    const stream = new RedactedStream(needles, write);
    streams.push(stream);
    return (data: Uint8Array) => stream.add(data);
  };
  const output: Output = {
    ...(onStdout === undefined ? {} : { onStdout: redacted(onStdout) }),
    ...(onStderr === undefined ? {} : { onStderr: redacted(onStderr) }),
  };
  return {
    output,
    end: () => {
      for (const stream of streams) stream.end();
    },
  };
}

/** Searches what was written in a mounted container; see refuseWrittenLeaks(). */
export async function refuseLeft(
  store: StoreFiles,
  container: WorkingContainer,
  secrets: ReadonlyMap<string, Buffer>,
  allowed: readonly string[] = [],
): Promise<{ leaks?: string[] }> {
  const written = snapshotter(container).written(treeOf(store, container));
  const leaks = await refuseWrittenLeaks(written, secrets, allowed);
  return leaks.length === 0 ? {} : { leaks };
}
