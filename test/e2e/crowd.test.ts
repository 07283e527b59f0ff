// Protects one store from many processes that build, pull, push, remove and prune the same images (npm run crowd for 20 minutes).
import { expect, setDefaultTimeout, test } from "bun:test";
import { crowd } from "../../scripts/crowd.ts";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(300_000);

test.each(rootOnly)("16 processes as $kind", async (person) => {
  const { done, failures, before, after, left } = await crowd({
    processes: 16,
    seconds: 5,
    seed: 11,
    person,
    base: busyboxBase(),
    log: () => {},
  });
  expect(failures).toEqual([]);
  const { bytes, inodes } = before;
  expect(after).toMatchObject({ bytes, inodes });
  expect(left).toEqual([]);
  expect(Object.keys(done).length).toBeGreaterThan(0);
});
