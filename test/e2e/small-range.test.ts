// Protects the error for an owner outside of the user's range of ids: it names the file, the id, and what would help.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { holdsId } from "../../src/base/process-ids.ts";
import { people } from "../support/as-users.ts";
import { openSite } from "../support/cooper.ts";

setDefaultTimeout(60_000);
const user = people.find(({ kind }) => kind === "user")!;

describe.skipIf(process.getuid?.() !== 0)("an id that does not fit", () => {
  test.each([
    ["a user", "--chown=4000000:5", /^Error: Cannot copy \S+\/f to \/in: it belongs to user 4000000, /m],
    ["a group", "--chown=5:4000001", /^Error: Cannot copy \S+\/f to \/in: it belongs to group 4000001, /m],
  ])("COPY for %s", async (_, chown, message) => {
    await using site = openSite(user);
    const context = site.files({ f: "x", Dockerfile: `FROM scratch\nCOPY ${chown} f /in\n` });
    const { exitCode, stderr } = await site.cooper("bud", context);
    expect(stderr).toMatch(message);
    expect(stderr).toContain("Hint: a range of at least");
    expect(exitCode).toBe(125);
  });

  test("a layer", async () => {
    await using site = openSite(user);
    const tree = site.files({ big: "x" });
    spawnSync("chown", ["4000000:3", join(tree, "big")]);
    const tar = join(site.work, "layer.tar");
    spawnSync("tar", ["-C", tree, "-cf", tar, "big"]);
    const { exitCode, stderr } = await site.cooper("import", tar, "localhost/x");
    expect(stderr).toMatch(/Cannot unpack big: it belongs to user 4000000, /);
    expect(exitCode).toBe(125);
  });
});

test("what a map holds", () => {
  const map =
    "         0       1000          1\n         1     100000        100\n       500     300000         10\n";
  expect([0, 1, 100, 101, 499, 500, 509, 510].map((id) => holdsId(map, id))).toEqual([
    ...[true, true, true, false],
    ...[false, true, true, false],
  ]);
});
