// Protects a store from system calls that fail (no space, I/O errors, too many files, read-only) or are the last: clear error, whole store, works again.
import { expect, setDefaultTimeout, test } from "bun:test";
import { injectFaults } from "../../scripts/faults.ts";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(120_000);

test.skipIf(process.getuid?.() !== 0).each(people)(
  "single calls of each command, as $kind",
  async (person) => {
    const { injected, failed, failures } = await injectFaults({
      person,
      base: busyboxBase(),
      each: 1,
      seconds: 10,
      log: () => {},
    });
    expect(failures).toEqual([]);
    // Were none of them noticed, strace would have changed nothing.
    expect(failed).toBeGreaterThan(0);
    expect(Object.keys(injected).length).toBeGreaterThan(0);
  },
);
