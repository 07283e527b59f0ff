// Protects transfers over bad networks: what passes is repeated or resumed, what is damaged is never accepted.
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import { copyImage, type CopyImageOptions } from "../../src/transport/copy-image.ts";
import { openSource, openTarget } from "../../src/transport/open-transport.ts";
import { validateImage } from "../../src/transport/validate.ts";
import { type MadeImage, makeImage } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { type Fault, FaultProxy, startRegistry, type TestRegistry } from "./registry-server.ts";
import { failureOf } from "./suite.ts";

setDefaultTimeout(60_000);
const scratch = scratchDirectory("registry-faults");
let registry: TestRegistry;
let proxy: FaultProxy;
let made: MadeImage;
let count = 0;

beforeAll(async () => {
  registry = await startRegistry();
  made = await makeImage(scratch.file("from"), {
    layers: [
      [{ path: "noise", content: randomBytes(20_000_000) }],
      [{ path: "small", content: randomBytes(100_000) }],
    ],
  });
});
beforeEach(async () => {
  proxy = await FaultProxy.start(registry.port);
  count++;
});
afterAll(() => {
  registry[Symbol.dispose]();
  scratch[Symbol.dispose]();
});

const location = (host: string) => `docker://${host}/faults/n${count}:1`;
const layout = () => scratch.file(`to-${count}`);

async function copy(from: string, to: string, options: CopyImageOptions = {}) {
  const warnings: string[] = [];
  const settings = { tlsVerify: false, retryDelay: 5, onWarning: (text: string) => warnings.push(text) };
  await using source = await openSource(parseTransport(from), settings);
  await using target = await openTarget(parseTransport(to), settings);
  return { ...(await copyImage(source, target, options)), warnings };
}

const busy = (status: number): Fault => ({ kind: "answer", status, headers: { "Retry-After": "0" } });

describe("pulling through", () => {
  const faults: [string, RegExp, Fault, number][] = [
    ["a manifest's dropped connection", /GET .*manifests/, { kind: "drop" }, 2],
    ["half a manifest", /GET .*manifests/, { kind: "truncate", after: 100 }, 2],
    ["429", /GET .*manifests/, busy(429), 3],
    ["500", /GET .*blobs/, busy(500), 2],
    ["502", /GET .*blobs/, busy(502), 1],
    ["a blob's dropped connections", /GET .*blobs/, { kind: "drop" }, 3],
    ["blobs that break off", /GET .*blobs/, { kind: "truncate", after: 70_000 }, 3],
    ["a large blob that breaks off late", /GET .*blobs/, { kind: "truncate", after: 9_000_000 }, 2],
    [
      "a registry without ranges",
      /GET .*blobs/,
      { kind: "head", change: (head) => head.replace(/Accept-Ranges: bytes\r\n/i, "") },
      1,
    ],
  ];
  test.each(faults)("%s", async (_name, match, fault, times) => {
    await copy(made.reference, location(registry.host));
    proxy.fail(match, fault, times);
    const { root, warnings } = await copy(location(proxy.host), `oci:${layout()}:x`);
    expect(root.digest).toBe(made.descriptor.digest);
    expect(proxy.pending).toBe(0);
    if (fault.kind !== "head") expect(warnings.length).toBeGreaterThan(0);
    await using source = await openSource(parseTransport(`oci:${layout()}:x`));
    expect(await validateImage(source)).toHaveLength(1);
  });

  test("a resumed blob is asked for from where it broke off", async () => {
    await copy(made.reference, location(registry.host));
    proxy.fail(new RegExp(`GET .*${made.manifest.layers[0]!.digest}`), {
      kind: "truncate",
      after: 9_000_000,
    });
    await copy(location(proxy.host), `oci:${layout()}:x`, { concurrency: 1 });
    const ranges = proxy.seen.flatMap(({ head }) => /^range: (.*)$/im.exec(head)?.[1]?.trim() ?? []);
    expect(ranges).toHaveLength(1);
    expect(Number(/^bytes=(\d+)-$/.exec(ranges[0]!)![1])).toBeGreaterThan(0);
    // What had arrived before the break was not all sent again.
    expect(proxy.sent).toBeLessThan(29_000_000);
  });

  test("a registry that ignores ranges: the beginning is skipped", async () => {
    await copy(made.reference, location(registry.host));
    const layer = made.manifest.layers[0]!;
    const whole = Buffer.from(
      await Bun.file(`${scratch.file("from")}/blobs/${layer.digest.replace(":", "/")}`).arrayBuffer(),
    );
    proxy.fail(new RegExp(`GET .*${layer.digest}`), { kind: "truncate", after: 5_000_000 });
    proxy.fail(new RegExp(`GET .*${layer.digest}`), {
      kind: "answer",
      status: 200,
      body: whole.toString("latin1"),
    });
    const { root } = await copy(location(proxy.host), `oci:${layout()}:x`);
    expect(root.digest).toBe(made.descriptor.digest);
    expect(proxy.pending).toBe(0);
  });
});

