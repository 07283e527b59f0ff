// Protects the ways to a registry: proxies and their exceptions, mirrors and rewrites, how much is sent at once.
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { CommandLine } from "../support/command-line.ts";
import { makeImage, type MadeImage } from "../support/make-image.ts";
import { MemoryRegistry } from "../transport/memory-registry.ts";
import {
  FaultProxy,
  makeCertificate,
  startRegistry,
  type TestRegistry,
} from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const line = new CommandLine("registry-ways");
let plain: TestRegistry;
let secure: MemoryRegistry;
let made: MadeImage;
let proxy: Server;
/** What the proxy was asked for. */
const asked: string[] = [];

beforeAll(async () => {
  plain = await startRegistry();
  const [cert, key] = [line.path("cert.pem"), line.path("key.pem")];
  makeCertificate(cert, key, "secure.test");
  secure = new MemoryRegistry({ tls: { cert, key } });
  line.file("certs/ca.crt", await Bun.file(cert).text());
  made = await makeImage(line.path("image"), {
    layers: [[{ path: "large", content: randomBytes(20_000_000) }], [{ path: "small", content: "1" }]],
  });
  proxy = forwardProxy();
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
});
beforeEach(() => {
  asked.length = 0;
});
afterAll(() => {
  proxy.close();
  for (const one of [plain, secure, line]) one[Symbol.dispose]();
});

/** Sends what is for plain.test to the plain registry, and opens tunnels for secure.test; nobody else is known to it. */
function forwardProxy(): Server {
  return createServer((client) => {
    client.on("error", () => {});
    client.once("data", (first) => {
      // What comes next waits for the pipe.
      client.pause();
      const [method, target] = first.toString("latin1").split(" ", 2) as [string, string];
      asked.push(`${method} ${target}`);
      const isTunnel = method === "CONNECT" && target.startsWith("secure.test:");
      const isForward = target.startsWith("http://plain.test:");
      if (!isTunnel && !isForward)
        return void client.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
      const upstream = connect(isTunnel ? Number(secure.host.split(":")[1]) : plain.port, "127.0.0.1", () => {
        if (isTunnel) client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        else {
          const head = first
            .toString("latin1")
            .replace(/http:\/\/[^/]+/, "")
            .replace(/\r\nconnection: [^\r]*/i, "")
            .replace("\r\n", "\r\nConnection: close\r\n");
          upstream.write(Buffer.from(head, "latin1"));
        }
        client.pipe(upstream).pipe(client);
      });
      upstream.on("error", () => client.destroy());
      client.on("close", () => upstream.destroy());
    });
  });
}

const proxyUrl = () => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
const INSECURE = ["--tls-verify=false", "--retry=0"];

describe("proxies", () => {
  const toPlain = () => `docker://plain.test:5000/proxied:1`;
  const toSecure = () => `docker://secure.test:5000/proxied:1`;
  const certs = () => ["--cert-dir", line.path("certs"), "--retry=0"];

  test("HTTP_PROXY: a registry without TLS", async () => {
    const env = { HTTP_PROXY: proxyUrl() };
    const pushed = await line.run(["image", "copy", "-q", ...INSECURE, made.reference, toPlain()], env);
    expect([pushed.stderr, pushed.stdout]).toEqual(["", made.descriptor.digest]);
    expect(asked.some((one) => one.startsWith("GET http://plain.test:5000/v2/"))).toBe(true);
    expect(asked.some((one) => one.startsWith("PUT http://plain.test:5000/v2/proxied/manifests/1"))).toBe(
      true,
    );
    expect((await line.run(["pull", "-q", ...INSECURE, toPlain()], env)).stdout).toBe(made.imageId);
  });

  test("HTTPS_PROXY: a tunnel, in which the registry's own certificate counts", async () => {
    const env = { HTTPS_PROXY: proxyUrl() };
    const pushed = await line.run(["image", "copy", "-q", ...certs(), made.reference, toSecure()], env);
    expect([pushed.stderr, pushed.stdout]).toEqual(["", made.descriptor.digest]);
    expect(new Set(asked)).toEqual(new Set(["CONNECT secure.test:5000"]));
    const untrusted = await line.run(["digest", "--retry=0", toSecure()], env);
    expect([untrusted.status, untrusted.stderr]).toEqual([
      125,
      expect.stringContaining("certificate is not trusted"),
    ]);
  });

  test.each(["secure.test", ".test", "*", "other.example,secure.test:5000"])(
    "NO_PROXY=%s",
    async (exception) => {
      const env = { HTTPS_PROXY: proxyUrl(), NO_PROXY: exception };
      const { status, stderr } = await line.run(["digest", ...certs(), toSecure()], env);
      expect([status, asked]).toEqual([125, []]);
      expect(stderr).toContain("the host is not known");
    },
  );

  test("one that is not there is told of", async () => {
    const { status, stderr } = await line.run(["digest", ...certs(), toSecure()], {
      HTTPS_PROXY: "http://127.0.0.1:1",
    });
    expect([status, stderr]).toEqual([125, expect.stringContaining("docker://secure.test:5000/proxied")]);
  });
});

