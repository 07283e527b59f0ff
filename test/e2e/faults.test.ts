// Protects a store from system calls that fail (no space, I/O errors, too many files, read-only): clear error, whole store, works again.
import { expect, setDefaultTimeout, test } from "bun:test";
import { injectFaults } from "../../scripts/faults.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(120_000);

test.skipIf(process.getuid?.() !== 0)("single calls of each command", () => {
  const { injected, failed, failures } = injectFaults({
    base: busyboxBase(),
    each: 1,
    seconds: 15,
    log: () => {},
  });
  expect(failures).toEqual([]);
  // Were none of them noticed, strace would have changed nothing.
  expect(failed).toBeGreaterThan(0);
  expect(Object.keys(injected).length).toBeGreaterThan(0);
});