describe("pushing through", () => {
  const faults: [string, RegExp, Fault, number][] = [
    ["503 at the start", /POST /, busy(503), 2],
    ["a dropped start", /POST /, { kind: "drop" }, 2],
    ["a lost answer to the start", /POST /, { kind: "lose-answer" }, 1],
    ["a chunk's dropped connection", /PATCH /, { kind: "drop" }, 2],
    ["a chunk that breaks off", /PATCH /, { kind: "drop-upload", after: 3_000_000 }, 2],
    ["a lost answer to a chunk", /PATCH /, { kind: "lose-answer" }, 1],
    ["500 for a chunk", /PATCH /, busy(500), 1],
    ["a whole blob that breaks off", /PUT .*uploads/, { kind: "drop-upload", after: 400 }, 1],
    ["a lost answer to the end", /PUT .*uploads/, { kind: "lose-answer" }, 3],
    ["429 at the end", /PUT .*uploads/, busy(429), 3],
    ["a dropped manifest", /PUT .*manifests/, { kind: "drop" }, 2],
    ["a lost answer to the manifest", /PUT .*manifests/, { kind: "lose-answer" }, 1],
    ["a question that is not answered", /HEAD .*blobs/, { kind: "drop" }, 3],
  ];
  test.each(faults)("%s", async (_name, match, fault, times) => {
    proxy.fail(match, fault, times);
    const { root } = await copy(made.reference, location(proxy.host));
    expect(root.digest).toBe(made.descriptor.digest);
    expect(proxy.pending).toBe(0);
    await using source = await openSource(parseTransport(location(registry.host)), { tlsVerify: false });
    expect(await validateImage(source)).toHaveLength(1);
  });
});

describe("given up", () => {
  test.each<[string, RegExp, Fault, RegExp]>([
    ["500 for ever", /GET .*manifests/, busy(500), /answered 500/],
    ["429 for ever", /GET .*blobs/, busy(429), /answered 429/],
    [
      "a long wait",
      /GET .*manifests/,
      { kind: "answer", status: 429, headers: { "Retry-After": "9000" } },
      /429/,
    ],
    ["drops for ever", /GET .*blobs/, { kind: "drop" }, /connection was dropped/],
  ])("%s", async (_name, match, fault, message) => {
    await copy(made.reference, location(registry.host));
    proxy.fail(match, fault, Number.POSITIVE_INFINITY);
    const error = await failureOf(copy(location(proxy.host), `oci:${layout()}:x`), "system");
    expect(error.message).toMatch(message);
    expect(error.message).toContain(location(proxy.host).replace(/:1$/, ""));
    expect(error.hint).toBeDefined();
    expect(existsSync(layout())).toBe(false);
  });

  test("a long wait says how long", async () => {
    proxy.fail(/GET/, { kind: "answer", status: 429, headers: { "Retry-After": "9000" } }, 9);
    const error = await failureOf(copy(location(proxy.host), `oci:${layout()}:x`), "system");
    // The question whether there is TLS is answered by anything.
    expect(error.hint).toContain("9000 seconds");
  });

  test("a push that fails names nothing", async () => {
    proxy.fail(/PATCH /, { kind: "answer", status: 403 }, Number.POSITIVE_INFINITY);
    const error = await failureOf(copy(made.reference, location(proxy.host)), "denied");
    expect(error.hint).toContain("permission to push to");
    await failureOf(copy(location(registry.host), `oci:${layout()}:x`), "not-found");
  });
});

