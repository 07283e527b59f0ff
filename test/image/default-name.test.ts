// Protects the names that pulled images get: a name that the source carries, or one made of where it was.
import { expect, test } from "bun:test";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import { defaultName } from "../../src/image/default-name.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import { openStore, pull } from "../../src/index.ts";
import { makeImage } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";

const digest = `sha256:${"0".repeat(64)}` as const;

test.each([
  ["oci:/tmp/x", undefined, "localhost/tmp/x:latest"],
  ["oci:/tmp/x:v1", "v1", "localhost/tmp/x:v1"],
  ["oci:/tmp/X y", "v1", "localhost/tmp/x-y:v1"],
  ["oci:/tmp/x", "docker.io/library/debian:12", "docker.io/library/debian:12"],
  ["oci:/tmp/x:localhost/hello", "localhost/hello", "localhost/hello"],
  ["oci:/tmp/x", "team/app", "team/app"],
  ["oci:/tmp/x", "1.0+build@2", "localhost/tmp/x"],
  ["dir:/tmp/x", undefined, "localhost/tmp/x"],
  ["oci-archive:/tmp/x", "hello:1", "hello:1"],
  ["oci-archive:/tmp/x", undefined, undefined],
  ["docker-archive:/tmp/x", "hello:1", "hello:1"],
  ["docker-daemon:hello:1", "hello:1", "docker.io/library/hello:1"],
  ["docker-daemon:team/hello", "team/hello:latest", "docker.io/team/hello:latest"],
  [`docker-daemon:${digest}`, undefined, undefined],
  ["containers-storage:hello", "docker.io/library/hello:latest", "docker.io/library/hello:latest"],
  ["docker://debian", undefined, "docker.io/library/debian:latest"],
] as const)("%s with the name %p", (location, carried, expected) => {
  const annotations = carried === undefined ? {} : { "org.opencontainers.image.ref.name": carried };
  const root = { mediaType: MEDIA.ociManifest, digest, size: 1, annotations };
  expect(defaultName(parseTransport(location), root)).toBe(expected as string);
});

test.if(process.getuid?.() === 0)("a layout whose image has a whole name is pulled under it", async () => {
  using scratch = scratchDirectory("default-name");
  await makeImage(scratch.file("layout"), { layers: [], name: "registry.example/team/app:2" });
  await using store = await openStore({ root: scratch.file("store"), runRoot: scratch.file("run") });
  const image = await pull(store, `oci:${scratch.file("layout")}:registry.example/team/app:2`);
  expect(image.names).toEqual(["registry.example/team/app:2"]);
});
