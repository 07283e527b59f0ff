// Protects containers-storage: with Podman's own tools: what is pushed there runs at once, digests stay, errors are clear.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageFormat } from "../../src/oci/types.ts";
import { people } from "../support/as-users.ts";
import { type Result, Site } from "../support/cooper.ts";
import { withEnvironment } from "../support/docker-engine.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { makeImage } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { contents, copyBetween, failureOf, transportSuite, validateAt } from "./suite.ts";

setDefaultTimeout(60_000);

describe.if(process.getuid?.() === 0)("Podman's store, as root", () => {
  let tools: ForeignTools;
  let environment: Disposable;
  beforeAll(() => {
    tools = new ForeignTools();
    environment = withEnvironment({ CONTAINERS_STORAGE_CONF: join(tools.dir, "storage.conf") });
  });
  afterAll(() => {
    environment[Symbol.dispose]();
    tools[Symbol.dispose]();
  });

  transportSuite({
    transport: "containers-storage",
    at: (directory) => `containers-storage:localhost/x${Bun.hash(directory).toString(36)}:v1`,
    unwritable: "containers-storage:[nosuchdriver@/nonexistent+/nonexistent]x",
    keepsDigests: false,
    holdsIndexes: false,
  });

  test.each(["oci", "docker"] as ImageFormat[])("%s: digests stay while layers are plain", async (format) => {
    using scratch = scratchDirectory("storage");
    using _ = withEnvironment({ TMPDIR: scratch.path });
    const made = await makeImage(scratch.file("from"), { ...contents, format, compression: "none" });
    const at = `containers-storage:localhost/plain-${format}`;
    const { root } = await copyBetween(made.reference, at);
    expect(root.digest).toBe(made.descriptor.digest);
    expect(tools.inspect(at).Digest).toBe(root.digest);
    const back = await copyBetween(at, `dir:${scratch.path}/back`);
    expect(back.root.digest).toBe(root.digest);
    expect(readdirSync(scratch.path).sort()).toEqual(["back", "from"]);
  });

  test.each(["oci", "docker"] as ImageFormat[])(
    "%s: compressed layers keep the digest there, and come back plain under the same id",
    async (format) => {
      using scratch = scratchDirectory("storage");
      const made = await makeImage(scratch.file("from"), { ...contents, format });
      const at = `containers-storage:localhost/gzip-${format}`;
      await copyBetween(made.reference, at);
      expect(tools.inspect(at).Digest).toBe(made.descriptor.digest);
      for (const name of [at, `containers-storage:@${made.imageId}`]) {
        const [image] = await validateAt(name);
        expect(image!.manifest.config.digest).toBe(made.manifest.config.digest);
        expect(image!.manifest.layers.map(({ digest }) => digest)).toEqual(made.image.rootfs.diff_ids);
        expect(image!.manifest.layers[0]!.mediaType).toEndWith("tar");
      }
    },
  );

  test("without skopeo, podman does it", async () => {
    using scratch = scratchDirectory("storage");
    const made = await makeImage(scratch.file("from"), { ...contents, compression: "none" });
    await using site = new Site(people[0]!);
    const env = {
      CONTAINERS_CONF: join(tools.dir, "containers.conf"),
      CONTAINERS_STORAGE_CONF: join(tools.dir, "storage.conf"),
    };
    const at = `containers-storage:[vfs@${site.dir}/other+${site.dir}/run/other]localhost/by-podman:v1`;
    const printed = await without(site, ["skopeo"], `cooper image copy -q ${made.reference} '${at}'`, env);
    expect(printed.stdout.trim()).toBe(made.descriptor.digest);
    await without(site, ["skopeo"], `cooper image copy -q '${at}' oci:back:x`, env);
    const [image] = await validateAt(`oci:${site.work}/back:x`);
    expect(image!.descriptor.digest).toBe(made.descriptor.digest);
    const missing = await without(
      site,
      ["skopeo"],
      `cooper image inspect '${at.replace("by-podman", "other")}'`,
      env,
    );
    expect(missing.stderr).toMatch(/Cannot read containers-storage:.*: podman says: .*image not known/);
  });

  test("without Podman's tools the error says what is missing", async () => {
    await using site = new Site(people[0]!);
    const { stderr } = await without(site, ["skopeo", "podman"], "cooper image inspect containers-storage:x");
    expect(stderr).toContain("Cannot read containers-storage:x: neither skopeo nor podman is installed");
  });
});

/** Runs a script where some programs cannot be executed. */
function without(
  site: Site,
  programs: string[],
  script: string,
  env: Record<string, string> = {},
): Promise<Result> {
  const hide = programs.map((name) => `mount --bind /dev/null /usr/bin/${name}; `).join("");
  return site.run(["unshare", "--mount", "sh", "-euc", hide + script], { env });
}

describe.each(people)("as $kind", (person) => {
  test("what was pushed there runs at once, and comes back as the same image", async () => {
    await using site = new Site(person);
    copyFileSync("/bin/busybox", join(site.work, "busybox"));
    site.give(site.work);
    // Where a store is by default: podman and skopeo understand other settings of a user's differently.
    const home = join(site.dir, "home/.config/containers");
    mkdirSync(home, { recursive: true });
    const isRoot = person.kind === "root";
    const place = isRoot ? `graphroot = "${site.dir}/graph"\nrunroot = "${site.dir}/run/graph"\n` : "";
    writeFileSync(join(home, "storage.conf"), `[storage]\ndriver = "vfs"\n${place}`);
    writeFileSync(
      join(home, "podman.conf"),
      `[containers]\nlog_driver = "none"\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n[engine]\nruntime = "runc"\nevents_logger = "none"\ncgroup_manager = "cgroupfs"\n`,
    );
    site.give(site.dir);
    const env: Record<string, string> = isRoot ? { CONTAINERS_STORAGE_CONF: join(home, "storage.conf") } : {};
    const said = await site.script(
      `tar -cf it.tar busybox
       id=$(cooper import it.tar localhost/it)
       cooper push -q localhost/it containers-storage:it
       test "$(cooper pull -q containers-storage:it)" = "$id"
       CONTAINERS_CONF=${home}/podman.conf podman run --rm --network=none it /busybox echo hello from podman`,
      { env },
    );
    expect(said).toEndWith("hello from podman");
    const { stderr } = await site.run(["cooper", "pull", "containers-storage:localhost/nothing"], { env });
    expect(stderr).toMatch(
      /Cannot read containers-storage:localhost\/nothing: skopeo says: .*does not resolve to an image/,
    );
  });
});

test.each([
  ["containers-storage:[overlay@/x+/y]", /does not say which image/],
  [`containers-storage:@${"0".repeat(64)}`, /it is an id/],
  [`containers-storage:x@sha256:${"0".repeat(64)}`, /not under a digest/],
])("%s is no name to write under", async (location, message) => {
  const error = await failureOf(copyBetween("oci:/nonexistent", location), "usage");
  expect(error.message).toMatch(message);
});
