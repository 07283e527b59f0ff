// Protects --cache-to and --cache-from: what one machine exports another need not run, nothing is fetched needlessly, and what is broken or hostile is a miss.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/base/digest.ts";
import type { Manifest } from "../../src/oci/types.ts";
import { type Person, people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Result, type Site } from "../support/cooper.ts";
import { FaultProxy, startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);

const first = people[0]!;
let registry: TestRegistry;
let proxy: FaultProxy;
let base: string;
/** Bases of builder stages: nobody needs their layers. */
let toolBase: string;
const shared: string[] = [];

beforeAll(async () => {
  registry = await startRegistry();
  proxy = await FaultProxy.start(registry.port);
  base = `${proxy.host}/base:1`;
  toolBase = `${proxy.host}/tools:1`;
  await using site = openSite(first);
  await site.ok("import", busyboxBase(), "localhost/busybox");
  await site.ok("push", "--tls-verify=false", "localhost/busybox", base);
  writeFileSync(join(site.work, "Dockerfile"), "FROM localhost/busybox\nRUN echo tools > /tools\n");
  await site.ok("bud", "-t", "localhost/tools", site.work);
  await site.ok("push", "--tls-verify=false", "localhost/tools", toolBase);
});
afterAll(() => {
  proxy[Symbol.dispose]();
  registry[Symbol.dispose]();
  for (const directory of shared) rmSync(directory, { recursive: true, force: true });
});

/** A directory that every machine may write, outside of their own. */
function sharedDirectory(): string {
  const directory = mkdtempSync("/var/tmp/cooper-cache-");
  shared.push(directory);
  chmodSync(directory, 0o777);
  return join(directory, "cache");
}

let repositories = 0;
const newRepository = () => `${proxy.host}/cache${repositories++}`;

/** Builds as localhost/app. */
function build(
  site: Site,
  dockerfile: string,
  flags: string[],
  files: Record<string, string> = {},
): Promise<Result> {
  const context = site.files({ Dockerfile: dockerfile, ...files });
  return site.cooper("bud", "--tls-verify=false", "--retry=0", "-t", "localhost/app", ...flags, context);
}

async function built(...what: Parameters<typeof build>): Promise<string> {
  const { exitCode, stderr } = await build(...what);
  if (exitCode !== 0) throw new Error(`The build failed: ${stderr}`);
  return stderr;
}

/** What a file of localhost/app holds. */
async function fileOf(site: Site, path: string): Promise<string> {
  return site.script(
    `c=$(cooper from localhost/app); cooper run $c -- cat ${path}; cooper rm $c > /dev/null`,
  );
}

/** Which of the steps that print `ran-NAME` were run. */
const ran = (stderr: string) => [...stderr.matchAll(/^(?:\[\w+\] )?ran-(\w+)$/gm)].map((match) => match[1]!);

const STAGES = () => `FROM ${toolBase} AS builder
RUN echo ran-one; mkdir /out; echo made > /out/file; head -c 300000 /dev/urandom > /big
RUN echo ran-two; echo more > /out/more
FROM ${base}
RUN echo ran-three; head -c 8 /dev/urandom | od -A n -t x1 > /random
WORKDIR /work
COPY --from=builder /out /out
COPY context-file .
RUN echo ran-four; cat /out/file /work/context-file > /all; rm /work/context-file
`;
const FILES = { "context-file": "from the context\n" };

function places(kind: "registry" | "directory"): { to: string; from: string } {
  if (kind === "registry") {
    const repository = newRepository();
    return { to: repository, from: repository };
  }
  const directory = sharedDirectory();
  return { to: `type=local,dest=${directory}`, from: `type=local,src=${directory}` };
}

