// Protects the commands about images that need no registry: what they print, and that other tools read what they write.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { ForeignTools } from "../support/foreign-tools.ts";

setDefaultTimeout(300_000);

const DOCKERFILE = `FROM localhost/busybox
RUN mkdir /data && echo one > /data/one && echo two > /data/two
RUN rm /data/one && echo twotwo > /data/two && chmod 700 /data && ln -s two /data/link
ENV A=b
`;

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let tools: ForeignTools;
  let id = "";

  beforeAll(async () => {
    site = openSite(person);
    tools = new ForeignTools();
    await site.ok("import", busyboxBase(), "localhost/busybox");
    const context = site.files({ Dockerfile: DOCKERFILE });
    id = await site.ok("bud", "-q", "--layers", "-t", "localhost/app:1", context);
  });
  afterAll(async () => {
    tools[Symbol.dispose]();
    await site[Symbol.asyncDispose]();
  });

  test("history: the latest step first, sizes where there are layers", async () => {
    const steps = JSON.parse(await site.ok("history", "--json", "app:1"));
    expect(steps.map((step: { createdBy: string }) => step.createdBy.split(" ")[0])).toEqual([
      "ENV",
      "RUN",
      "RUN",
      expect.stringMatching(/^import/),
    ]);
    expect(steps[0]).toMatchObject({ id, tags: ["localhost/app:1"], size: 0, diffId: null });
    expect(steps[3].size).toBeGreaterThan(1e6);
    const table = await site.ok("history", "app:1");
    expect(table).toMatch(/^ID +CREATED +CREATED BY +SIZE +COMMENT\n/);
    expect(table).toContain(id.slice(0, 12));
    expect(await site.ok("history", "--format", "{{.ID}}|{{.Size}}", "--human=false", "app:1")).toMatch(
      new RegExp(`^${id.slice(0, 12)}\\|0\n<missing>\\|\\d+\n`),
    );
  });

  test("diff: an image's last layer, two images, a container and its image", async () => {
    expect(await site.ok("diff", "app:1")).toBe(
      [
        "C            /data/  (mode)",
        "A            /data/link",
        "D      -4 B  /data/one",
        "C      +3 B  /data/two  (content)",
        "1 added (+0 B), 2 changed (+3 B), 1 removed (-4 B)",
      ].join("\n"),
    );
    expect(await site.ok("diff", "-q", "busybox", "app:1")).toBe("A /data\nA /data/link\nA /data/two");
    await site.ok("from", "--name", "diffed", "app:1");
    expect(await site.ok("diff", "-q", "diffed")).toBe("");
    await site.ok("run", "diffed", "--", "sh", "-c", "echo new > /data/new; rm /data/two");
    const document = JSON.parse(await site.ok("diff", "--json", "diffed"));
    expect(document.added).toEqual([{ path: "/data/new", type: "file", size: 4 }]);
    expect(document.removed).toEqual([{ path: "/data/two", type: "file", size: 7 }]);
    expect(await site.cooper("diff", "nothing")).toMatchObject({ exitCode: 125, stdout: "" });
  });

  test("export: a tar of the root as it is, which import takes", async () => {
    await site.ok("from", "--name", "exported", "app:1");
    await site.ok("run", "exported", "--", "sh", "-c", "echo new > /data/new; rm /data/two");
    const listing = await site.script(
      "cooper export -o root.tar exported; cooper export exported | cmp - root.tar; tar tf root.tar; ls -A",
    );
    expect(listing).toContain("\ndata/new\n");
    expect(listing).not.toContain("data/two\n");
    expect(listing).not.toContain(".wh.");
    expect(listing).not.toContain(".root.tar");
    await site.ok("import", join(site.work, "root.tar"), "localhost/again");
    expect(await site.ok("diff", "-q", "exported", "localhost/again")).toBe("");
  });

  test("save and load: several images in one archive, both formats, by podman and by Cooper", async () => {
    for (const format of ["docker-archive", "oci-archive"]) {
      const archive = join(site.work, `${format}.tar`);
      await site.ok("save", "-q", "--format", format, "-o", archive, "app:1", "busybox");
      for (const name of ["localhost/app:1", "localhost/busybox:latest"])
        expect(tools.inspectConfig(`${format}:${archive}:${name}`).os).toBe("linux");
      const other = join(site.dir, "work", `store-${format}`);
      expect(await site.ok("--root", other, "load", "-q", "-i", archive)).toBe(
        "Loaded image: localhost/app:1\nLoaded image: localhost/busybox:latest",
      );
      expect(await site.ok("--root", other, "images", "-q", "--no-trunc")).toContain(id);
    }
    const piped = await site.script(
      "cooper save -q app:1 | gzip | cooper --root store-piped load -q; cooper --root store-piped images -q --no-trunc",
    );
    expect(piped).toBe(`Loaded image: localhost/app:1\nsha256:${id}`);
  });

  test("manifest: a list that skopeo reads, by platform; Buildah's output and exit status", async () => {
    const list = await site.ok("manifest", "create", "list");
    expect(await site.ok("manifest", "add", "list", "app:1")).toMatch(
      new RegExp(`^${list}: sha256:[0-9a-f]{64}$`),
    );
    await site.ok("from", "--platform", "linux/s390x", "--name", "foreign", "scratch");
    await site.ok("commit", "-q", "--manifest", "list", "foreign", "localhost/foreign");
    const digest = await site.ok("manifest", "push", "list", `oci:${site.work}/pushed:x`);
    expect(tools.manifest(`oci:${site.work}/pushed:x`)).toMatchObject({
      manifests: [{ platform: { os: "linux" } }, { platform: { os: "linux", architecture: "s390x" } }],
    });
    expect(await site.ok("digest", `oci:${site.work}/pushed:x`)).toBe(digest);
    await site.ok("manifest", "push", "-q", "list", `oci-archive:${site.work}/pushed.tar`);
    const run = tools.podmanRun(`oci-archive:${site.work}/pushed.tar`, ["cat", "/data/two"]);
    expect(run, run.stderr).toMatchObject({ exitCode: 0, stdout: "twotwo\n" });
    const arch = await site.ok(
      "image",
      "inspect",
      "--platform=linux/s390x",
      "--format={{.Architecture}}",
      `oci:${site.work}/pushed:x`,
    );
    expect(arch).toBe("s390x");
    expect(await site.cooper("manifest", "exists", "list")).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await site.cooper("manifest", "exists", "nothing")).toMatchObject({ exitCode: 1, stderr: "" });
    expect((await site.cooper("manifest", "exists", "app:1")).exitCode).toBe(125);
    expect(await site.ok("from", "--name", "of-list", "list")).toBe("of-list");
    expect(await site.ok("images", "-q", "--no-trunc", "--filter", "reference=list")).toBe(`sha256:${list}`);
    expect(await site.ok("images", "-q", "--no-trunc", "list")).toBe(`sha256:${list}`);
    expect(await site.ok("manifest", "rm", "list")).toBe(`untagged: localhost/list:latest\n${list}`);
    expect((await site.cooper("manifest", "rm", "list")).exitCode).toBe(125);
  });

  test("image copy between places keeps digests; image inspect shows what skopeo shows", async () => {
    const layout = `oci:${site.work}/copied:a`;
    const digest = await site.ok("image", "copy", "-q", "app:1", layout);
    for (const place of [`dir:${site.work}/dir`, `oci-archive:${site.work}/copied.tar:b`]) {
      expect(await site.ok("image", "copy", "-q", layout, place)).toBe(digest);
      expect(tools.inspect(place).Digest).toBe(digest);
      expect(await site.ok("image", "inspect", "--format", "{{.Digest}}", place)).toBe(digest);
    }
    const ours = JSON.parse(await site.ok("image", "inspect", layout));
    const theirs = tools.inspect(layout);
    for (const key of ["Digest", "Architecture", "Os", "Layers", "Env"] as const)
      expect([key, ours[key]]).toEqual([key, theirs[key as "Digest"]]);
    // Go leaves out zeros at the end of a fraction.
    const { Created } = theirs as unknown as { Created: string };
    expect(Date.parse(ours.Created)).toBe(Date.parse(Created));
    expect(JSON.parse(await site.ok("image", "inspect", "--raw", layout))).toEqual(tools.manifest(layout));
    expect(JSON.parse(await site.ok("image", "inspect", "--config", "--raw", layout))).toEqual(
      tools.inspectConfig(layout),
    );
    await site.ok("image", "copy", "-q", layout, "localhost/back:1");
    expect(await site.ok("digest", "back:1")).toBe(digest);
  });

  test("untag, du and prune: what has no name goes, what a container needs stays, sums are right", async () => {
    const other = ["--root", join(site.work, "store-du")];
    await site.ok(...other, "import", busyboxBase(), "localhost/busybox");
    const context = site.files({ Dockerfile: DOCKERFILE });
    await site.ok(...other, "bud", "-q", "-t", "localhost/app", context);
    await site.ok(...other, "from", "--name", "kept", "localhost/app");
    const usage = JSON.parse(await site.ok(...other, "du", "--json"));
    expect(usage.images.count).toBe(2);
    expect(usage.images.bytes).toBeGreaterThan(1_000_000);
    expect(usage.cache.count).toBeGreaterThan(0);
    // As du(1) has it, but for the store's own empty directories.
    const seen = spawnSync("du", ["-s", "--block-size=1", join(site.work, "store-du")], { encoding: "utf8" });
    expect(Math.abs(Number(seen.stdout.split("\t")[0]) - usage.totalBytes)).toBeLessThan(200_000);
    expect(await site.ok(...other, "untag", "localhost/app")).toBe("localhost/app:latest");
    await site.ok(...other, "untag", "localhost/busybox");
    const [app, busybox] = (await site.ok(...other, "images", "-q", "--no-trunc")).split("\n");
    expect(await site.ok(...other, "prune", "--filter", "until=24h")).toBe("");
    expect(await site.ok(...other, "rmi", "--prune")).toBe(busybox!.replace("sha256:", ""));
    const pruned = JSON.parse(await site.ok(...other, "prune", "--json"));
    expect(pruned).toMatchObject({ images: [], containers: [], cacheEntries: usage.cache.count });
    await site.ok(...other, "run", "kept", "--", "cat", "/data/two");
    expect(await site.ok(...other, "prune", "--all", "--force", "-q")).toBe(
      `kept\n${app!.replace("sha256:", "")}`,
    );
    const after = JSON.parse(await site.ok(...other, "du", "--json"));
    expect([after.images.bytes, after.containers.bytes, after.cache.bytes]).toEqual([0, 0, 0]);
  });
});
