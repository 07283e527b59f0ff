// Protects the host: mounts, runs, commits and kills leave no process, mount, namespace or directory behind (npm run leaks for 500).
import { expect, setDefaultTimeout, test } from "bun:test";
import { findLeaks } from "../../scripts/leaks.ts";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(120_000);

test.each(people)("as $kind", async (person) => {
  const { done, ...left } = await findLeaks({ count: 24, person, base: busyboxBase(), log: () => {} });
  expect(left).toEqual({ processes: [], mounts: [], namespaces: [], files: [], cgroups: [] });
  expect(Object.values(done)).toEqual([4, 4, 4, 4, 4, 4]);
});
