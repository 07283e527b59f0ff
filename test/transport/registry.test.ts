// Protects docker:// on a real registry: the transport contract, digests beside skopeo's, mounts, known layers, errors.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { digestOf } from "../../src/base/digest.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import { copyImage, type CopyImageOptions } from "../../src/transport/copy-image.ts";
import { openSource, openTarget } from "../../src/transport/open-transport.ts";
import type { RegistrySettings } from "../../src/transport/registry/settings.ts";
import { listTags } from "../../src/transport/registry/list-tags.ts";
import { validateImage } from "../../src/transport/validate.ts";
import { makeImage, makeIndex } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { FaultProxy, makeCertificate, startRegistry, type TestRegistry } from "./registry-server.ts";
import { contents, failureOf, transportSuite } from "./suite.ts";

setDefaultTimeout(60_000);
const scratch = scratchDirectory("registry-test");
const saved = { ...process.env };
let plain: TestRegistry;
let secure: TestRegistry;

beforeAll(async () => {
  [plain, secure] = await Promise.all([
    startRegistry(),
    startRegistry({ tls: true, users: { kim: "s3cret:with:colons" } }),
  ]);
  writeFileSync(
    scratch.file("registries.conf"),
    `[[registry]]\nlocation = "${plain.host}"\ninsecure = true\n[[registry]]\nlocation = "127.0.0.1:1"\ninsecure = true\n`,
  );
  process.env.CONTAINERS_REGISTRIES_CONF = scratch.file("registries.conf");
  process.env.HOME = scratch.path;
  process.env.REGISTRY_AUTH_FILE = scratch.file("auth.json");
  mkdirSync(scratch.file("certs"));
  writeFileSync(scratch.file("certs/ca.crt"), await Bun.file(secure.ca).text());
});
afterAll(() => {
  for (const name of ["CONTAINERS_REGISTRIES_CONF", "HOME", "REGISTRY_AUTH_FILE"]) {
    if (saved[name] === undefined) delete process.env[name];
    else process.env[name] = saved[name];
  }
  plain[Symbol.dispose]();
  secure[Symbol.dispose]();
  scratch[Symbol.dispose]();
});

async function copy(
  from: string,
  to: string,
  settings: RegistrySettings = {},
  options: CopyImageOptions = {},
) {
  await using source = await openSource(parseTransport(from), settings);
  await using target = await openTarget(parseTransport(to), settings);
  return await copyImage(source, target, options);
}

const tool = (...argv: string[]) => {
  const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
  return stdout.trim();
};
const skopeo = (...args: string[]) => tool("skopeo", "--insecure-policy", ...args);

transportSuite({
  transport: "docker",
  at: (directory) =>
    directory.endsWith("index.json")
      ? "docker://127.0.0.1:1/nobody:v1"
      : `docker://${plain.host}/suite/${createHash("md5").update(directory).digest("hex")}:v1`,
  keepsDigests: true,
  holdsIndexes: true,
});

/** A layer that takes several chunks to send. */
const large = { layers: [[{ path: "noise", content: randomBytes(20_000_000) }]] };

