// Protects the notation of containers-transports(5): what is a transport, where its path ends, which image is meant.
import { expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import {
  formatTransport,
  parseTransport,
  type TransportReference,
} from "../../src/oci/transport-reference.ts";

const digest = `sha256:${"a".repeat(64)}`;

const cases: [string, TransportReference, formatted?: string][] = [
  ["oci:/tmp/x", { transport: "oci", path: "/tmp/x" }],
  ["oci:/tmp/x:", { transport: "oci", path: "/tmp/x" }, "oci:/tmp/x"],
  ["oci:rel/x:v1.0", { transport: "oci", path: "rel/x", reference: "v1.0" }],
  ["oci:/x:localhost/hello:latest", { transport: "oci", path: "/x", reference: "localhost/hello:latest" }],
  ["oci:/x:@1", { transport: "oci", path: "/x", index: 1 }],
  ["oci-archive:p.tar", { transport: "oci-archive", path: "p.tar" }],
  ["oci-archive:/p.tar:a", { transport: "oci-archive", path: "/p.tar", reference: "a" }],
  ["docker-archive:/p.tar", { transport: "docker-archive", path: "/p.tar" }],
  [
    "docker-archive:/p.tar:hello",
    { transport: "docker-archive", path: "/p.tar", reference: "docker.io/library/hello:latest" },
    "docker-archive:/p.tar:docker.io/library/hello:latest",
  ],
  [
    "docker-archive:/p.tar:localhost/a/b:c",
    { transport: "docker-archive", path: "/p.tar", reference: "localhost/a/b:c" },
  ],
  ["docker-archive:/p.tar:@0", { transport: "docker-archive", path: "/p.tar", index: 0 }],
  ["dir:/a:b:c", { transport: "dir", path: "/a:b:c" }],
  [
    "docker://debian",
    { transport: "docker", name: "docker.io/library/debian:latest" },
    "docker://docker.io/library/debian:latest",
  ],
  ["docker://localhost:5000/x:t", { transport: "docker", name: "localhost:5000/x:t" }],
  [`docker://reg.io/x@${digest}`, { transport: "docker", name: `reg.io/x@${digest}` }],
  ["docker-daemon:x:latest", { transport: "docker-daemon", name: "x:latest" }],
  ["containers-storage:[overlay@/a+/b]x", { transport: "containers-storage", name: "[overlay@/a+/b]x" }],
  ["debian:12", { transport: "name", name: "debian:12" }],
  ["docker:dind", { transport: "name", name: "docker:dind" }],
  ["localhost:5000/x", { transport: "name", name: "localhost:5000/x" }],
  ["scratch", { transport: "name", name: "scratch" }],
];

test.each(cases)("%s", (text, expected, formatted = text) => {
  expect(parseTransport(text)).toEqual(expected);
  expect(formatTransport(expected)).toBe(formatted);
});

test.each([
  "oci:",
  "oci::x",
  "oci:/x:a b",
  "oci:/x:-a",
  "oci:/x:@",
  "oci:/x:@-1",
  "dir:",
  "docker-archive:/x:@a",
  "docker-archive:/x:UPPER",
  `docker-archive:/x:a@${digest}`,
  "docker://",
  `docker://x:t@${digest}`,
])("refuses %s", (text) => {
  expect(() => parseTransport(text)).toThrow(CooperError);
});