describe.each(people)("as $kind", (person: Person) => {
  test.each(["registry", "directory"] as const)(
    "a blank machine runs nothing, with a cache in a %s",
    async (kind) => {
      const { to, from } = places(kind);
      const [maker, blank] = machines(person, person);
      expect(ran(await built(maker, STAGES(), ["--cache-to", to], FILES)).sort()).toEqual([
        "four",
        "one",
        "three",
        "two",
      ]);
      const start = proxy.seen.length;
      const stderr = await built(blank, STAGES(), ["--cache-from", from], FILES);
      const seen = proxy.seen.slice(start).map(({ method, path }) => `${method} ${path}`);
      expect(ran(stderr)).toEqual([]);
      expect(stderr.match(/--> Using cache from /g)?.length).toBe(7);
      expect(await fileOf(blank, "/random")).toBe(await fileOf(maker, "/random"));
      expect(await fileOf(blank, "/all")).toBe("made\nfrom the context");
      // Of the builder's base the config, of its steps nothing.
      expect(seen.filter((line) => line.includes("/tools/blobs/"))).toHaveLength(1);
      expect(seen.filter((line) => line.includes("/base/blobs/"))).toHaveLength(2);
      expect(seen.filter((line) => !line.startsWith("GET "))).toEqual([]);
      if (kind === "registry") {
        expect(seen.filter((line) => /\/cache\d+\/manifests\//.test(line))).toHaveLength(7);
        // The target's five steps.
        expect(seen.filter((line) => /\/cache\d+\/blobs\//.test(line))).toHaveLength(5);
      }
    },
  );

  test("a cache mount comes along, and later only what changed", async () => {
    const directory = sharedDirectory();
    const flags = [
      "--cache-to",
      `type=local,dest=${directory},mounts=true`,
      "--cache-from",
      `type=local,src=${directory},mounts=true`,
    ];
    const dockerfile = (command: string) =>
      `FROM ${base}\nRUN --mount=type=cache,target=/c,uid=7,mode=0700 ${command}\n`;
    const [one, two, three] = machines(person, person, person);
    await built(
      one,
      dockerfile(
        "mkdir /c/d /c/e; head -c 400000 /dev/urandom > /c/big; echo 1 > /c/d/f; echo 1 > /c/gone; ln /c/d/f /c/hard; chown 5:6 /c/hard",
      ),
      flags,
    );
    const before = blobsOf(directory);
    // Changed by another step, on another machine, which has to restore it first.
    await built(
      two,
      dockerfile("set -e; test -s /c/big; echo 2 > /c/d/g; rm /c/gone; rm -r /c/e; echo file > /c/e"),
      flags,
    );
    const added = blobsOf(directory).filter(({ name }) => !before.some((blob) => blob.name === name));
    expect(added.map(({ size }) => size).reduce((a, b) => a + b)).toBeLessThan(10_000);
    // One that only reads sends nothing of the mount.
    const listing = "(cd /c; stat -c '%n %a %u:%g %h' . d d/f d/g e hard; cat e; ls)";
    const read = await built(three, dockerfile(`${listing} | tee /listing`), flags);
    expect(read).toMatch(/Cache exported to .*: 1 of 2 entries written/);
    expect(await fileOf(three, "/listing")).toBe(
      [
        ". 700 7:0 3",
        "d 755 0:0 2",
        "d/f 644 5:6 2",
        "d/g 644 0:0 1",
        "e 644 0:0 1",
        "hard 644 5:6 2",
        "file",
        "big",
        "d",
        "e",
        "hard",
      ].join("\n"),
    );
  });
});

const open: Site[] = [];

/** Machines with a store each, until the end of the test. */
function machines<Owners extends Person[]>(...owners: Owners): { [index in keyof Owners]: Site } {
  const sites = owners.map((person) => openSite(person));
  open.push(...sites);
  return sites as { [index in keyof Owners]: Site };
}

afterEach(async () => {
  for (const site of open.splice(0)) await site[Symbol.asyncDispose]();
});

function blobsOf(directory: string): { name: string; size: number }[] {
  const blobs = join(directory, "blobs/sha256");
  return readdirSync(blobs).map((name) => ({ name, size: readFileSync(join(blobs, name)).length }));
}

const SIMPLE = () => `FROM ${base}\nRUN echo ran-one; echo one > /one\nRUN echo ran-two; echo two > /two\n`;

test.each(["registry", "directory"] as const)("machines write one cache at once: a %s", async (kind) => {
  const { to, from } = places(kind);
  const own = (name: string) => `${SIMPLE()}RUN echo ran-${name}; echo ${name} > /own\n`;
  const names = ["a", "b", "c"];
  const sites = machines(first, first, first, first);
  const results = names.map((name, index) =>
    built(sites[index]!, own(name), ["--cache-to", to, "--cache-from", from]),
  );
  await Promise.all(results);
  // Each has its own line of results; whichever wrote a shared key last, the entries of one line fit together.
  const found: string[][] = [];
  for (const name of names) found.push(ran(await built(sites[3]!, own(name), ["--cache-from", from])));
  expect(found.some((steps) => steps.length === 0)).toBe(true);
  for (const steps of found) expect(steps).not.toContain("one");
  expect(await fileOf(sites[3]!, "/own")).toBe("c");
});

test("a machine that only looks on goes on by the files that a stage left", async () => {
  const { to, from } = places("directory");
  const text = (comment: string) => `FROM ${base} AS builder
RUN echo ran-builder ${comment} > /dev/null; mkdir /out; echo same > /out/file
FROM ${base}
COPY --from=builder /out /out
RUN echo ran-after
`;
  const [one, two] = machines(first, first);
  await built(one, text("first"), ["--cache-to", to]);
  // The builder's step is another one, what it leaves is not.
  const stderr = await built(two, text("second"), ["--cache-from", from]);
  expect(stderr).toMatch(/COPY --from=builder \/out \/out\n(?:\[1\] )?--> Using cache from/);
  expect(ran(stderr)).toEqual([]);
});

interface Entry {
  path: string;
  manifest: Manifest;
}

function entriesOf(directory: string): Entry[] {
  return readdirSync(join(directory, "entries")).map((name) => {
    const path = join(directory, "entries", name);
    return { path, manifest: JSON.parse(readFileSync(path, "utf8")) as Manifest };
  });
}

const blobFile = (directory: string, digest: string) => join(directory, "blobs/sha256", digest.slice(7));

/** Ways to break every entry, or its blob. */
const DAMAGES: [string, (directory: string, entry: Entry) => void][] = [
  [
    "a byte of the blob",
    (directory, { manifest }) => {
      const file = blobFile(directory, manifest.layers[0]!.digest);
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(file, bytes);
    },
  ],
  [
    "a blob cut short",
    (directory, { manifest }) => {
      const file = blobFile(directory, manifest.layers[0]!.digest);
      writeFileSync(file, readFileSync(file).subarray(0, 20));
    },
  ],
  [
    "a blob that is gone",
    (directory, { manifest }) => rmSync(blobFile(directory, manifest.layers[0]!.digest), { force: true }),
  ],
  [
    "another blob than the diff_id says",
    (_, entry) =>
      rewrite(entry, (layer) => {
        layer.annotations!["io.cooper.cache.diff-id"] = digestOf("other");
      }),
  ],
  [
    "no diff_id",
    (_, entry) =>
      rewrite(entry, (layer) => {
        layer.annotations = {};
      }),
  ],
  [
    "a type that is no layer's",
    (_, entry) =>
      rewrite(entry, (layer) => {
        layer.mediaType = "text/plain";
      }),
  ],
  [
    "an entry of another key",
    (_, { path, manifest }) =>
      writeFileSync(
        path,
        JSON.stringify({
          ...manifest,
          annotations: { ...manifest.annotations, "io.cooper.cache.key": digestOf("x") },
        }),
      ),
  ],
  ["no JSON", (_, { path }) => writeFileSync(path, "\0not json")],
  ["JSON of another shape", (_, { path }) => writeFileSync(path, '{"schemaVersion":2,"layers":"x"}')],
  [
    "a tar with a way out",
    (directory, entry) =>
      rewrite(entry, (layer) => {
        const tar = tarWithWayOut();
        layer.mediaType = "application/vnd.oci.image.layer.v1.tar";
        layer.digest = digestOf(tar);
        layer.size = tar.length;
        layer.annotations!["io.cooper.cache.diff-id"] = digestOf(tar);
        writeFileSync(blobFile(directory, layer.digest), tar);
      }),
  ],
];

function rewrite({ path, manifest }: Entry, change: (layer: Manifest["layers"][number]) => void): void {
  for (const layer of manifest.layers) change(layer);
  writeFileSync(path, JSON.stringify(manifest));
}

/** A symbolic link that leads to the host's root, and a hard link through it. */
function tarWithWayOut(): Uint8Array {
  const header = (name: string, type: string, target: string) => {
    const block = Buffer.alloc(512);
    block.write(name, 0);
    block.write("0000777\0", 100);
    block.write("0000000\0", 108);
    block.write("0000000\0", 116);
    block.write("00000000000\0", 124);
    block.write("00000000000\0", 136);
    block.fill(" ", 148, 156);
    block.write(type, 156);
    block.write(target, 157);
    block.write("ustar\x0000", 257);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return block;
  };
  return Buffer.concat([
    header("../../escaped", "0", ""),
    header("x", "1", "../../../etc/passwd"),
    Buffer.alloc(1024),
  ]);
}

describe("damaged", () => {
  const whole = sharedDirectory();
  test("made", async () => {
    const [maker] = machines(first);
    await built(maker, SIMPLE(), ["--cache-to", `type=local,dest=${whole}`]);
    expect(entriesOf(whole)).toHaveLength(2);
  });

  test.each(DAMAGES)("%s is a miss with a warning", async (name, damage) => {
    const directory = sharedDirectory();
    cpSync(whole, directory, { recursive: true });
    for (const entry of entriesOf(directory)) damage(directory, entry);
    const [blank] = machines(first);
    const stderr = await built(blank, SIMPLE(), ["--cache-from", `type=local,src=${directory}`]);
    expect(ran(stderr)).toEqual(["one", "two"]);
    expect(stderr).toContain("Warning: ");
    expect(await fileOf(blank, "/two")).toBe("two");
    if (!/byte|JSON/.test(name)) return;
    // Exported again it is whole.
    const [other, third] = machines(first, first);
    await built(other, SIMPLE(), ["--cache-to", `type=local,dest=${directory}`]);
    expect(ran(await built(third, SIMPLE(), ["--cache-from", `type=local,src=${directory}`]))).toEqual([]);
  });
});

test("one broken entry of several costs that step and what stands on it", async () => {
  const directory = sharedDirectory();
  const [maker, blank] = machines(first, first);
  await built(maker, STAGES(), ["--cache-to", `type=local,dest=${directory}`], FILES);
  const sizes = blobsOf(directory).sort((a, b) => b.size - a.size);
  // The builder's first step: nobody needs it, so nobody notices.
  rmSync(join(directory, "blobs/sha256", sizes[0]!.name));
  const from = ["--cache-from", `type=local,src=${directory}`];
  expect(ran(await built(blank, STAGES(), from, FILES))).toEqual([]);
  // Now it is needed.
  const changed = STAGES().replace("/out /out", "/out /out2");
  const stderr = await built(blank, changed.replace("cat /out/file", "cat /out2/file"), from, FILES);
  expect(stderr).toContain("Warning: An entry of the cache");
  expect(
    ran(stderr)
      .filter((name) => name !== "four")
      .sort(),
  ).toEqual(["one", "two"]);
  expect(await fileOf(blank, "/all")).toBe("made\nfrom the context");
});

test("a registry that fails: a warning for --cache-from, an error for --cache-to unless it is ignored", async () => {
  const dead = "127.0.0.1:1/cache";
  const [site] = machines(first);
  const stderr = await built(site, SIMPLE(), ["--cache-from", dead]);
  expect(stderr.match(/Warning: .*goes on without this cache/g)).toHaveLength(1);
  expect(ran(stderr)).toEqual(["one", "two"]);
  const failed = await build(site, SIMPLE(), ["--cache-to", dead]);
  expect([failed.exitCode, failed.stderr]).toEqual([125, expect.stringContaining("Cannot export the cache")]);
  expect(
    await built(site, SIMPLE(), ["--cache-to", `type=registry,ref=${dead},ignore-error=true`]),
  ).toContain("Warning: The cache was not exported");
  // In the middle of a layer, too.
  using faulty = await FaultProxy.start(registry.port);
  const repository = newRepository();
  await built(site, SIMPLE(), ["--cache-to", repository]);
  faulty.fail(/^GET .*\/cache\d+\/blobs\//, { kind: "truncate", after: 10 }, 100);
  const [blank] = machines(first);
  const cut = await built(blank, SIMPLE(), ["--cache-from", repository.replace(proxy.host, faulty.host)]);
  expect(ran(cut)).toEqual(["one", "two"]);
});

test("steps before the one that fails are exported", async () => {
  const { to, from } = places("directory");
  const [one, two] = machines(first, first);
  expect((await build(one, `${SIMPLE()}RUN false\n`, ["--cache-to", to])).exitCode).toBe(1);
  expect(ran(await built(two, SIMPLE(), ["--cache-from", from]))).toEqual([]);
});

test("nothing that holds a secret is exported", async () => {
  const directory = sharedDirectory();
  const secret = "Tr0ub4dor-and-3";
  const text = `FROM ${base} AS leaky
RUN echo ran-one
RUN --mount=type=secret,id=s --mount=type=cache,target=/c cp /run/secrets/s /leaked; cp /run/secrets/s /c/leaked; echo x > /x
RUN echo after > /after
FROM ${base}
COPY --from=leaky /x /x
`;
  const [site] = machines(first);
  writeFileSync(join(site.work, "secret"), secret);
  site.give(site.work);
  const flags = [
    "--secret",
    `id=s,src=${join(site.work, "secret")}`,
    "--cache-to",
    `type=local,dest=${directory},mounts=true`,
  ];
  const stderr = await built(site, text, flags);
  expect(stderr).toMatch(
    /Warning: The step "RUN --mount=type=secret.*not exported: \/leaked holds the secret "s"/,
  );
  expect(stderr).toMatch(/Warning: The cache mount "\/?c" is not exported: \/leaked holds/);
  const contents = blobsOf(directory).map(({ name }) => {
    const bytes = readFileSync(join(directory, "blobs/sha256", name));
    return bytes.readUInt32LE(0) === 0xfd2fb528 ? Buffer.from(Bun.zstdDecompressSync(bytes)) : bytes;
  });
  expect(contents.length).toBeGreaterThan(0);
  expect(contents.some((content) => content.includes(secret) || content.includes("after"))).toBe(false);
});

test("what is there is not sent again, and mode=min leaves out what the target only copies from", async () => {
  const repository = newRepository();
  const [site, other] = machines(first, first);
  await built(site, STAGES(), ["--cache-to", repository], FILES);
  const start = proxy.seen.length;
  const again = await built(site, STAGES(), ["--cache-to", repository], FILES);
  expect(proxy.seen.slice(start).filter(({ method }) => method !== "GET")).toEqual([]);
  expect(again).toContain("0 of ");
  // From one cache to another, as it is.
  const directory = sharedDirectory();
  await built(
    other,
    STAGES(),
    ["--cache-from", repository, "--cache-to", `type=local,dest=${directory},mode=min`],
    FILES,
  );
  expect(blobsOf(directory).every(({ size }) => size < 100_000)).toBe(true);
  const [third] = machines(first);
  const target = `FROM ${base}\n${STAGES().split(`FROM ${base}\n`)[1]!.split("\n")[0]}\n`;
  expect(ran(await built(third, target, ["--cache-from", `type=local,src=${directory}`]))).toEqual([]);
});

test("entries are images that other tools read, beside others of their repository", async () => {
  const repository = newRepository();
  const [site, blank] = machines(first, first);
  const to = `type=registry,ref=${repository}:main,compression=gzip,mode=max,image-manifest=true,oci-mediatypes=true`;
  await built(site, SIMPLE(), ["--cache-to", to]);
  const tags = JSON.parse(
    await site.script(`skopeo list-tags --tls-verify=false docker://${repository}`),
  ) as { Tags: string[] };
  expect(tags.Tags).toHaveLength(2);
  for (const tag of tags.Tags) {
    expect(tag).toMatch(/^main-[0-9a-f]{64}$/);
    await site.script(`skopeo inspect --tls-verify=false docker://${repository}:${tag}`);
  }
  expect(ran(await built(blank, SIMPLE(), ["--cache-from", repository]))).toEqual(["one", "two"]);
  expect(
    ran(await built(blank, SIMPLE(), ["--no-cache", "--cache-from", to.split(",compression")[0]!])),
  ).toEqual(["one", "two"]);
  const [third] = machines(first);
  expect(
    ran(
      await built(third, SIMPLE(), [
        "--cache-from",
        "type=local,src=/nowhere",
        "--cache-from",
        to.split(",compression")[0]!,
      ]),
    ),
  ).toEqual([]);
});

test("--cache-ttl: neither the store's results nor those of others are used when they are older", async () => {
  const { to, from } = places("directory");
  const [site, blank] = machines(first, first);
  await built(site, SIMPLE(), ["--cache-to", to]);
  await Bun.sleep(1100);
  expect(ran(await built(site, SIMPLE(), ["--cache-ttl=1h"]))).toEqual([]);
  expect(ran(await built(blank, SIMPLE(), ["--cache-from", from, "--cache-ttl=1s"]))).toEqual(["one", "two"]);
  expect(ran(await built(site, SIMPLE(), ["--cache-ttl=1s"]))).toEqual(["one", "two"]);
  expect(ran(await built(site, SIMPLE(), ["--cache-ttl=0"]))).toEqual(["one", "two"]);
  expect((await build(site, SIMPLE(), ["--cache-ttl=soon"])).exitCode).toBe(125);
});

test("a directory of something else is neither read nor written", async () => {
  const directory = sharedDirectory();
  mkdirSync(directory);
  writeFileSync(join(directory, "mine"), "");
  const [site] = machines(first);
  const refused = await build(site, SIMPLE(), ["--cache-to", `type=local,dest=${directory}`]);
  expect([refused.exitCode, refused.stderr]).toEqual([
    125,
    expect.stringContaining("not empty and no cache"),
  ]);
  expect(
    await built(site, SIMPLE(), ["--cache-from", `type=local,src=${directory}`, "--no-cache-filter=0"]),
  ).toContain("ran-one");
  expect(readdirSync(directory)).toEqual(["mine"]);
});
