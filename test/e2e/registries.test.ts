// Protects images on their way: every command against a plain registry, one with TLS and passwords, and one behind faults.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../support/command-line.ts";
import { makeImage, type MadeImage } from "../support/make-image.ts";
import { type Fault, FaultProxy, startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const line = new CommandLine("registries");
let plain: TestRegistry;
let secure: TestRegistry;
let proxy: FaultProxy;
let made: MadeImage;
let stores = 0;

beforeAll(async () => {
  [plain, secure] = await Promise.all([
    startRegistry(),
    startRegistry({ tls: true, users: { kim: "s3cret" } }),
  ]);
  proxy = await FaultProxy.start(plain.port);
  line.file("certs/ca.crt", await Bun.file(secure.ca).text());
  made = await makeImage(line.path("image"), {
    layers: [
      [{ path: "noise", content: randomBytes(12_000_000) }],
      [{ path: "small", content: randomBytes(100_000) }],
    ],
  });
  await line.ok("pull", "-q", made.reference);
  await line.ok("tag", made.imageId, "localhost/app");
});
afterAll(() => {
  for (const one of [plain, secure, proxy, line]) one[Symbol.dispose]();
});

const passing = (status: number): Fault => ({ kind: "answer", status, headers: { "Retry-After": "0" } });
const RETRY = ["--retry-delay=5ms"];

interface Place {
  name: string;
  host: () => string;
  flags: () => string[];
  /** Makes the next requests of a command go wrong in passing. */
  disturb: (...commands: string[]) => void;
}

/** Of each command's requests, what goes wrong first. */
const DISTURBED: Record<string, [RegExp, Fault, number][]> = {
  push: [
    [/HEAD .*blobs/, { kind: "drop" }, 1],
    [/POST /, passing(429), 1],
    [/PATCH /, { kind: "drop-upload", after: 2_000_000 }, 1],
    [/PUT .*uploads/, { kind: "lose-answer" }, 1],
    [/PUT .*manifests/, passing(500), 1],
  ],
  pull: [
    [/GET .*manifests/, passing(429), 1],
    [/GET .*manifests/, { kind: "truncate", after: 100 }, 1],
    [/GET .*blobs/, passing(502), 1],
    [/GET .*blobs/, { kind: "drop" }, 1],
    [/GET .*blobs/, { kind: "truncate", after: 4_000_000 }, 1],
    [/GET .*blobs/, { kind: "truncate", after: 50_000 }, 1],
  ],
  list: [
    [/GET .*tags/, { kind: "drop" }, 1],
    [/GET .*tags/, passing(429), 1],
    [/GET .*tags/, { kind: "truncate", after: 10 }, 1],
  ],
  delete: [
    [/GET .*manifests/, passing(502), 1],
    [/DELETE /, { kind: "drop" }, 1],
    [/DELETE /, passing(500), 1],
  ],
};

function disturb(...commands: string[]): void {
  for (const [match, fault, times] of commands.flatMap((command) => DISTURBED[command]!))
    proxy.fail(match, fault, times);
}

const INSECURE = ["--tls-verify=false", ...RETRY];
const places: Place[] = [
  { name: "plain", host: () => plain.host, flags: () => INSECURE, disturb: () => {} },
  {
    name: "with TLS and a password",
    host: () => secure.host,
    flags: () => ["--cert-dir", line.path("certs"), "--creds", "kim:s3cret", ...RETRY],
    disturb: () => {},
  },
  {
    name: "behind faults",
    host: () => proxy.host,
    flags: () => INSECURE,
    disturb: (...names) => disturb(...names),
  },
];

/** A store of its own for one test. */
const newStore = () => line.path(`store-${++stores}`);

/** What a store must be, whatever happened: nothing unfinished, every blob what its name says, and sound. */
async function requireSound(root: string): Promise<void> {
  const tmp = join(root, "tmp");
  expect(existsSync(tmp) ? readdirSync(tmp) : []).toEqual([]);
  const blobs = join(root, "blobs/sha256");
  for (const name of existsSync(blobs) ? readdirSync(blobs) : [])
    expect(
      createHash("sha256")
        .update(readFileSync(join(blobs, name)))
        .digest("hex"),
    ).toBe(name);
  await line.ok("--root", root, "check");
}

describe.each(places)("a registry $name", (place) => {
  const there = (tag: string) =>
    `docker://${place.host()}/table/${place.name.replaceAll(" ", "-").toLowerCase()}:${tag}`;
  const digestThere = (tag: string) => line.ok("digest", ...place.flags(), there(tag));
  const settled = () => expect(proxy.pending).toBe(0);

  test("push, of an image of the store; again, nothing is sent", async () => {
    place.disturb("push");
    await line.ok("push", "-q", ...place.flags(), "localhost/app", there("pushed"));
    settled();
    expect(await digestThere("pushed")).toBe(made.descriptor.digest);
    const before = proxy.count(/(PATCH|POST|PUT) .*blobs/);
    await line.ok("push", "-q", ...place.flags(), "localhost/app", there("pushed"));
    expect(proxy.count(/(PATCH|POST|PUT) .*blobs/)).toBe(before);
    await requireSound(line.root);
  });

  test("pull, into an empty store; blobs that break off go on", async () => {
    const root = newStore();
    place.disturb("pull");
    expect(await line.ok("--root", root, "pull", "-q", ...place.flags(), there("pushed"))).toBe(made.imageId);
    settled();
    await requireSound(root);
  });

  test("copy, to another tag and into a layout", async () => {
    const layout = `oci:${line.path(`layout-${++stores}`)}:x`;
    place.disturb("pull");
    expect(await line.ok("image", "copy", "-q", ...place.flags(), there("pushed"), layout)).toBe(
      made.descriptor.digest,
    );
    settled();
    const copied = await line.ok("image", "copy", "-q", ...place.flags(), layout, there("copied"));
    expect(copied).toBe(made.descriptor.digest);
  });

  test("list-tags", async () => {
    place.disturb("list");
    const listed = await line.ok("image", "list-tags", ...place.flags(), there("x").replace(/:x$/, ""));
    settled();
    expect(JSON.parse(listed).Tags.sort()).toEqual(["copied", "pushed"]);
  });

  test("sync into directories, and back", async () => {
    const usb = line.path(`usb-${++stores}`);
    const repository = there("x").replace(/^docker:\/\/|:x$/g, "");
    const sync = (...args: string[]) => line.ok("image", "sync", "-q", ...place.flags(), ...args);
    place.disturb("list", "pull");
    await sync("--src", "docker", "--dest", "dir", repository, usb);
    settled();
    await sync(
      "--src",
      "dir",
      "--dest",
      "docker",
      "--append-suffix",
      "-back",
      usb,
      repository.replace(/[^/]*$/, ""),
    );
    expect(await digestThere("pushed-back")).toBe(made.descriptor.digest);
  });

  test("delete", async () => {
    place.disturb("delete");
    expect(await line.ok("image", "delete", ...place.flags(), there("copied"))).toBe(made.descriptor.digest);
    settled();
    expect((await line.run(["digest", "--retry=0", ...place.flags(), there("pushed")])).status).toBe(125);
  });
});

describe("what does not pass is not accepted", () => {
  const place = () => `docker://${proxy.host}/table/refused:1`;
  const layer = () => made.manifest.layers[0]!;
  const kinds: [string, () => [RegExp, Fault], RegExp][] = [
    ["a corrupted manifest", () => [/GET .*manifests/, { kind: "corrupt", at: 40 }], /its digest is|not/],
    [
      "a corrupted config",
      () => [new RegExp(`GET .*${made.manifest.config.digest}`), { kind: "corrupt", at: 9 }],
      /is damaged/,
    ],
    [
      "a corrupted layer",
      () => [new RegExp(`GET .*${layer().digest}`), { kind: "corrupt", at: 7_000_000 }],
      /damaged|corrupt|cannot be/i,
    ],
    [
      "a layer whose last byte is corrupted",
      () => [new RegExp(`GET .*${layer().digest}`), { kind: "corrupt", at: layer().size - 1 }],
      /damaged|corrupt|cannot be/i,
    ],
    [
      "a layer that never comes whole",
      () => [new RegExp(`GET .*${layer().digest}`), { kind: "truncate", after: 0 }],
      /was dropped/,
    ],
    ["drops for ever", () => [/GET .*blobs/, { kind: "drop" }], /was dropped/],
    ["429 for ever", () => [/GET .*blobs/, passing(429)], /answered 429 \(too many requests\)/],
    ["500 for ever", () => [/GET .*manifests/, passing(500)], /answered 500/],
    ["502 for ever", () => [/GET .*blobs/, passing(502)], /answered 502/],
  ];
  const commands: [string, (root: string) => string[]][] = [
    ["pull", (root) => ["--root", root, "pull", "-q", ...INSECURE, "--retry=1", place()]],
    [
      "image copy",
      (root) => ["--root", root, "image", "copy", "-q", ...INSECURE, "--retry=1", place(), `dir:${root}-dir`],
    ],
  ];

  beforeAll(async () => {
    const there = place().replace(proxy.host, plain.host);
    await line.ok("image", "copy", "-q", "--tls-verify=false", made.reference, there);
  });

  describe.each(kinds)("%s", (_kind, fault, message) => {
    test.each(commands)("%s", async (_command, argv) => {
      using hostile = await FaultProxy.start(plain.port);
      const [match, what] = fault();
      hostile.fail(match, what, Number.POSITIVE_INFINITY);
      const root = newStore();
      const { status, stderr } = await line.run(
        argv(root).map((arg) => arg.replace(proxy.host, hostile.host)),
      );
      expect(status).toBe(125);
      expect(stderr).toMatch(message);
      expect(stderr).toContain(`docker://${hostile.host}/table/refused`);
      expect(existsSync(`${root}-dir/manifest.json`)).toBe(false);
      expect(await line.ok("--root", root, "images", "-q")).toBe("");
      await requireSound(root);
    });
  });

  test.each<[string, RegExp, Fault]>([
    ["a chunk that never arrives", /PATCH /, { kind: "drop-upload", after: 1000 }],
    ["no room", /PATCH /, { kind: "answer", status: 507 }],
    ["a manifest that is refused", /PUT .*manifests/, { kind: "answer", status: 400 }],
  ])("push: %s names nothing", async (_name, match, fault) => {
    using hostile = await FaultProxy.start(plain.port);
    hostile.fail(match, fault, Number.POSITIVE_INFINITY);
    const name = `table/never-${++stores}:1`;
    const argv = [
      "push",
      "-q",
      ...INSECURE,
      "--retry=1",
      "localhost/app",
      `docker://${hostile.host}/${name}`,
    ];
    expect((await line.run(argv)).status).toBe(125);
    expect(
      (await line.run(["digest", "--retry=0", ...INSECURE, `docker://${plain.host}/${name}`])).stderr,
    ).toContain("404");
    await requireSound(line.root);
  });

  test("kill -9 in the middle of a pull: the next command clears away", async () => {
    const root = newStore();
    using silent = await FaultProxy.start(plain.port);
    // The first layer comes; of the other one nothing, for as long as the command lives.
    silent.fail(
      new RegExp(`GET .*${made.manifest.layers[1]!.digest}`),
      { kind: "answer", status: 429, headers: { "Retry-After": "60" } },
      99,
    );
    const child = Bun.spawn(
      [
        process.execPath,
        "src/cli/main.ts",
        "--root",
        root,
        "pull",
        "-q",
        "--tls-verify=false",
        place().replace(proxy.host, silent.host),
      ],
      { env: line.environment(), cwd: join(import.meta.dir, "../.."), stdout: "ignore", stderr: "ignore" },
    );
    while (silent.count(/GET .*blobs/) < 3) await Bun.sleep(20);
    child.kill("SIGKILL");
    await child.exited;
    expect(await line.ok("--root", root, "images", "-q")).toBe("");
    await line.ok("--root", root, "check");
    const again = place().replace(proxy.host, plain.host);
    expect(await line.ok("--root", root, "pull", "-q", "--tls-verify=false", again)).toBe(made.imageId);
    await requireSound(root);
  });
});
