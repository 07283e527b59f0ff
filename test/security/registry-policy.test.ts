// Protects policy.json: what it rejects, and what it demands that nobody can verify, is not let in from anywhere.
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { CooperError } from "../../src/base/errors.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import { openSource } from "../../src/transport/open-transport.ts";
import { requireAllowed } from "../../src/transport/policy.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { failureOf } from "../transport/suite.ts";

const scratch = scratchDirectory("policy");
afterAll(() => scratch[Symbol.dispose]());
let count = 0;

function policy(content: unknown): string {
  const path = scratch.file(`policy-${count++}.json`);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}
const yes = [{ type: "insecureAcceptAnything" }];
const no = [{ type: "reject" }];

function refusal(path: string, location: string): CooperError | undefined {
  try {
    requireAllowed(parseTransport(location), path);
    return undefined;
  } catch (error) {
    if (error instanceof CooperError) return error;
    throw error;
  }
}

test.each<[string, Record<string, unknown>, boolean]>([
  ["docker://debian", {}, false],
  ["docker://debian", { docker: { "": yes } }, true],
  ["docker://debian", { docker: { "docker.io": yes } }, true],
  ["docker://debian", { docker: { "docker.io/library": yes } }, true],
  ["docker://debian", { docker: { "docker.io/library/debian": yes } }, true],
  ["docker://debian", { docker: { "docker.io/library/debian:latest": yes } }, true],
  ["docker://debian:12", { docker: { "docker.io/library/debian:latest": yes } }, false],
  ["docker://debian", { docker: { "docker.io/lib": yes } }, false],
  ["docker://debian", { docker: { "docker.io": yes, "docker.io/library/debian": no } }, false],
  ["docker://debian", { "docker-daemon": { "": yes } }, false],
  ["docker://a.b.example.com/x", { docker: { "*.example.com": yes } }, true],
  ["docker://a.b.example.com/x", { docker: { "*.example.com": yes, "*.b.example.com": no } }, false],
  ["docker://example.com/x", { docker: { "*.example.com": yes } }, false],
  ["oci:/data/x:1", { oci: { "/data": yes } }, true],
  ["oci:/data/x:1", { oci: { "/data": yes, "/data/x:1": no } }, false],
  ["dir:/data2/x", { dir: { "/data": yes } }, false],
  ["docker-archive:/x.tar", { "docker-archive": { "": yes } }, true],
  ["docker://debian", { docker: { "": [...yes, ...no] } }, false],
  ["docker://debian", { docker: { "": [{ type: "signedBy", keyType: "GPGKeys", keyPath: "/k" }] } }, false],
  ["docker://debian", { docker: { "": [{ type: "sigstoreSigned" }, ...yes] } }, false],
  ["docker://debian", { docker: { "": [{ type: "somethingNew" }] } }, false],
])("%s with %j: %p", (location, transports, isAllowed) => {
  const error = refusal(policy({ default: no, transports }), location);
  expect(error?.code).toBe((isAllowed ? undefined : "denied") as "denied");
  if (error !== undefined) expect(error.message).toContain("policy-");
});

test.each([
  ["no JSON", "{"],
  ["no default", { transports: {} }],
  ["no requirement", { default: [] }],
  ["an unknown member", { default: yes, transport: {} }],
  ["a requirement without a type", { default: [{}] }],
])("a policy with %s lets nothing in", (_name, content) => {
  expect(refusal(policy(content), "docker://debian")?.code).toBe("invalid");
});

test("a policy that was named must be there", () => {
  expect(refusal(scratch.file("none.json"), "docker://debian")?.code).toBe("not-found");
});

test("sources are not even opened", async () => {
  const signaturePolicy = policy({ default: no });
  for (const location of [
    "docker://127.0.0.1:1/x",
    "oci:/nowhere",
    "dir:/nowhere",
    "docker-archive:/nowhere",
  ])
    await failureOf(openSource(parseTransport(location), { signaturePolicy }), "denied");
});

test("the user's file is found", async () => {
  const home = process.env.HOME;
  mkdirSync(scratch.file("home/.config/containers"), { recursive: true });
  writeFileSync(scratch.file("home/.config/containers/policy.json"), JSON.stringify({ default: no }));
  try {
    process.env.HOME = scratch.file("home");
    await failureOf(openSource(parseTransport("dir:/nowhere")), "denied");
  } finally {
    if (home === undefined) delete process.env.HOME;
    else process.env.HOME = home;
  }
});