describe("damaged on the way", () => {
  const size = () => made.manifest.layers[0]!.size;
  test.each<[string, RegExp, () => Fault]>([
    ["a manifest", /GET .*manifests/, () => ({ kind: "corrupt", at: 30 })],
    ["a layer's first byte", /GET .*blobs/, () => ({ kind: "corrupt", at: 0 })],
    ["a layer's last byte", /GET .*blobs/, () => ({ kind: "corrupt", at: size() - 1 })],
  ])("%s", async (_name, match, fault) => {
    await copy(made.reference, location(registry.host));
    proxy.fail(match, fault(), Number.POSITIVE_INFINITY);
    await failureOf(copy(location(proxy.host), `oci:${layout()}:x`), "integrity");
    expect(existsSync(layout())).toBe(false);
  });

  test("a blob that was stored otherwise than it was sent", async () => {
    proxy.fail(/PUT .*manifests/, {
      kind: "head",
      change: (head) => head.replace(/sha256:[0-9a-f]{64}/g, `sha256:${"0".repeat(64)}`),
    });
    await failureOf(copy(made.reference, location(proxy.host)), "integrity");
  });
});

test("a pull is cancelled while it waits for a registry", async () => {
  using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const signal = AbortSignal.timeout(200);
  const source = await openSource(parseTransport(`docker://127.0.0.1:${silent.port}/x:1`), { signal });
  const started = performance.now();
  await failureOf(source.resolve(), "cancelled");
  expect(performance.now() - started).toBeLessThan(3000);
});

describe("a copy is given up while the registry is silent", () => {
  // The download itself would wait a minute for a byte.
  test.each([
    ["before it answers", 0],
    ["in the middle of a layer", 300_000],
  ])("%s: by the caller", async (_, after) => {
    await copy(made.reference, location(registry.host));
    proxy.fail(/GET .*blobs/, { kind: "stall", after }, Number.POSITIVE_INFINITY);
    const abort = new AbortController();
    const copying = copy(location(proxy.host), `oci:${layout()}:x`, { signal: abort.signal });
    copying.catch(() => {});
    while (proxy.count(/GET .*blobs/) === 0) await Bun.sleep(10);
    await Bun.sleep(100);
    abort.abort(new Error("enough"));
    const aborted = performance.now();
    await failureOf(copying, "cancelled");
    expect(performance.now() - aborted).toBeLessThan(10_000);
    expect(existsSync(layout())).toBe(false);
  });

  test.each([
    ["before it answers", 0],
    ["in the middle of a layer", 300_000],
  ])("%s: because another layer is damaged", async (_, after) => {
    await copy(made.reference, location(registry.host));
    const [large, small] = made.layers.map(({ descriptor }) => descriptor.digest);
    proxy.fail(new RegExp(`GET .*blobs/${large}`), { kind: "stall", after }, Number.POSITIVE_INFINITY);
    proxy.fail(new RegExp(`GET .*blobs/${small}`), { kind: "corrupt", at: 50_000 }, Number.POSITIVE_INFINITY);
    const started = performance.now();
    await failureOf(copy(location(proxy.host), `oci:${layout()}:x`), "integrity");
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(existsSync(layout())).toBe(false);
  });
});
