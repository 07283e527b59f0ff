// Protects against registries that are hostile, or that somebody stands before: no secret leaves, no lie is believed.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import type { CooperError } from "../../src/base/errors.ts";
import { copyImage } from "../../src/transport/copy-image.ts";
import { openOciLayoutTarget } from "../../src/transport/oci-layout.ts";
import { exchange } from "../../src/transport/registry/exchange.ts";
import { listTags } from "../../src/transport/registry/list-tags.ts";
import { openRegistrySource } from "../../src/transport/registry/registry-source.ts";
import { openRegistryTarget } from "../../src/transport/registry/registry-target.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { failureOf } from "../transport/suite.ts";

const PASSWORD = "pass-word-xyz";
const creds = `kim:${PASSWORD}`;
const encoded = btoa(creds);
const scratch = scratchDirectory("registry-hostile");
const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`;
const asIndex = { "Content-Type": "application/vnd.oci.image.index.v1+json" };

/** Requests that another host got. */
const leaked: { url: string; authorization: string | null }[] = [];
let other: ReturnType<typeof Bun.serve>;
beforeAll(() => {
  other = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      leaked.push({ url: request.url, authorization: request.headers.get("authorization") });
      return new Response(index, { headers: asIndex });
    },
  });
});
afterAll(() => {
  void other.stop(true);
  scratch[Symbol.dispose]();
});

type Handler = (request: Request, url: URL) => Response | Promise<Response>;

/** A registry that wants a password and then does as it likes. */
function registry(handler: Handler) {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      if (request.headers.get("authorization") === `Basic ${encoded}`)
        return handler(request, new URL(request.url));
      return new Response(null, { status: 401, headers: { "WWW-Authenticate": `Basic realm="x"` } });
    },
  });
  const settings = { tlsVerify: false, creds, retries: 1, retryDelay: 1 };
  const name = `127.0.0.1:${server.port}/x:1`;
  return {
    name,
    settings,
    source: () => openRegistrySource(name, settings),
    target: () => openRegistryTarget(name, settings),
    [Symbol.dispose]: () => void server.stop(true),
  };
}

const redirect = (to: string, status = 307) => new Response(null, { status, headers: { Location: to } });
const elsewhere = (path = "/") => `http://127.0.0.1:${other.port}${path}`;
const tells = (error: CooperError) => `${error.message} ${error.hint} ${JSON.stringify(error.cause)}`;

describe("credentials stay", () => {
  test.each([301, 302, 303, 307, 308])("a redirect (%d) to another host", async (status) => {
    leaked.length = 0;
    using there = registry(() => redirect(elsewhere("/blob"), status));
    await there.source().resolve();
    expect(leaked).toEqual([{ url: elsewhere("/blob"), authorization: null }]);
  });

  test("a redirect there and back", async () => {
    leaked.length = 0;
    const back: (string | null)[] = [];
    const home: ReturnType<typeof Bun.serve> = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request): Response {
        const authorization = request.headers.get("authorization");
        if (new URL(request.url).pathname === "/again") {
          back.push(authorization);
          return new Response(index, { headers: asIndex });
        }
        if (authorization === null)
          return new Response(null, { status: 401, headers: { "WWW-Authenticate": "Basic" } });
        return redirect(`http://localhost:${home.port}/again`);
      },
    });
    await openRegistrySource(`127.0.0.1:${home.port}/x:1`, { tlsVerify: false, creds }).resolve();
    expect(back).toEqual([null]);
    await home.stop(true);
  });

  test("an upload elsewhere, tags elsewhere", async () => {
    leaked.length = 0;
    using there = registry((request) => {
      if (request.method === "POST") return redirect(elsewhere("/upload"), 202);
      if (request.method === "HEAD") return new Response(null, { status: 404 });
      return Response.json({ tags: ["a"] }, { headers: { Link: `<${elsewhere("/more")}>; rel="next"` } });
    });
    const content = (async function* () {
      yield Buffer.from("hello");
    })();
    const blob = { digest: digestOf("hello"), size: 5 };
    await there
      .target()
      .push(content, blob)
      .catch(() => {});
    await listTags(there.name.replace(/:1$/, ""), there.settings).catch(() => {});
    expect(leaked.length).toBeGreaterThanOrEqual(2);
    expect(leaked.map(({ authorization }) => authorization)).toEqual(leaked.map(() => null));
  });

  test("--creds are not for mirrors", async () => {
    leaked.length = 0;
    using there = registry(() => new Response(index, { headers: asIndex }));
    const saved = process.env.CONTAINERS_REGISTRIES_CONF;
    const conf = scratch.file("mirror.conf");
    const [host] = there.name.split("/");
    await Bun.write(
      conf,
      `[[registry]]\nlocation = "${host}"\ninsecure = true\n[[registry.mirror]]\nlocation = "127.0.0.1:${wanting.port}"\ninsecure = true\n`,
    );
    try {
      process.env.CONTAINERS_REGISTRIES_CONF = conf;
      await openRegistrySource(there.name, { creds, retries: 0 }).resolve();
    } finally {
      if (saved === undefined) delete process.env.CONTAINERS_REGISTRIES_CONF;
      else process.env.CONTAINERS_REGISTRIES_CONF = saved;
    }
    expect(asked.length).toBeGreaterThan(0);
    expect(asked).toEqual(asked.map(() => null));
  });

  test("what a registry says of them is not printed", async () => {
    using there = registry(() =>
      Response.json(
        { errors: [{ code: "DENIED", message: `no ${PASSWORD} ${encoded}\u001b[31m` }] },
        { status: 403 },
      ),
    );
    const error = await failureOf(there.source().resolve(), "denied");
    expect(error.message).toContain("DENIED: no [secret]");
    expect(tells(error)).not.toContain(PASSWORD);
    expect(tells(error)).not.toContain(encoded);
    expect(error.message).not.toContain("\u001b");
  });
});

