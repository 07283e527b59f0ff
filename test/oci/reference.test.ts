// Protects the grammar of image names: what is accepted, how it is completed, what is refused and why.
import { describe, expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import {
  formatReference,
  type ImageReference,
  isFullId,
  isImageId,
  normaliseDockerName,
  normaliseName,
  parseReference,
} from "../../src/oci/reference.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}` as const;

const parsed: [string, ImageReference][] = [
  ["hello", { repository: "hello" }],
  ["hello:1.0", { repository: "hello", tag: "1.0" }],
  ["a/b/c", { repository: "a/b/c" }],
  ["localhost/hello", { registry: "localhost", repository: "hello" }],
  ["localhost:5000/x/y:t", { registry: "localhost:5000", repository: "x/y", tag: "t" }],
  ["reg.example.com/x", { registry: "reg.example.com", repository: "x" }],
  ["REG/x", { registry: "REG", repository: "x" }],
  ["[::1]:5000/x:t", { registry: "[::1]:5000", repository: "x", tag: "t" }],
  ["192.168.1.1/x", { registry: "192.168.1.1", repository: "x" }],
  [`reg:5000/x/y:t@${digest}`, { registry: "reg:5000", repository: "x/y", tag: "t", digest }],
  [`x@${digest}`, { repository: "x", digest }],
  ["a__b/c.d/e---f_g", { repository: "a__b/c.d/e---f_g" }],
  [`x:${"t".repeat(128)}`, { repository: "x", tag: "t".repeat(128) }],
  ["docker:dind", { repository: "docker", tag: "dind" }],
];

describe("parseReference", () => {
  test.each(parsed)("%s", (text, expected) => {
    expect(parseReference(text)).toEqual(expected);
    expect(formatReference(parseReference(text))).toBe(text);
  });

  const refused: [string, RegExp, RegExp?][] = [
    ["", /empty/],
    ["Hello", /upper-case/, /hello/],
    ["localhost/My-App", /"My-App" has upper-case/, /my-app/],
    ["x:", /tag "" is malformed/],
    ["x:-t", /tag/],
    [`x:${"t".repeat(129)}`, /tag/],
    ["x:a b", /tag/],
    ["a//b", /empty/],
    ["/a", /empty/],
    ["a/", /empty/],
    ["a___b", /"a___b" is malformed/],
    ["a..b", /malformed/],
    ["-a", /malformed/],
    ["a-", /malformed/],
    ["../etc", /host name|malformed/],
    ["a/../b", /malformed/],
    ["ho_st.x/y", /host name/],
    ["reg:port/x", /host name/],
    ["x@sha256:abc", /not a digest/],
    ["x@", /not a digest/],
    ["x\n", /malformed/],
    ["café", /malformed/],
    ["a".repeat(256), /255/],
  ];
  test.each(refused)("refuses %j", (...[text, message, hint]: (typeof refused)[number]) => {
    const error = catchError(() => parseReference(text));
    expect(error.code).toBe("usage");
    expect(error.message).toMatch(message);
    if (hint !== undefined) expect(error.hint).toMatch(hint);
  });

  test("digests of other algorithms are unsupported, not malformed", () => {
    expect(catchError(() => parseReference(`x@sha512:${"a".repeat(128)}`)).code).toBe("unsupported");
  });
});

function catchError(work: () => unknown): CooperError {
  try {
    work();
  } catch (error) {
    if (error instanceof CooperError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("completing names", () => {
  const names: [string, local: string, docker: string][] = [
    ["hello", "localhost/hello:latest", "docker.io/library/hello:latest"],
    ["x/y:1", "localhost/x/y:1", "docker.io/x/y:1"],
    ["docker.io/library/x:latest", "docker.io/library/x:latest", "docker.io/library/x:latest"],
    ["docker.io/debian", "docker.io/library/debian:latest", "docker.io/library/debian:latest"],
    ["index.docker.io/debian:12", "docker.io/library/debian:12", "docker.io/library/debian:12"],
    [`reg:5000/x/y:t@${digest}`, `reg:5000/x/y:t@${digest}`, `reg:5000/x/y:t@${digest}`],
    [`x@${digest}`, `localhost/x@${digest}`, `docker.io/library/x@${digest}`],
  ];
  test.each(names)("%s", (text, local, docker) => {
    expect(normaliseName(text)).toBe(local);
    expect(normaliseDockerName(text)).toBe(docker);
    expect(normaliseName(local)).toBe(local);
  });

  test("a name that is an image id is refused", () => {
    expect(catchError(() => normaliseName("a".repeat(64))).message).toMatch(/image id/);
  });
});

test("image ids", () => {
  expect(["cafe", "sha256:cafe", "a".repeat(64)].map(isImageId)).toEqual([true, true, true]);
  expect(["Cafe", "x", "", "a".repeat(65)].map(isImageId)).toEqual([false, false, false, false]);
  expect([digest, digest.slice(7), "cafe"].map(isFullId)).toEqual([true, true, false]);
});
