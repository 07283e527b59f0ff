// Protects a store from kill -9 in the middle of any command, as `cooper check` sees it (npm run torture for longer).
import { expect, setDefaultTimeout, test } from "bun:test";
import { torture } from "../../scripts/torture.ts";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(120_000);

test.each(rootOnly)("a dozen kills", async (person) => {
  const log: string[] = [];
  const { killed, failures, left } = await torture({
    kills: 12,
    seconds: 60,
    seed: 7,
    person,
    base: busyboxBase(),
    log: (line) => void log.push(line),
  });
  expect(failures, log.join("\n")).toEqual([]);
  expect(left).toEqual([]);
  expect(Object.values(killed).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
});
