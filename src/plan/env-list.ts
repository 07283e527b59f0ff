/** The variables that a step sees: ENV and ARG in one list, in the order of their last assignment, as BuildKit keeps them. */

/** Of an image that says nothing, on Linux. */
export const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export class EnvList {
  #values = new Map<string, string>();

  constructor(entries: readonly string[] = []) {
    for (const entry of entries) this.setEntry(entry);
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** A later assignment replaces an earlier one and moves it to the end, whether it came from ENV or ARG. */
  set(name: string, value: string): void {
    this.#values.delete(name);
    this.#values.set(name, value);
  }

  /** `KEY=value`; `KEY` alone is empty. */
  setEntry(entry: string): void {
    const [name, value] = splitEntry(entry);
    this.set(name, value);
  }

  names(): string[] {
    return [...this.#values.keys()];
  }

  entries(): string[] {
    return Array.from(this.#values, ([name, value]) => `${name}=${value}`);
  }
}

/** Name and value of `KEY=value`. */
export function splitEntry(entry: string): [name: string, value: string] {
  const sign = entry.indexOf("=");
  return sign === -1 ? [entry, ""] : [entry.slice(0, sign), entry.slice(sign + 1)];
}

/** `Env` of a config with one variable set: in its place, or at the end. */
export function withEnv(env: readonly string[], name: string, value: string): string[] {
  const start = `${name}=`;
  const at = env.findIndex((entry) => entry.startsWith(start) || entry === name);
  return at === -1 ? [...env, `${name}=${value}`] : env.with(at, `${name}=${value}`);
}
