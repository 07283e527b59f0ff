/** A registry in memory with what Debian's lacks: the API for referrers, tokens that expire, pages of any size. */
import { createHash } from "node:crypto";

export interface MemoryRegistryOptions {
  /** Without it the API for referrers is not there. */
  referrers?: boolean;
  /** Entries on a page of tags or referrers. */
  page?: number;
  /** `USER:PASSWORD` that the token server wants; without it nobody has to log in. */
  user?: string;
  /** Paths of a certificate and its key. */
  tls?: { cert: string; key: string };
  /** Requests for which a token is good. */
  tokenUses?: number;
}

interface Stored {
  type: string;
  bytes: Uint8Array;
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const INDEX = "application/vnd.oci.image.index.v1+json";

/** One repository namespace for all names: enough for tests. */
export class MemoryRegistry implements Disposable {
  readonly blobs = new Map<string, Uint8Array>();
  /** By digest, and `repository:tag` → digest in `tags`. */
  readonly manifests = new Map<string, Stored>();
  readonly tags = new Map<string, string>();
  /** `METHOD PATH` */
  readonly seen: string[] = [];
  /** How many tokens were given out. */
  issued = 0;
  readonly #uploads = new Map<string, Uint8Array>();
  readonly #tokens = new Map<string, number>();
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(readonly options: MemoryRegistryOptions = {}) {
    const { tls } = options;
    this.#server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      ...(tls === undefined ? {} : { tls: { cert: Bun.file(tls.cert), key: Bun.file(tls.key) } }),
      fetch: (request) => this.#answer(request),
    });
  }

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }

  /** What was asked for since. */
  count(match: RegExp): number {
    return this.seen.filter((line) => match.test(line)).length;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    this.seen.push(`${request.method} ${url.pathname}${url.search}`);
    const body = new Uint8Array(await request.arrayBuffer());
    if (url.pathname === "/token") return this.#token(request);
    if (this.options.user !== undefined && !this.#isLetIn(request)) {
      const challenge = `Bearer realm="http://${this.host}/token",service="memory",scope="any"`;
      return new Response(null, { status: 401, headers: { "WWW-Authenticate": challenge } });
    }
    const match = /^\/v2\/(.+?)\/(blobs|manifests|tags|referrers)\/(.*)$/.exec(url.pathname);
    if (match === null) return new Response("{}");
    const [, repository, kind, rest] = match as unknown as [string, string, string, string];
    if (kind === "tags") return this.#tagList(repository, url);
    if (kind === "referrers") return this.#referrers(rest, url);
    if (kind === "manifests") return this.#manifest(request, repository, rest, body);
    return rest.startsWith("uploads/")
      ? this.#upload(request, repository, rest.slice("uploads/".length), url, body)
      : this.#blob(request, rest);
  }

  #token(request: Request): Response {
    const wanted = `Basic ${btoa(this.options.user!)}`;
    if (request.headers.get("authorization") !== wanted)
      return Response.json({ details: "incorrect username or password" }, { status: 401 });
    const token = `token-${++this.issued}`;
    this.#tokens.set(token, this.options.tokenUses ?? Number.POSITIVE_INFINITY);
    return Response.json({ token, expires_in: 300 });
  }

  #isLetIn(request: Request): boolean {
    const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    const left = this.#tokens.get(token) ?? 0;
    this.#tokens.set(token, left - 1);
    return left > 0;
  }

  #manifest(request: Request, repository: string, reference: string, body: Uint8Array): Response {
    const tag = `${repository}:${reference}`;
    if (request.method === "PUT") {
      const digest = digestOf(body);
      this.manifests.set(digest, { type: request.headers.get("content-type")!, bytes: body });
      if (!reference.startsWith("sha256:")) this.tags.set(tag, digest);
      const { subject } = JSON.parse(new TextDecoder().decode(body)) as { subject?: { digest: string } };
      const told = this.options.referrers && subject !== undefined ? { "OCI-Subject": subject.digest } : {};
      return new Response(null, { status: 201, headers: { "Docker-Content-Digest": digest, ...told } });
    }
    const digest = reference.startsWith("sha256:") ? reference : this.tags.get(tag);
    const found = this.manifests.get(digest ?? "");
    if (digest === undefined || found === undefined) return missing("MANIFEST_UNKNOWN");
    if (request.method === "DELETE") {
      this.manifests.delete(digest);
      for (const [name, target] of this.tags) if (target === digest) this.tags.delete(name);
      return new Response(null, { status: 202 });
    }
    const headers = { "Content-Type": found.type, "Docker-Content-Digest": digest };
    return new Response(Buffer.from(found.bytes), { headers });
  }

  #blob(request: Request, digest: string): Response {
    const bytes = this.blobs.get(digest);
    if (bytes === undefined) return missing("BLOB_UNKNOWN");
    return new Response(request.method === "HEAD" ? null : Buffer.from(bytes), {
      headers: { "Content-Length": String(bytes.length) },
    });
  }

  #upload(request: Request, repository: string, id: string, url: URL, body: Uint8Array): Response {
    const mounted = url.searchParams.get("mount");
    if (request.method === "POST" && mounted !== null && this.blobs.has(mounted))
      return new Response(null, { status: 201 });
    const key = request.method === "POST" ? crypto.randomUUID() : id;
    const all = Buffer.concat([this.#uploads.get(key) ?? new Uint8Array(), body]);
    this.#uploads.set(key, all);
    if (request.method !== "PUT") {
      const headers = { Location: `/v2/${repository}/blobs/uploads/${key}`, Range: `0-${all.length - 1}` };
      return new Response(null, { status: 202, headers });
    }
    const digest = url.searchParams.get("digest")!;
    if (digestOf(all) !== digest) return new Response(null, { status: 400 });
    this.blobs.set(digest, all);
    return new Response(null, { status: 201 });
  }

  #tagList(repository: string, url: URL): Response {
    const prefix = `${repository}:`;
    const names = [...this.tags.keys()].filter((tag) => tag.startsWith(prefix));
    if (names.length === 0) return missing("NAME_UNKNOWN");
    return this.#paged(
      url,
      names.map((name) => name.slice(prefix.length)),
      (tags) => ({ name: repository, tags }),
    );
  }

  #referrers(subject: string, url: URL): Response {
    if (!this.options.referrers) return new Response("404 page not found", { status: 404 });
    const found = [...this.manifests].flatMap(([digest, { type, bytes }]) => {
      const document = JSON.parse(new TextDecoder().decode(bytes));
      if (document.subject?.digest !== subject) return [];
      return [{ mediaType: type, digest, size: bytes.length, artifactType: document.artifactType }];
    });
    return this.#paged(url, found, (manifests) => ({ schemaVersion: 2, mediaType: INDEX, manifests }), INDEX);
  }

  #paged<T>(url: URL, all: T[], document: (page: T[]) => unknown, type = "application/json"): Response {
    const size = this.options.page ?? 1000;
    const from = Number(url.searchParams.get("last") ?? 0);
    const headers: Record<string, string> = { "Content-Type": type };
    if (from + size < all.length) headers.Link = `<${url.pathname}?last=${from + size}>; rel="next"`;
    return new Response(JSON.stringify(document(all.slice(from, from + size))), { headers });
  }
}

function missing(code: string): Response {
  return Response.json({ errors: [{ code, message: "there is no such thing" }] }, { status: 404 });
}
