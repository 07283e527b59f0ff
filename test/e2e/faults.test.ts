// Protects a store from system calls that fail (no space, I/O errors, too many files, read-only) or are the last: clear error, whole store, works again.
import { expect, setDefaultTimeout, test } from "bun:test";
import { injectFaults } from "../../scripts/faults.ts";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(240_000);

test.each(rootOnly)("single calls of each command", async (person) => {
  const { faults, failed, failures } = await injectFaults({
    person,
    base: busyboxBase(),
    each: 1,
    most: 16,
    seconds: 120,
    log: () => {},
  });
  expect(failures).toEqual([]);
  // Were none of them noticed, strace would have changed nothing.
  expect(failed).toBeGreaterThan(0);
  expect(faults.SIGKILL).toBeGreaterThan(0);
});