describe("beside skopeo", () => {
  test.each(["oci", "docker"] as const)(
    "%s images that we push, it copies, and the reverse",
    async (format) => {
      const made = await makeImage(scratch.file(`skopeo-${format}`), { ...large, format });
      const ours = `docker://${plain.host}/interop/${format}:ours`;
      const { root } = await copy(made.reference, ours);
      expect(root.digest).toBe(made.descriptor.digest);
      const inspected = JSON.parse(skopeo("inspect", "--tls-verify=false", ours)) as { Digest: string };
      expect(inspected.Digest).toBe(root.digest);
      const theirs = `docker://${plain.host}/interop/${format}-back:theirs`;
      skopeo("copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", ours, theirs);
      const back = await copy(theirs, `dir:${scratch.file(`back-${format}`)}`);
      expect(back.root.digest).toBe(root.digest);
      await using source = await openSource(parseTransport(`dir:${scratch.file(`back-${format}`)}`));
      expect(await validateImage(source)).toHaveLength(1);
    },
  );

  test("an index: all of it, and one platform", async () => {
    const index = await makeIndex(scratch.file("index"), [
      { platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a", content: "1" }]] },
      { platform: { os: "linux", architecture: "s390x" }, layers: [[{ path: "a", content: "2" }]] },
    ]);
    const there = `docker://${plain.host}/interop/index:all`;
    const { root } = await copy(index.reference, there, {}, { all: true });
    expect(root.digest).toBe(index.descriptor.digest);
    const raw = `${skopeo("inspect", "--raw", "--tls-verify=false", there)}`;
    expect(digestOf(raw)).toBe(root.digest);
    const one = await copy(
      there,
      `oci:${scratch.file("one")}:x`,
      {},
      {
        platform: { os: "linux", architecture: "s390x" },
      },
    );
    expect(one.manifest.digest).toBe(index.images[1]!.descriptor.digest);
    const pinned = `docker://${plain.host}/interop/index@${root.digest}`;
    expect((await copy(pinned, `oci:${scratch.file("pinned")}:x`, {}, { all: true })).root.digest).toBe(
      root.digest,
    );
  });

  test("layers that are compressed anew", async () => {
    const made = await makeImage(scratch.file("plain-layers"), { ...large, compression: "none" });
    const there = `docker://${plain.host}/interop/zstd:x`;
    const { root } = await copy(made.reference, there, {}, { compression: "zstd" });
    expect(root.digest).not.toBe(made.descriptor.digest);
    skopeo("copy", "-q", "--src-tls-verify=false", there, `oci:${scratch.file("zstd-back")}:x`);
    await using source = await openSource(parseTransport(`oci:${scratch.file("zstd-back")}:x`));
    expect(await validateImage(source)).toHaveLength(1);
  });
});

describe("what need not be sent", () => {
  test("a second push sends no blob and no upload is begun", async () => {
    using proxy = await FaultProxy.start(plain.port);
    const made = await makeImage(scratch.file("twice"), contents);
    const there = `docker://${proxy.host}/twice/x:1`;
    await copy(made.reference, there, { tlsVerify: false });
    const uploads = proxy.count(/^(POST|PATCH|PUT) .*\/blobs\//);
    expect(uploads).toBeGreaterThan(0);
    await copy(made.reference, there, { tlsVerify: false });
    expect(proxy.count(/^(POST|PATCH|PUT) .*\/blobs\//)).toBe(uploads);
  });

  test("layers of another repository are mounted", async () => {
    using proxy = await FaultProxy.start(plain.port);
    const made = await makeImage(scratch.file("mounted"), large);
    await copy(made.reference, `docker://${proxy.host}/mount/from:1`, { tlsVerify: false });
    const before = proxy.count(/^(PATCH|PUT) .*\/blobs\//);
    await copy(made.reference, `docker://${proxy.host}/mount/to:1`, {
      tlsVerify: false,
      mountFrom: [`${proxy.host}/mount/nothing`, `${proxy.host}/mount/from`, "elsewhere.example/x"],
    });
    // Only the config is sent.
    expect(proxy.count(/^(PATCH|PUT) .*\/blobs\//)).toBe(before + 1);
    expect(proxy.count(/^POST .*mount=/)).toBe(2);
    expect(proxy.count(/elsewhere/)).toBe(0);
  });

  test("a layer that was compressed before is not compressed again", async () => {
    const made = await makeImage(scratch.file("known"), { ...large, compression: "none" });
    const known = new Map<string, { digest: `sha256:${string}`; size: number }[]>();
    const settings: RegistrySettings = {
      knownBlobs: (diffId) => known.get(diffId) ?? [],
      rememberBlob: (diffId, _type, blob) => known.set(diffId, [blob]),
    };
    using proxy = await FaultProxy.start(plain.port);
    settings.tlsVerify = false;
    const there = `docker://${proxy.host}/known/x`;
    const first = await copy(made.reference, `${there}:1`, settings, { compression: "gzip" });
    const sent = proxy.count(/^(POST|PATCH|PUT) .*\/blobs\//);
    const second = await copy(made.reference, `${there}:2`, settings, { compression: "gzip" });
    expect(second.root.digest).toBe(first.root.digest);
    expect(sent).toBeGreaterThan(3);
    expect(proxy.count(/^(POST|PATCH|PUT) .*\/blobs\//)).toBe(sent);
  });

  test("a config of a large image costs little", async () => {
    using proxy = await FaultProxy.start(plain.port);
    const made = await makeImage(scratch.file("inspect"), large);
    await copy(made.reference, `docker://${plain.host}/inspect/x:1`);
    await using source = await openSource(parseTransport(`docker://${proxy.host}/inspect/x:1`), {
      tlsVerify: false,
    });
    await source.resolve();
    await Array.fromAsync(await source.fetch(made.manifest.config));
    expect(proxy.sent).toBeLessThan(10_000);
  });
});

describe("TLS and passwords", () => {
  const there = () => `docker://${secure.host}/team/app:1`;
  const creds = "kim:s3cret:with:colons";
  const certDir = scratch.file("certs");

  test("push and pull, by --creds and by file", async () => {
    const made = await makeImage(scratch.file("secure"), contents);
    const { root } = await copy(made.reference, there(), { creds, certDir });
    const authFile = scratch.file("team.json");
    const auth = Buffer.from(creds).toString("base64");
    writeFileSync(
      authFile,
      JSON.stringify({ auths: { [secure.host]: { auth: "eDp5" }, [`${secure.host}/team`]: { auth } } }),
    );
    const back = await copy(there(), `oci:${scratch.file("secure-back")}:x`, { authFile, certDir });
    expect(back.root.digest).toBe(root.digest);
    const withoutChecks = { creds, tlsVerify: false };
    expect((await copy(there(), `oci:${scratch.file("secure-2")}:x`, withoutChecks)).root.digest).toBe(
      root.digest,
    );
  });

  test.each<[string, RegistrySettings, string, RegExp, RegExp]>([
    ["nobody", { certDir }, "denied", /401 \(UNAUTHORIZED/, /log in/],
    ["a wrong password", { certDir, creds: "kim:s3cretive" }, "denied", /401/, /--creds were not accepted/],
    ["an unknown CA", { creds }, "system", /certificate is not trusted/, /ca\.crt/],
    [
      "TLS that is insisted on",
      { creds, tlsVerify: true },
      "system",
      /certificate is not trusted/,
      /--cert-dir/,
    ],
    ["an auth file that is not there", { authFile: "/nowhere", certDir }, "not-found", /\/nowhere/, /^$/],
  ])("%s", async (_name, settings, code, message, hint) => {
    const error = await failureOf(
      copy(there(), `oci:${scratch.file("refused")}:x`, settings),
      code as "denied",
    );
    expect(error.message).toMatch(message);
    expect(error.hint ?? "").toMatch(hint);
    if (code !== "not-found") expect(error.message).toContain(there().replace(":1", ""));
    expect(`${error.message} ${error.hint}`).not.toContain("s3cret");
  });

  test("a certificate for another name", async () => {
    makeCertificate(scratch.file("other.pem"), scratch.file("other.key"), "other.example");
    mkdirSync(scratch.file("other-certs"));
    writeFileSync(scratch.file("other-certs/ca.crt"), await Bun.file(scratch.file("other.pem")).text());
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: { cert: Bun.file(scratch.file("other.pem")), key: Bun.file(scratch.file("other.key")) },
      fetch: () => new Response("{}"),
    });
    const error = await failureOf(
      copy(`docker://localhost:${server.port}/x:1`, `oci:${scratch.file("refused")}:x`, {
        certDir: scratch.file("other-certs"),
      }),
      "system",
    );
    expect(error.message).toContain("another host name");
  });
});

describe("what is wrong is said", () => {
  const settings = { retries: 0 };
  test.each<[string, () => string, string, RegExp, RegExp]>([
    [
      "an unknown name",
      () => `docker://${plain.host}/no/such:1`,
      "not-found",
      /manifest 1 of docker:\/\/.*\/no\/such: .*404/,
      /list-tags/,
    ],
    [
      "an unknown digest",
      () => `docker://${plain.host}/no/such@${digestOf("x")}`,
      "not-found",
      /404/,
      /list-tags/,
    ],
    ["nobody there", () => "docker://127.0.0.1:1/x:1", "system", /refused/, /is a registry running/],
    [
      "an unknown host",
      () => "docker://nowhere.invalid/x:1",
      "system",
      /host is not known/,
      /check the name nowhere\.invalid/,
    ],
    [
      "HTTP where TLS is expected",
      () => `docker://localhost:${plain.port}/x:1`,
      "system",
      /TLS handshake/,
      /--tls-verify=false/,
    ],
  ])("%s", async (_name, from, code, message, hint) => {
    const error = await failureOf(copy(from(), `oci:${scratch.file("none")}:x`, settings), code as "system");
    expect(error.message).toMatch(message);
    expect(error.hint ?? "").toMatch(hint);
  });

  test("a digest that is not the image's cannot be pushed to", async () => {
    const made = await makeImage(scratch.file("digest"), contents);
    const right = `docker://${plain.host}/by/digest@${made.descriptor.digest}`;
    expect((await copy(made.reference, right)).root.digest).toBe(made.descriptor.digest);
    await failureOf(copy(made.reference, `docker://${plain.host}/by/digest@${digestOf("x")}`), "usage");
  });
});

describe("tags", () => {
  test("of a repository", async () => {
    const made = await makeImage(scratch.file("tags"), contents);
    const names = ["a", "b", "c"];
    for (const tag of names) await copy(made.reference, `docker://${plain.host}/tags/x:${tag}`);
    expect((await listTags(`${plain.host}/tags/x`)).sort()).toEqual(names);
    await failureOf(listTags(`${plain.host}/tags/none`), "not-found");
  });

  test("page by page", async () => {
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        const last = new URL(request.url).searchParams.get("last");
        if (last === "b") return Response.json({ name: "x", tags: ["c"] });
        return Response.json(
          { name: "x", tags: ["a", "b"] },
          { headers: { Link: `</v2/x/tags/list?n=2&last=b>; rel="next"` } },
        );
      },
    });
    expect(await listTags(`127.0.0.1:${server.port}/x`, { tlsVerify: false })).toEqual(["a", "b", "c"]);
  });
});
