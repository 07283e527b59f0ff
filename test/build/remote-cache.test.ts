// Protects --cache-to and --cache-from: what one machine exports another need not run, and nothing is fetched or sent needlessly.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Person, people } from "../support/as-users.ts";
import { blobsOf, build, built, FILES, fileOf, first, ran, useCacheLab } from "./cache-lab.ts";

setDefaultTimeout(120_000);

const lab = useCacheLab();

describe.each(people)("as $kind", (person: Person) => {
  test.each(["registry", "directory"] as const)(
    "a blank machine runs nothing, with a cache in a %s",
    async (kind) => {
      const { to, from } = lab.places(kind);
      const [maker, blank] = lab.machines(person, person);
      expect(ran(await built(maker, lab.stages(), ["--cache-to", to], FILES)).sort()).toEqual([
        "four",
        "one",
        "three",
        "two",
      ]);
      const start = lab.proxy.seen.length;
      const stderr = await built(blank, lab.stages(), ["--cache-from", from], FILES);
      const seen = lab.proxy.seen.slice(start).map(({ method, path }) => `${method} ${path}`);
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
    const directory = lab.sharedDirectory();
    const flags = [
      "--cache-to",
      `type=local,dest=${directory},mounts=true`,
      "--cache-from",
      `type=local,src=${directory},mounts=true`,
    ];
    const dockerfile = (command: string) =>
      `FROM ${lab.base}\nRUN --mount=type=cache,target=/c,uid=7,mode=0700 ${command}\n`;
    const [one, two, three] = lab.machines(person, person, person);
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
    await three.ok("prune", "--all", "--force");
    expect(readdirSync(join(three.root, "cache-mounts")).filter((name) => !name.endsWith(".lock"))).toEqual(
      [],
    );
  });
});

test.each(["registry", "directory"] as const)("machines write one cache at once: a %s", async (kind) => {
  const { to, from } = lab.places(kind);
  const own = (name: string) => `${lab.simple()}RUN echo ran-${name}; echo ${name} > /own\n`;
  const names = ["a", "b", "c"];
  const sites = lab.machines(first, first, first, first);
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
  const { to, from } = lab.places("directory");
  const text = (comment: string) => `FROM ${lab.base} AS builder
RUN echo ran-builder ${comment} > /dev/null; mkdir /out; echo same > /out/file
FROM ${lab.base}
COPY --from=builder /out /out
RUN echo ran-after
`;
  const [one, two] = lab.machines(first, first);
  await built(one, text("first"), ["--cache-to", to]);
  // The builder's step is another one, what it leaves is not.
  const stderr = await built(two, text("second"), ["--cache-from", from]);
  expect(stderr).toMatch(/COPY --from=builder \/out \/out\n(?:\[1\] )?--> Using cache from/);
  expect(ran(stderr)).toEqual([]);
});

test("steps before the one that fails are exported", async () => {
  const { to, from } = lab.places("directory");
  const [one, two] = lab.machines(first, first);
  expect((await build(one, `${lab.simple()}RUN false\n`, ["--cache-to", to])).exitCode).toBe(1);
  expect(ran(await built(two, lab.simple(), ["--cache-from", from]))).toEqual([]);
});

test("what is there is not sent again, and mode=min leaves out what the target only copies from", async () => {
  const repository = lab.newRepository();
  const [site, other] = lab.machines(first, first);
  await built(site, lab.stages(), ["--cache-to", repository], FILES);
  const start = lab.proxy.seen.length;
  const again = await built(site, lab.stages(), ["--cache-to", repository], FILES);
  expect(lab.proxy.seen.slice(start).filter(({ method }) => method !== "GET")).toEqual([]);
  expect(again).toContain("0 of ");
  // From one cache to another, as it is.
  const directory = lab.sharedDirectory();
  await built(
    other,
    lab.stages(),
    ["--cache-from", repository, "--cache-to", `type=local,dest=${directory},mode=min`],
    FILES,
  );
  expect(blobsOf(directory).every(({ size }) => size < 100_000)).toBe(true);
  const [third] = lab.machines(first);
  const target = `FROM ${lab.base}\n${lab.stages().split(`FROM ${lab.base}\n`)[1]!.split("\n")[0]}\n`;
  expect(ran(await built(third, target, ["--cache-from", `type=local,src=${directory}`]))).toEqual([]);
});

test("entries are images that other tools read, beside others of their repository", async () => {
  const repository = lab.newRepository();
  const [site, blank] = lab.machines(first, first);
  const to = `type=registry,ref=${repository}:main,compression=gzip,mode=max,image-manifest=true,oci-mediatypes=true`;
  await built(site, lab.simple(), ["--cache-to", to]);
  const tags = JSON.parse(
    await site.script(`skopeo list-tags --tls-verify=false docker://${repository}`),
  ) as { Tags: string[] };
  expect(tags.Tags).toHaveLength(2);
  for (const tag of tags.Tags) {
    expect(tag).toMatch(/^main-[0-9a-f]{64}$/);
    await site.script(`skopeo inspect --tls-verify=false docker://${repository}:${tag}`);
  }
  expect(ran(await built(blank, lab.simple(), ["--cache-from", repository]))).toEqual(["one", "two"]);
  expect(
    ran(await built(blank, lab.simple(), ["--no-cache", "--cache-from", to.split(",compression")[0]!])),
  ).toEqual(["one", "two"]);
  const [third] = lab.machines(first);
  expect(
    ran(
      await built(third, lab.simple(), [
        "--cache-from",
        "type=local,src=/nowhere",
        "--cache-from",
        to.split(",compression")[0]!,
      ]),
    ),
  ).toEqual([]);
});

test("--cache-ttl: neither the store's results nor those of others are used when they are older", async () => {
  const { to, from } = lab.places("directory");
  const [site, blank] = lab.machines(first, first);
  await built(site, lab.simple(), ["--cache-to", to]);
  await Bun.sleep(1100);
  expect(ran(await built(site, lab.simple(), ["--cache-ttl=1h"]))).toEqual([]);
  expect(ran(await built(blank, lab.simple(), ["--cache-from", from, "--cache-ttl=1s"]))).toEqual([
    "one",
    "two",
  ]);
  expect(ran(await built(site, lab.simple(), ["--cache-ttl=1s"]))).toEqual(["one", "two"]);
  expect(ran(await built(site, lab.simple(), ["--cache-ttl=0"]))).toEqual(["one", "two"]);
  expect((await build(site, lab.simple(), ["--cache-ttl=soon"])).exitCode).toBe(125);
});

test("a directory of something else is neither read nor written", async () => {
  const directory = lab.sharedDirectory();
  mkdirSync(directory);
  writeFileSync(join(directory, "mine"), "");
  const [site] = lab.machines(first);
  const refused = await build(site, lab.simple(), ["--cache-to", `type=local,dest=${directory}`]);
  expect([refused.exitCode, refused.stderr]).toEqual([
    125,
    expect.stringContaining("not empty and no cache"),
  ]);
  expect(
    await built(site, lab.simple(), ["--cache-from", `type=local,src=${directory}`, "--no-cache-filter=0"]),
  ).toContain("ran-one");
  expect(readdirSync(directory)).toEqual(["mine"]);
});