/** A mirror that wants credentials. */
const asked: (string | null)[] = [];
let wanting: ReturnType<typeof Bun.serve>;
beforeAll(() => {
  wanting = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      asked.push(request.headers.get("authorization"));
      return new Response(null, { status: 401, headers: { "WWW-Authenticate": "Basic" } });
    },
  });
});
afterAll(() => void wanting.stop(true));

describe("what a verified registry may not do", () => {
  const tls = () => {
    const [cert, key] = [scratch.file("c.pem"), scratch.file("k.pem")];
    Bun.spawnSync([
      ..."openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(
        " ",
      ),
      ...["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
    ]);
    Bun.spawnSync(["mkdir", "-p", scratch.file("certs")]);
    Bun.spawnSync(["cp", cert, scratch.file("certs/ca.crt")]);
    return { cert: Bun.file(cert), key: Bun.file(key) };
  };
  const secure = (handler: Handler) =>
    Bun.serve({ port: 0, hostname: "127.0.0.1", tls: tls(), fetch: (r) => handler(r, new URL(r.url)) });
  const open = (port: number | undefined) =>
    openRegistrySource(`localhost:${port}/x:1`, { creds, certDir: scratch.file("certs"), retries: 0 });

  test("redirect to plain HTTP", async () => {
    leaked.length = 0;
    using server = secure(() => redirect(elsewhere()));
    const error = await failureOf(open(server.port).resolve(), "denied");
    expect(error.message).toContain("not protected by TLS");
    expect(leaked).toEqual([]);
  });

  test("send credentials to an unprotected token server", async () => {
    leaked.length = 0;
    using server = secure(
      () =>
        new Response(null, {
          status: 401,
          headers: { "WWW-Authenticate": `Bearer realm="${elsewhere("/token")}",service="s"` },
        }),
    );
    await failureOf(open(server.port).resolve(), "denied");
    expect(leaked).toEqual([]);
  });
});

describe("lies", () => {
  const document = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    registry(() => new Response(body, { headers: { ...asIndex, ...headers } }));

  test("a manifest that is not the one asked for", async () => {
    using there = document(index);
    const pinned = `${there.name.replace(/:1$/, "")}@${digestOf("other")}`;
    await failureOf(openRegistrySource(pinned, there.settings).resolve(), "integrity");
  });

  test("a manifest that is not what the registry itself states", async () => {
    using there = document(index, { "Docker-Content-Digest": digestOf("other") });
    await failureOf(there.source().resolve(), "integrity");
  });

  test("a manifest of 5 MB", async () => {
    using there = document(Buffer.alloc(5 << 20, " "));
    expect((await failureOf(there.source().resolve(), "invalid")).message).toContain("more than the");
  });

  test("a web page", async () => {
    using there = document("<html>", { "Content-Type": "text/html" });
    await using target = openOciLayoutTarget(scratch.file("page"), { reference: "x" });
    await failureOf(copyImage(there.source(), target), "invalid");
  });

  test("redirects without end", async () => {
    using there = registry((_request, url) => redirect(`${url.pathname}x`));
    expect((await failureOf(there.source().resolve(), "invalid")).message).toContain("redirects");
  });

  test("redirects to other protocols", async () => {
    using there = registry(() => redirect("file:///etc/passwd"));
    await failureOf(there.source().resolve(), "invalid");
  });

  test("an error as long as a book", async () => {
    using there = registry(() => new Response("x".repeat(10 << 20), { status: 400 }));
    expect((await failureOf(there.source().resolve(), "system")).message.length).toBeLessThan(600);
  });

  test("bytes from somewhere else in the blob", async () => {
    const blob = Buffer.from("0123456789".repeat(10));
    let count = 0;
    using there = registry((_request, url) => {
      if (!url.pathname.includes("/blobs/")) return new Response(index, { headers: asIndex });
      if (count++ === 0) return new Response(blob.subarray(0, 50));
      return new Response(blob.subarray(60), {
        status: 206,
        headers: { "Content-Range": "bytes 60-99/100" },
      });
    });
    const descriptor = { mediaType: "application/octet-stream", digest: digestOf(blob), size: blob.length };
    const content = await there.source().fetch(descriptor);
    expect((await failureOf(Array.fromAsync(content), "invalid")).message).toContain("from 50");
  });

  test("more tags than there can be", async () => {
    using there = registry((_request, url) => {
      const n = Number(url.searchParams.get("last") ?? 0);
      return Response.json(
        { tags: [] },
        { headers: { Link: `<${url.pathname}?last=${n + 1}>; rel="next"` } },
      );
    });
    await failureOf(listTags(there.name.replace(/:1$/, ""), there.settings), "invalid");
  });
});

test("this host is not asked through a proxy", async () => {
  using there = registry(() => new Response(index, { headers: asIndex }));
  const saved = { HTTP_PROXY: process.env.HTTP_PROXY, NO_PROXY: process.env.NO_PROXY };
  leaked.length = 0;
  try {
    process.env.HTTP_PROXY = elsewhere();
    delete process.env.NO_PROXY;
    await there.source().resolve();
    expect(leaked).toEqual([]);
    expect(process.env.NO_PROXY).toBeUndefined();
    const tls = { rejectUnauthorized: true };
    await exchange({ method: "GET", url: new URL("http://registry.invalid/v2/"), headers: {}, tls });
    expect(leaked).toHaveLength(1);
  } finally {
    for (const [name, value] of Object.entries(saved)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});
