// Protects copying between any two places: all pairs of transports, images in both formats and whole indexes, same digests.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { copy, openStore, type Store } from "../../src/index.ts";
import { filesOf } from "../../src/api/store.ts";
import { openReference } from "../../src/image/open-reference.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import { type ValidatedImage, validateImage } from "../../src/transport/validate.ts";
import { startDockerEngine, type TestEngine, withEnvironment } from "../support/docker-engine.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { type MadeImage, makeImage, makeIndex, type MadeIndex } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { freePort, startRegistry, type TestRegistry } from "./registry-server.ts";
import { contents, failureOf } from "./suite.ts";

setDefaultTimeout(120_000);

const scratch = scratchDirectory("matrix");
let tools: ForeignTools;
let registry: TestRegistry;
let engine: TestEngine;
let environment: Disposable;
let store: Store;

/** Where an image called `name` is in each kind of place. */
const places = {
  store: (name: string) => `localhost/${name}`,
  docker: (name: string) => `docker://${registry.host}/${name}:v1`,
  oci: (name: string) => `oci:${scratch.path}/${name}.oci:v1`,
  "oci-archive": (name: string) => `oci-archive:${scratch.path}/${name}.oci.tar:v1`,
  dir: (name: string) => `dir:${scratch.path}/${name}.dir`,
  "docker-archive": (name: string) => `docker-archive:${scratch.path}/${name}.tar:localhost/${name}:v1`,
  "docker-daemon": (name: string) => `docker-daemon:${name}:v1`,
  "containers-storage": (name: string) => `containers-storage:localhost/${name}:v1`,
};
type Place = keyof typeof places;
const all = Object.keys(places) as Place[];
const keepDigests: Place[] = ["store", "docker", "oci", "oci-archive", "dir"];

const between = (from: string, to: string, options: { all?: boolean } = {}) =>
  copy(from, to, { store, tlsVerify: false, ...options });

async function whatIsAt(location: string): Promise<ValidatedImage[]> {
  await using source = await openReference(filesOf(store), parseTransport(location), { tlsVerify: false });
  return await validateImage(source);
}

describe.if(process.getuid?.() === 0)("from each place to each", () => {
  beforeAll(async () => {
    tools = new ForeignTools();
    [registry, engine] = await Promise.all([startRegistry(), startDockerEngine(await freePort())]);
    environment = withEnvironment({
      DOCKER_HOST: engine.host,
      CONTAINERS_STORAGE_CONF: join(tools.dir, "storage.conf"),
    });
    store = await openStore({ root: scratch.file("store"), runRoot: scratch.file("run") });
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    environment[Symbol.dispose]();
    await engine[Symbol.asyncDispose]();
    registry[Symbol.dispose]();
    tools[Symbol.dispose]();
    scratch[Symbol.dispose]();
  });

  describe.each(["oci", "docker"] as const)("an image in the %s format", (format) => {
    let made: MadeImage;
    beforeAll(async () => {
      const [base, ...more] = contents.layers;
      const layers = [base!, [...more.flat(), { path: "format", content: format }]] as typeof contents.layers;
      made = await makeImage(scratch.file(`from-${format}`), { ...contents, layers, format });
      for (const place of all) await between(made.reference, places[place](`at-${format}`));
    });

    // Whoever reads a layout looks for OCI's manifests in it only: there Docker's format becomes OCI's.
    const keepers = keepDigests.filter((place) => format === "oci" || !place.startsWith("oci"));

    test.each(all)("%s", async (from) => {
      for (const to of all) {
        const there = places[to](`${from}-${format}-to-${to}`);
        const { digest } = await between(places[from](`at-${format}`), there);
        const keeps = keepers.includes(from) && [...keepers, "containers-storage"].includes(to);
        if (keeps) expect([to, digest]).toEqual([to, made.descriptor.digest]);
        const [image] = await whatIsAt(there);
        expect([to, image!.manifest.config.digest]).toEqual([to, made.manifest.config.digest]);
        expect(image!.image).toEqual(made.image);
        if (keepDigests.includes(to)) expect([to, image!.descriptor.digest]).toEqual([to, digest]);
      }
    });
  });

  describe("an index", () => {
    let index: MadeIndex;
    beforeAll(async () => {
      index = await makeIndex(scratch.file("from-index"), [
        { platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a", content: "1" }]] },
        { platform: { os: "linux", architecture: "arm64" }, layers: [[{ path: "a", content: "2" }]] },
      ]);
      for (const place of keepDigests) await between(index.reference, places[place]("list"), { all: true });
    });

    test.each(keepDigests)("%s: whole where that is possible, else refused", async (from) => {
      for (const to of all) {
        const there = places[to](`${from}-list-to-${to}`);
        const copying = between(places[from]("list"), there, { all: true });
        if (!keepDigests.includes(to)) {
          const { message } = await failureOf(copying, "unsupported");
          expect(message).toContain("it holds one image");
          continue;
        }
        expect([to, (await copying).digest]).toEqual([to, index.descriptor.digest]);
        expect(await whatIsAt(there)).toHaveLength(2);
      }
    });
  });
});
