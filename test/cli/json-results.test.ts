// Protects --json of the commands that print what they made or did: each gives one JSON document, whatever else happens.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { loadEveryCommand } from "../support/members.ts";

setDefaultTimeout(60_000);

let site: Site;
beforeAll(() => {
  site = openSite(people[0]!);
});
afterAll(() => site[Symbol.asyncDispose]());

const id = expect.stringMatching(/^[0-9a-f]{64}$/);
const digest = expect.stringMatching(/^sha256:[0-9a-f]{64}$/);

test("one after the other, what each prints", async () => {
  const context = site.files({ Dockerfile: "FROM localhost/busybox\nLABEL a=b\n", note: "x" });
  const steps: [line: string, result: unknown][] = [
    ["import --json BASE localhost/busybox", { imageId: id, names: ["localhost/busybox:latest"], digest }],
    ["from --json --name work localhost/busybox", { id, name: "work" }],
    ["copy --json work NOTE /", { digest: expect.stringContaining("sha256:") }],
    ["umount --json work", []],
    ["commit --json work localhost/made", { imageId: id }],
    ["bud --json -q -t localhost/built CONTEXT", { imageId: id, names: ["localhost/built:latest"], digest }],
    ["push --json localhost/made oci-archive:made.tar:localhost/made:latest", { digest }],
    ["digest --json oci-archive:made.tar", { digest }],
    ["image copy --json oci-archive:made.tar dir:copied", { digest }],
    ["pull --json oci-archive:made.tar", { imageId: id, names: ["localhost/made:latest"], digest }],
    ["save -o saved.tar localhost/made", undefined],
    ["load --json -i saved.tar", [{ imageId: id, names: ["localhost/made:latest"] }]],
    ["manifest create --json localhost/list", { id }],
    ["manifest add --json localhost/list localhost/made", { id, digest }],
    ["manifest push --json localhost/list oci:pushed:list", { digest }],
    ["manifest annotate --json --os linux localhost/list localhost/made", { id, digest }],
    ["manifest remove --json localhost/list localhost/made", { id, digest }],
    ["manifest rm --json localhost/list", { untagged: ["localhost/list:latest"], deleted: [id] }],
    ["tag localhost/made localhost/other", undefined],
    ["untag --json localhost/made localhost/other", ["localhost/other:latest"]],
    ["rm --json work", [id]],
    ["rmi --json localhost/made", { untagged: ["localhost/made:latest"], deleted: [id] }],
  ];
  const places: Record<string, string> = { BASE: busyboxBase(), CONTEXT: context, NOTE: `${context}/note` };
  for (const [line, result] of steps) {
    const output = await site.ok(...line.split(" ").map((word) => places[word] ?? word));
    if (result === undefined) continue;
    expect([line, JSON.parse(output)]).toEqual([line, result]);
  }
});

test("what was done before a failure is told", async () => {
  await site.ok("from", "--name", "there", "scratch");
  const { exitCode, stdout, stderr } = await site.cooper("rm", "--json", "there", "not-there");
  expect([exitCode, JSON.parse(stdout)]).toEqual([125, [id]]);
  expect(stderr).toContain("not-there");
});

/** Those whose output is not theirs to shape, that say it with their status, or that print a document anyway. */
const WITHOUT = [
  ...["api", "completion", "enter", "export", "image", "man", "manifest", "run", "save", "unshare"],
  ...["config", "manifest exists", "rename", "tag"],
  ...[
    "image inspect",
    "image list-tags",
    "image sync",
    "info",
    "inspect",
    "login",
    "logout",
    "manifest inspect",
  ],
];

test("every command that prints has --json", async () => {
  const without = (await loadEveryCommand()).filter(({ flags }) => flags.json === undefined);
  expect(without.map(({ name }) => name).sort()).toEqual(WITHOUT.sort());
});
