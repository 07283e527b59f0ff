/**
 * Works on a store as builds and scripts do, and prints how many different queries that took and which of them SQLite
 * answers by reading a whole table. Arguments: --root's and --runroot's values, a directory with a Dockerfile.
 */
import { Database } from "bun:sqlite";
import { build, from, inspectImage, openStore, tagImage } from "../../src/index.ts";

const [root, runRoot, context] = process.argv.slice(2) as [string, string, string];
const seen = new Set<string>();
const query = Database.prototype.query;
Database.prototype.query = function (this: Database, sql: string) {
  seen.add(sql);
  return query.call(this, sql);
} as typeof query;

{
  await using store = await openStore({ root, runRoot });
  // Cached and not.
  await build(store, { context, tags: ["localhost/steps"], layers: true });
  await build(store, { context, tags: ["localhost/steps"], noCache: true });
  await using container = await from(store, "localhost/busybox");
  await container.run(["touch", "/new"]);
  await container.copy([`${context}/Dockerfile`], "/copied");
  await container.config({ labels: ["a=b"] });
  await container.commit("localhost/committed");
  await tagImage(store, "localhost/committed", ["localhost/tagged"]);
  await inspectImage(store, "localhost/tagged");
}

const db = new Database(`${root}/cooper.db`, { readonly: true, strict: true });
const scans: string[] = [];
for (const sql of seen) {
  if (!/^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/i.test(sql)) continue;
  const steps = query.call(db, `EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[];
  for (const { detail } of steps)
    if (/^SCAN (?!CONSTANT ROW)/.test(detail)) scans.push(`${detail}: ${sql.replaceAll(/\s+/g, " ")}`);
}
process.stdout.write(JSON.stringify({ queries: seen.size, scans }));
