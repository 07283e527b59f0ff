// Protects builds for several platforms: what is shared, what each image is, where the list goes, and that a failure names nothing.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageIndex } from "../../src/oci/types.ts";
import { people, rootOnly } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { type LayerEntry, makeIndex } from "../support/make-image.ts";
import { Terminal } from "../support/tmux.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const BOTH = "--platform=linux/amd64,linux/arm64";

/** An ELF file for arm64 that the kernel looks at no further on another machine. */
function armProgram(): Uint8Array {
  const elf = Buffer.alloc(120);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(elf);
  for (const [value, at] of [
    [2, 16],
    [183, 18],
    [64, 52],
    [56, 54],
  ] as const)
    elf.writeUInt16LE(value, at);
  return elf;
}

const files = (shell: Uint8Array): LayerEntry[] => [
  { path: "bin/" },
  { path: "bin/sh", content: shell, mode: 0o755 },
  { path: "bin/busybox", content: shell, mode: 0o755 },
  { path: "etc/" },
  { path: "tmp/" },
];

/** A list in the store, localhost/base, whose image for arm64 has nothing that this machine runs. */
async function makeBase(site: Site): Promise<string> {
  const layout = join(site.work, "base");
  const config = { Env: ["PATH=/bin"] };
  const { reference } = await makeIndex(layout, [
    {
      platform: { os: "linux", architecture: "amd64" },
      layers: [files(readFileSync("/bin/busybox"))],
      config,
    },
    { platform: { os: "linux", architecture: "arm64" }, layers: [files(armProgram())], config },
  ]);
  site.give(layout);
  await site.ok("manifest", "create", "--all", "localhost/base", reference);
  return reference;
}

const listOf = async (site: Site, name: string): Promise<ImageIndex> =>
  JSON.parse(await site.ok("manifest", "inspect", name));
