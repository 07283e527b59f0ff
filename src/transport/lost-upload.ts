/** Failures after which a target has nothing of a blob, so that sending it once more from its start may go well. */

const lost = new WeakSet<object>();

/** Marks a failure of Target.push() as such a one. */
export function markLost<T>(error: T): T {
  if (typeof error === "object" && error !== null) lost.add(error);
  return error;
}

/** Repeats a push, from the start of its content, as long as what was sent got lost; three times at most. */
export async function untilKept<T>(push: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await push();
    } catch (error) {
      if (tries > 3 || !lost.has(error as object)) throw error;
    }
  }
}
