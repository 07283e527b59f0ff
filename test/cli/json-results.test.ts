// Protects --json of the commands that print what they made or did: each gives one JSON document, whatever else happens.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { loadEveryCommand } from "../support/members.ts";
import { startRegistry } from "../transport/registry-server.ts";

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
    ["run --json work echo said", { exitCode: 0, cached: false, stdout: "said\n", stderr: "" }],
    ["run --json --cache work touch /made", { exitCode: 0, cached: false, stdout: "", stderr: "" }],
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

test("a command that fails tells its status, what it wrote, and an error besides", async () => {
  await site.ok("from", "--name", "failing", "localhost/busybox");
  const run = await site.cooper("run", "--json", "failing", "sh", "-c", "echo out; echo err >&2; exit 7");
  expect([run.exitCode, JSON.parse(run.stdout)]).toEqual([
    7,
    { exitCode: 7, cached: false, stdout: "out\n", stderr: "err\n" },
  ]);
  expect(run.stderr).toContain("exit status 7");
  const terminal = await site.cooper("run", "--json", "--terminal", "failing", "true");
  expect([terminal.exitCode, terminal.stdout]).toEqual([125, ""]);
});

test("what prints a document anyway takes --json too, but neither its opposite nor a template beside it", async () => {
  await site.ok("from", "--name", "shown", "scratch");
  await site.ok("import", busyboxBase(), "localhost/busybox");
  const lines: [command: string[], names: string[]][] = [
    [["info"], []],
    [["inspect"], ["shown"]],
    [["image", "inspect"], ["localhost/busybox"]],
  ];
  for (const [command, names] of lines) {
    const document = JSON.parse(await site.ok(...command, "--json", ...names));
    expect(Object.keys(document)).toEqual(Object.keys(JSON.parse(await site.ok(...command, ...names))));
    for (const flags of [["--json=false"], ["--json", "--format", "{{.}}"]]) {
      const { exitCode, stdout } = await site.cooper(...command, ...flags, ...names);
      expect([exitCode, stdout]).toEqual([125, ""]);
    }
  }
});

/** Groups; what prints a script, a page, an archive, a protocol, or what a shell prints. */
const OTHER_OUTPUT = [
  ...["image", "manifest", "source"],
  ...["api", "completion", "enter", "export", "man", "save", "unshare"],
];
const SILENT = [
  ...["config", "manifest exists", "rename", "tag"],
  ...["source create", "source add", "source push", "source pull"],
];

test("every command that prints has --json", async () => {
  const without = (await loadEveryCommand()).filter(({ flags }) => flags.json === undefined);
  expect(without.map(({ name }) => name).sort()).toEqual([...OTHER_OUTPUT, ...SILENT].sort());
});

test("those that have none because they print nothing do print nothing", async () => {
  using registry = await startRegistry();
  await site.ok("from", "--name", "quiet", "scratch");
  await site.ok("commit", "quiet", "localhost/quiet");
  await site.ok("manifest", "create", "localhost/quiet-list");
  const lines: Record<string, string[]> = {
    config: ["config", "--cmd", "x", "quiet"],
    "manifest exists": ["manifest", "exists", "localhost/quiet-list"],
    rename: ["rename", "quiet", "quieter"],
    tag: ["tag", "localhost/quiet", "localhost/quieter"],
    "source create": ["source", "create", "sources"],
    "source add": ["source", "add", "sources", site.files({ f: "x" })],
    "source push": ["source", "push", "-q", "--tls-verify=false", "sources", `${registry.host}/sources:1`],
    "source pull": ["source", "pull", "-q", "--tls-verify=false", `${registry.host}/sources:1`, "pulled"],
  };
  expect(Object.keys(lines)).toEqual(SILENT);
  for (const line of Object.values(lines)) expect([line, await site.ok(...line)]).toEqual([line, ""]);
  expect(await site.ok("save", "-q", "-o", "quiet.tar", "localhost/quiet")).toBe("");
  expect(await site.ok("export", "-o", "root.tar", "quieter")).toBe("");
});