const platformsIn = (list: ImageIndex) =>
  list.manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`).sort();
const namesIn = async (site: Site) => (await site.ok("images", "--format", "{{.Name}}")).split("\n");

const SHARED = `FROM --platform=$BUILDPLATFORM localhost/base AS builder
RUN --mount=type=cache,target=/count echo run >> /count/runs; busybox cat /count/runs > /out
FROM localhost/base
ARG TARGETPLATFORM TARGETARCH BUILDPLATFORM
COPY --from=builder /out /out
COPY file-$TARGETARCH /file
LABEL of=$TARGETPLATFORM on=$BUILDPLATFORM
`;

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let context: string;
  beforeAll(async () => {
    site = openSite(person);
    await makeBase(site);
    context = site.files({
      Dockerfile: SHARED,
      "file-amd64": "a",
      "file-arm64": "b",
      Failing:
        "FROM localhost/base\nARG TARGETARCH\nCOPY file-$TARGETARCH /\nRUN echo hello from $TARGETARCH\n",
    });
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test("a step of the build's platform runs once, and each image is the one of a build for it alone", async () => {
    const id = await site.ok("bud", "-q", BOTH, "-t", "localhost/app", "-t", "localhost/app:2", context);
    const list = await listOf(site, "localhost/app");
    expect(platformsIn(list)).toEqual(["linux/amd64", "linux/arm64"]);
    expect(await listOf(site, id)).toEqual(list);
    expect(await listOf(site, "localhost/app:2")).toEqual(list);
    await site.ok("bud", "-q", BOTH, "-o", "out", context);
    for (const [architecture, file] of [
      ["amd64", "a"],
      ["arm64", "b"],
    ] as const) {
      // The builder's count: once, though both images have its result.
      expect(await site.script(`cat out/linux_${architecture}/out`)).toBe("run");
      expect(await site.script(`cat out/linux_${architecture}/file`)).toBe(file);
      await site.ok(
        "bud",
        "-q",
        `--platform=linux/${architecture}`,
        "--iidfile",
        "iid",
        "--metadata-file",
        "meta",
        context,
      );
      const alone = JSON.parse(await site.script("cat meta"));
      const entry = list.manifests.find(({ platform }) => platform?.architecture === architecture);
      expect(alone["containerimage.digest"]).toBe(entry!.digest);
      const image = await site.script("cat iid");
      const labels = await site.ok(
        "inspect",
        "--type=image",
        "--format={{json .OCIv1.Config.Labels}}",
        image,
      );
      expect(JSON.parse(labels)).toMatchObject({ of: `linux/${architecture}`, on: "linux/amd64" });
    }
  });

  test("a rebuild is cached and gives the same list", async () => {
    const first = await site.ok("bud", "-q", BOTH, "-t", "localhost/again", context);
    const { stderr, stdout } = await site.cooper("bud", BOTH, "-t", "localhost/again", context);
    expect(stdout.trim()).toBe(first);
    expect(stderr).toContain("[linux/arm64] [builder] STEP 2/2: RUN");
    for (const platform of ["amd64", "arm64"])
      expect(stderr).toContain(`[linux/${platform}] [1] --> Using cache`);
  });

  test("a command in a container of an architecture that nothing runs here: the error tells of the emulator", async () => {
    for (const isolation of ["oci", "chroot"]) {
      const name = await site.ok("from", "--platform=linux/arm64", "localhost/base");
      const run = await site.cooper("run", "--isolation", isolation, name, "/bin/sh");
      expect(run.exitCode).not.toBe(0);
      expect(run.stderr).toMatch(/Hint: the image is for linux\/arm64 and this host runs linux\/amd64/);
      await site.ok("rm", name);
    }
    const own = await site.ok("from", "--platform=linux/amd64", "localhost/base");
    expect((await site.cooper("run", own, "false")).stderr).not.toContain("Hint");
    await site.ok("rm", own);
  });

  test("one that fails ends the others: no name, no list, and the error tells of the emulator", async () => {
    // FROM makes images of the list's entries: they are there from here on.
    await site.ok("bud", "-q", BOTH, context);
    const before = await site.ok("images", "-a", "-q");
    const { exitCode, stdout, stderr } = await site.cooper(
      ...["bud", BOTH, "-t", "localhost/none", "--manifest", "localhost/nolist", "--iidfile", "none"],
      ...["-f", "Failing", context],
    );
    expect(exitCode).not.toBe(0);
    expect(stdout).toBe("");
    expect(stderr).toContain("Cannot build for linux/arm64: ");
    expect(stderr).toMatch(
      /Hint: the image is for linux\/arm64 and this host runs linux\/amd64.*qemu-user-static/,
    );
    expect(await site.ok("images", "-a", "-q")).toBe(before);
    expect(await namesIn(site)).not.toContain("localhost/none");
    expect(existsSync(join(site.work, "none"))).toBe(false);
  });
});

describe.each(rootOnly)("where it goes", (person) => {
  let site: Site;
  let registry: TestRegistry;
  let context: string;
  let reference: string;
  beforeAll(async () => {
    site = openSite(person);
    registry = await startRegistry();
    reference = await makeBase(site);
    context = site.files({
      Dockerfile: "FROM localhost/base\nARG TARGETARCH\nCOPY file /\nENV ARCH=$TARGETARCH\n",
      file: "content",
    });
  });
  afterAll(async () => {
    registry[Symbol.dispose]();
    await site[Symbol.asyncDispose]();
  });

  test("--manifest adds to a list, and is the result", async () => {
    const one = await site.ok("bud", "-q", "--platform=linux/arm64", "--manifest", "localhost/list", context);
    const id = await site.ok("bud", "-q", BOTH, "--iidfile=id", "--manifest", "localhost/list", context);
    expect([one, id]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), ""]);
    const list = await listOf(site, "localhost/list");
    expect(platformsIn(list)).toEqual(["linux/amd64", "linux/arm64"]);
    expect(await listOf(site, await site.script("cat id"))).toEqual(list);
  });

  test("podman pulls the image for a platform from the list that was pushed", async () => {
    const name = `${registry.host}/app`;
    await site.ok("bud", "-q", "--platform=linux/amd64", "--platform=linux/arm64", "-t", name, context);
    await site.ok("push", "-q", "--tls-verify=false", "--all", name);
    const env = { TMPDIR: join(site.dir, "tmp") };
    const podman = (...args: string[]) => {
      const storage = [
        `--root=${site.dir}/podman`,
        `--runroot=${site.dir}/podman-run`,
        "--storage-driver=vfs",
      ];
      const done = spawnSync("podman", [...storage, ...args], {
        encoding: "utf8",
        env: { ...process.env, ...env },
      });
      if (done.status !== 0) throw new Error(done.stderr);
      return done.stdout.trim();
    };
    for (const arch of ["arm64", "amd64"]) {
      podman("pull", "-q", "--tls-verify=false", "--arch", arch, name);
      expect(podman("inspect", "--format={{.Architecture}} {{.Config.Env}}", name)).toBe(
        `${arch} [PATH=/bin ARCH=${arch}]`,
      );
    }
  });

  test("a layout holds the list with all of its images", async () => {
    const id = await site.ok(
      "bud",
      "-q",
      BOTH,
      "-t",
      "localhost/laid",
      "-o",
      "type=oci,tar=false,dest=layout",
      context,
    );
    await site.ok("bud", "-q", BOTH, "-t", "localhost/laid", "-o", "type=oci,dest=laid.tar", context);
    const index = JSON.parse(readFileSync(join(site.work, "layout/index.json"), "utf8")) as ImageIndex;
    expect(index.manifests.map(({ mediaType }) => mediaType)).toEqual([
      "application/vnd.oci.image.index.v1+json",
    ]);
    for (const place of ["oci:layout:localhost/laid:latest", "oci-archive:laid.tar"])
      for (const arch of ["amd64", "arm64"])
        expect(
          JSON.parse(await site.script(`skopeo --override-arch ${arch} inspect --config ${place}`)),
        ).toMatchObject({ architecture: arch });
    expect(platformsIn(await listOf(site, id))).toEqual(["linux/amd64", "linux/arm64"]);
  });

  test.each(["type=docker,dest=x.tar", "type=tar,dest=x.tar", "-"])("-o %s is refused", async (output) => {
    const { exitCode, stderr } = await site.cooper("bud", BOTH, "-o", output, context);
    expect(exitCode).toBe(125);
    expect(stderr).toContain("A build for several platforms has no output of type");
    expect(stderr).not.toContain("STEP");
  });

  test("what ADD fetches is fetched once for all, though the files before it differ", async () => {
    let asked = 0;
    using server = Bun.serve({ port: 0, fetch: () => new Response(`answer ${++asked}`) });
    const dockerfile = `FROM localhost/base\nADD http://127.0.0.1:${server.port}/f /one\nADD http://127.0.0.1:${server.port}/f /two\n`;
    await Bun.write(join(context, "Add"), dockerfile);
    await site.ok("bud", "-q", BOTH, "-o", "added", "-f", "Add", context);
    for (const arch of ["amd64", "arm64"])
      expect(await site.script(`cd added/linux_${arch}; cat one; cat two`)).toBe("answer 1answer 1");
    expect(asked).toBe(1);
  });

  test("--all-platforms is every platform that all bases have", async () => {
    const name = `${registry.host}/wide`;
    const scratch = { layers: [[{ path: "x", content: "x" }]] };
    const { reference: wide } = await makeIndex(join(site.work, "wide"), [
      { ...scratch, platform: { os: "linux", architecture: "s390x" } },
      { ...scratch, platform: { os: "linux", architecture: "arm64", variant: "v8" } },
      { ...scratch, platform: { os: "linux", architecture: "amd64" } },
      { ...scratch, platform: { os: "unknown", architecture: "unknown" } },
    ]);
    await site.script(`skopeo copy -q --all --dest-tls-verify=false ${wide} docker://${name}`);
    const build = async (dockerfile: string, ...flags: string[]) => {
      await Bun.write(join(context, "All"), dockerfile);
      return await site.cooper(
        "bud",
        "-q",
        "--tls-verify=false",
        "--all-platforms",
        ...flags,
        "-f",
        "All",
        context,
      );
    };
    const first = await build(`FROM ${name} AS w\nFROM localhost/base\nCOPY --from=w /x /\n`);
    expect(platformsIn(await listOf(site, first.stdout.trim()))).toEqual(["linux/amd64", "linux/arm64"]);
    const second = await build(
      `FROM --platform=$BUILDPLATFORM localhost/base AS b\nFROM --platform=$TARGETPLATFORM ${name}\nCOPY file /\n`,
    );
    expect(platformsIn(await listOf(site, second.stdout.trim()))).toEqual([
      "linux/amd64",
      "linux/arm64",
      "linux/s390x",
    ]);
    for (const [dockerfile, flags, said] of [
      ["FROM scratch\nCOPY file /\n", [], "Cannot tell the platforms"],
      ["FROM localhost/base\n", ["--arch=arm64"], "--all-platforms cannot be combined"],
      ["FROM localhost/base\n", ["--platform=linux/arm64"], "--all-platforms cannot be combined"],
    ] as const)
      expect(await build(dockerfile, ...flags)).toMatchObject({
        exitCode: 125,
        stderr: expect.stringContaining(said),
      });
  });

  test("an image for another platform than its entry would say is refused", async () => {
    await Bun.write(join(context, "Wrong"), "FROM --platform=$BUILDPLATFORM localhost/base\nCOPY file /\n");
    const { exitCode, stderr } = await site.cooper(
      "bud",
      BOTH,
      "-t",
      "localhost/wrong",
      "-f",
      "Wrong",
      context,
    );
    expect(exitCode).toBe(125);
    expect(stderr).toContain("Cannot build for linux/arm64: the image would be one for linux/amd64");
    expect(await namesIn(site)).not.toContain("localhost/wrong");
  });

  test("--debug-shell: the platform that fails has the terminal, the others are ended before", async () => {
    const native = { layers: [files(readFileSync("/bin/busybox"))], config: { Env: ["PATH=/bin"] } };
    const { reference: both } = await makeIndex(join(site.work, "native"), [
      { ...native, platform: { os: "linux", architecture: "amd64" } },
      { ...native, platform: { os: "linux", architecture: "arm64" } },
    ]);
    await site.ok("manifest", "create", "--all", "localhost/native", both);
    const run = "RUN if [ $TARGETARCH = arm64 ]; then busybox sleep 1; exit 3; else busybox sleep 100; fi";
    await Bun.write(join(context, "Debug"), `FROM localhost/native\nARG TARGETARCH\n${run}\n`);
    using terminal = new Terminal(person, site.work, site.environment(), [120, 40]);
    terminal.type(
      `cooper bud --progress=plain --debug-shell --jobs=2 ${BOTH} -f Debug ${context}; echo "status $?"`,
    );
    await terminal.shows(/A shell with the files as before step 3\/3/, 30);
    terminal.type("echo in-$((40 + 2)) $TARGETARCH");
    await terminal.shows(/in-42 arm64/);
    terminal.type("exit");
    // Well before the other's command would have ended.
    const { text } = await terminal.shows(/status 3/, 30);
    expect(text.replaceAll("\n", "")).toContain("Cannot build for linux/arm64: The command");
  });

  test("--report tells of each platform why its steps ran", async () => {
    await Bun.write(join(context, "Told"), "FROM scratch\nCOPY file /told\n");
    await site.ok("bud", "-q", BOTH, "--report=told.json", "-f", "Told", context);
    const { stages, images } = JSON.parse(await site.script("cat told.json"));
    expect(images.map(({ platform }: { platform: string }) => platform)).toEqual([
      "linux/amd64",
      "linux/arm64",
    ]);
    const steps = [{ outcome: "base" }, { outcome: "run", miss: expect.objectContaining({ reason: "new" }) }];
    expect(stages).toHaveLength(2);
    for (const platform of ["linux/amd64", "linux/arm64"])
      expect(stages).toContainEqual(
        expect.objectContaining({ platform, steps: steps.map((step) => expect.objectContaining(step)) }),
      );
  });

  test("--logsplit writes a log for each platform", async () => {
    const { stderr } = await site.cooper("bud", BOTH, "--logfile=log", "--logsplit", context);
    expect(stderr).toBe("");
    expect(
      readdirSync(site.work)
        .filter((name) => name.startsWith("log"))
        .sort(),
    ).toEqual(["log_linux_amd64", "log_linux_arm64"]);
    const arm = await site.script("cat log_linux_arm64");
    expect(arm).toContain("[linux/arm64] STEP 3/4: COPY file /");
    expect(arm).not.toContain("linux/amd64");
  });

  test("a remote cache serves each platform", async () => {
    const cache = `${registry.host}/cache`;
    await site.ok(
      "bud",
      "-q",
      "--tls-verify=false",
      BOTH,
      `--cache-to=${cache}`,
      "-t",
      "localhost/kept",
      context,
    );
    await using other = openSite(person);
    await other.ok("manifest", "create", "--all", "localhost/base", reference);
    const { stderr } = await other.cooper(
      "bud",
      "--tls-verify=false",
      BOTH,
      `--cache-from=${cache}`,
      "-t",
      "localhost/kept",
      context,
    );
    for (const arch of ["amd64", "arm64"])
      expect(stderr).toContain(`[linux/${arch}] --> Using cache from docker://${cache}`);
    expect(platformsIn(await listOf(other, "localhost/kept"))).toEqual(["linux/amd64", "linux/arm64"]);
  });
});
