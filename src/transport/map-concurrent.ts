/** Bounded concurrency for the blobs of an image. */

/**
 * Calls `work` for every item, at most `limit` at once, and gives the results in order. After the first failure nothing
 * more is started, `onFailure` is told so that it can stop what runs, and the failure is thrown when all have ended.
 */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
  onFailure: (error: unknown) => void = () => {},
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let failed = false;
  let failure: unknown;
  const worker = async () => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        results[index] = await work(items[index]!, index);
      } catch (error) {
        if (failed) return;
        failed = true;
        failure = error;
        onFailure(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failed) throw failure;
  return results;
}