describe("mirrors and rewrites", () => {
  const configure = (text: string) => ({ CONTAINERS_REGISTRIES_CONF: line.file("mirrors.conf", text) });
  const mirrored = (...mirrors: string[]) =>
    configure(
      `[[registry]]\nprefix = "upstream.invalid/team"\nlocation = "${plain.host}/origin"\ninsecure = true\n${mirrors
        .map((location) => `[[registry.mirror]]\nlocation = "${location}"\ninsecure = true\n`)
        .join("")}`,
    );
  const name = "upstream.invalid/team/app:1";
  const digest = (env: Record<string, string>) => line.run(["digest", "--retry=0", `docker://${name}`], env);

  test("the first mirror that has it; then the others; then the location", async () => {
    using mirror = new MemoryRegistry();
    const put = (host: string, path: string) =>
      line.ok("image", "copy", "-q", ...INSECURE, made.reference, `docker://${host}/${path}/app:1`);
    await put(plain.host, "origin");
    const empty = await digest(mirrored("127.0.0.1:1/x", `${mirror.host}/copies`));
    expect(empty.stdout).toBe(made.descriptor.digest);
    expect(empty.stderr).toMatch(
      /127\.0\.0\.1:1.*trying the next place[\s\S]*copies\/app.*trying the next place/,
    );
    await put(mirror.host, "copies");
    const before = mirror.count(/GET .*manifests/);
    expect((await digest(mirrored("127.0.0.1:1/x", `${mirror.host}/copies`))).stdout).toBe(
      made.descriptor.digest,
    );
    expect(mirror.count(/GET .*manifests/)).toBe(before + 1);
    const pulled = await line.run(["pull", "-q", `docker://${name}`], mirrored(`${mirror.host}/copies`));
    expect(pulled.stdout).toBe(made.imageId);
    // Its name stays the one that was asked for.
    expect(await line.ok("digest", name)).toBe(made.descriptor.digest);
  });

  test("nobody has it: every place is told", async () => {
    const env = mirrored("127.0.0.1:1/x");
    const { status, stderr } = await line.run(
      ["digest", "--retry=0", "docker://upstream.invalid/team/none:1"],
      env,
    );
    expect(status).toBe(125);
    expect(stderr).toContain(`docker://${plain.host}/origin/none: the registry answered 404`);
    expect(stderr).toContain(
      "before, Cannot read manifest 1 of docker://127.0.0.1:1/x/none: the connection was refused",
    );
  });
});

test("a small blob is sent in one request, a large one in chunks", async () => {
  using between = await FaultProxy.start(plain.port);
  await line.ok("image", "copy", "-q", ...INSECURE, made.reference, `docker://${between.host}/sent:1`);
  const sizes = between.seen
    .filter(({ method }) => method === "PATCH" || method === "PUT")
    .filter(({ path }) => path.includes("/uploads/"))
    .map(({ method, head }) => `${method} ${/^content-length: (\d+)/im.exec(head)?.[1]}`);
  const [large, small] = made.manifest.layers.map(({ size }) => size) as [number, number];
  // 8 MiB at a time, and an empty request that ends it.
  expect(sizes.filter((one) => one.startsWith("PATCH"))).toEqual([
    `PATCH ${8 << 20}`,
    `PATCH ${8 << 20}`,
    `PATCH ${large - (16 << 20)}`,
  ]);
  expect(sizes.filter((one) => one.startsWith("PUT")).sort()).toEqual(
    ["PUT 0", `PUT ${small}`, `PUT ${made.manifest.config.size}`].sort(),
  );
  expect(between.count(/POST .*uploads/)).toBe(3);
});

test("Docker's schema 1 is refused by name", async () => {
  const document = JSON.stringify({ schemaVersion: 1, name: "old", tag: "1", fsLayers: [], history: [] });
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () =>
      new Response(document, {
        headers: { "Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws" },
      }),
  });
  for (const command of [
    ["pull", "-q"],
    ["image", "inspect"],
  ]) {
    const { status, stderr } = await line.run([
      ...command,
      ...INSECURE,
      `docker://127.0.0.1:${server.port}/old:1`,
    ]);
    expect(status).toBe(125);
    expect(stderr).toMatch(
      /docker:\/\/127\.0\.0\.1:\d+\/old:1 is a Docker schema 1 manifest, a format that was withdrawn/,
    );
    expect(stderr).toContain("Hint: push the image again with a current tool");
  }
});
