/** Requests to one repository of one registry: scheme, authentication, redirects, retries, failures with names. */
import { CooperError } from "../../base/errors.ts";
import { Authenticator } from "./authenticator.ts";
import { repositoryScope } from "./challenge.ts";
import { type Credentials, findCredentials, parseCreds } from "./credentials.ts";
import type { Endpoint } from "./endpoints.ts";
import { anySignal, exchange, type HttpRequest } from "./exchange.ts";
import { type Asked, connectionFailure, type LoginState, readLimited, statusFailure } from "./failures.ts";
import { withRetries } from "./retry.ts";
import type { RegistrySettings } from "./settings.ts";
import { type TlsSettings, tlsSettings } from "./tls-settings.ts";

export interface Call {
  method: HttpRequest["method"];
  /** Below `/v2/REPOSITORY/`, or a whole address that the registry gave. */
  to: string | URL;
  /** `Cannot read manifest 1.0`: the session adds where. */
  doing: string;
  /** Statuses that are answers; others are thrown. */
  accept: number[];
  headers?: Record<string, string>;
  body?: Uint8Array;
  /** Scopes beside the repository's own. */
  scopes?: string[];
  /** Fails at once instead of trying again. */
  once?: boolean;
  signal?: AbortSignal;
}

const HUB = "docker.io";
const HUB_HOST = "registry-1.docker.io";
const MAX_REDIRECTS = 5;
/** Bytes of a token server's answer. */
const MAX_TOKEN = 1 << 20;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Milliseconds in which a registry that may be without TLS must have said so. */
const PROBE_TIME = 10_000;

/** What a session is for. */
export type Action = "pull" | "pull,push" | "delete";

const PERMISSIONS = { pull: "pull from", "pull,push": "push to", delete: "delete from" } as const;

export class Session {
  readonly endpoint: Endpoint;
  readonly settings: RegistrySettings;
  readonly #host: string;
  readonly #tls: TlsSettings;
  readonly #isInsecure: boolean;
  readonly #action: Action;
  readonly #login: Authenticator;
  #base: Promise<URL> | undefined;
  #hasAnswered = false;

  constructor(endpoint: Endpoint, settings: RegistrySettings, action: Action) {
    this.endpoint = endpoint;
    this.settings = settings;
    this.#action = action;
    this.#host = endpoint.registry === HUB ? HUB_HOST : endpoint.registry;
    this.#isInsecure = settings.tlsVerify === undefined ? endpoint.insecure : !settings.tlsVerify;
    this.#tls = tlsSettings(endpoint.registry, settings.certDir, !this.#isInsecure);
    this.#login = new Authenticator(
      endpoint.registry,
      () => this.#credentials(),
      (request) => this.#fetchToken(request),
    );
  }

  /** Sends a request and gives its answer, of which the body is still to be read. */
  async send(call: Call): Promise<Response> {
    if (call.once) return await this.#sendOnce(call);
    const signal = anySignal(this.settings.signal, call.signal);
    return await withRetries({ ...this.settings, signal }, () => this.#sendOnce(call));
  }

  /**
   * Sends a request and reads its answer, of which the body is `bytes`: undefined when it is longer than `limit`. An answer
   * that breaks off is asked for again.
   */
  async read(call: Call, limit: number): Promise<{ response: Response; bytes: Uint8Array | undefined }> {
    return await withRetries(this.settings, async () => {
      const response = await this.#sendOnce(call);
      return { response, bytes: await this.#readBody(response, limit, this.#asked(call.doing)) };
    });
  }

  async #readBody(response: Response, limit: number, asked: Asked): Promise<Uint8Array | undefined> {
    try {
      return await readLimited(response, limit);
    } catch (error) {
      const { signal } = this.settings;
      if (signal?.aborted)
        throw new CooperError("cancelled", `${asked.doing}: cancelled`, { cause: signal.reason });
      throw connectionFailure(asked, error, true);
    }
  }

  /** An address from a Location or Link header. Throws `invalid`. */
  async resolve(location: string | null, doing: string): Promise<URL> {
    const base = await this.#baseOnce(this.#asked(doing));
    const url = location === null ? null : URL.parse(location, base.href);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new CooperError(
        "invalid",
        `${this.#asked(doing).doing}: its answer says no address to go on with`,
      );
    }
    // Behind a proxy that ends TLS, registries often take their own address for plain HTTP.
    if (url.host === base.host) url.protocol = base.protocol;
    return url;
  }

  /** A failure of this session's registry as an error: a broken body, say. */
  failure(doing: string, error: unknown): CooperError {
    return connectionFailure(this.#asked(doing), error, true);
  }

  /** Where this is, for messages. */
  describe(doing: string): string {
    return this.#asked(doing).doing;
  }

  #asked(doing: string): Asked {
    const { registry, repository } = this.endpoint;
    // Nothing but the registry itself is asked.
    if (repository === "")
      return { doing: `${doing} to ${registry}`, registry, repository, action: "pull from" };
    return {
      doing: `${doing} ${this.#action === "pull,push" ? "to" : "of"} docker://${registry}/${repository}`,
      registry,
      repository,
      action: PERMISSIONS[this.#action],
    };
  }

  async #sendOnce(call: Call): Promise<Response> {
    const asked = this.#asked(call.doing);
    const base = await this.#baseOnce(asked);
    const url = typeof call.to === "string" ? new URL(`/v2/${this.#directory()}${call.to}`, base) : call.to;
    const isOwn = url.origin === base.origin;
    const scopes = [...this.#ownScopes(call.method), ...(call.scopes ?? [])];
    for (let logins = 0; ; logins++) {
      const authorization = isOwn ? await this.#login.header(scopes) : undefined;
      const headers = {
        ...call.headers,
        ...(authorization === undefined ? {} : { Authorization: authorization }),
      };
      const response = await this.#follow(
        { method: call.method, url, headers, body: call.body, tls: this.#tls },
        asked,
        call.signal,
      );
      if (call.accept.includes(response.status)) return response;
      const mayLogin = response.status === 401 && logins < 2 && isOwn;
      if (mayLogin && (await this.#login.learn(response, scopes, authorization, this.#isSecure(base)))) {
        await discard(response);
        continue;
      }
      throw await statusFailure(asked, response, this.#loginState(authorization));
    }
  }

  #directory(): string {
    const { repository } = this.endpoint;
    return repository === "" ? "" : `${repository}/`;
  }

  #ownScopes(method: Call["method"]): string[] {
    const { repository } = this.endpoint;
    if (repository === "") return [];
    // An upload that is given up is deleted too, by whoever may push.
    const action = method === "DELETE" || this.#action === "delete" ? "delete,pull" : this.#action;
    return [repositoryScope(repository, action)];
  }

  #isSecure(base: URL): boolean {
    return base.protocol === "https:" && !this.#isInsecure;
  }

  /** Follows redirects; another origin gets neither credentials nor this client's certificate. */
  async #follow(first: HttpRequest, asked: Asked, signal: AbortSignal | undefined): Promise<Response> {
    let request = first;
    for (let count = 0; ; count++) {
      const response = await this.#exchange(request, asked, signal);
      const location = response.headers.get("location");
      if (!REDIRECTS.has(response.status) || location === null || !mayRedirect(request, response.status))
        return response;
      await discard(response);
      if (count === MAX_REDIRECTS)
        throw new CooperError("invalid", `${asked.doing}: more than ${MAX_REDIRECTS} redirects`);
      request = this.#redirected(request, location, asked);
    }
  }

  #redirected(request: HttpRequest, location: string, asked: Asked): HttpRequest {
    const url = URL.parse(location, request.url.href);
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new CooperError("invalid", `${asked.doing}: it was redirected to a malformed address`);
    if (request.url.protocol === "https:" && url.protocol === "http:" && !this.#isInsecure) {
      throw new CooperError(
        "denied",
        `${asked.doing}: it was redirected to ${url.host}, which is not protected by TLS`,
      );
    }
    if (url.origin === request.url.origin) return { ...request, url };
    const { Authorization: _, ...headers } = request.headers;
    const { cert: _cert, key: _key, ...tls } = request.tls;
    return { ...request, url, headers, tls };
  }

  async #exchange(request: HttpRequest, asked: Asked, own: AbortSignal | undefined): Promise<Response> {
    const signal = anySignal(this.settings.signal, own);
    try {
      const response = await exchange({ ...request, signal });
      this.#hasAnswered = true;
      return response;
    } catch (error) {
      if (signal?.aborted && !isTimeout(signal.reason))
        throw new CooperError("cancelled", `${asked.doing}: cancelled`, { cause: signal.reason });
      throw connectionFailure(asked, error, this.#hasAnswered);
    }
  }

  #baseOnce(asked: Asked): Promise<URL> {
    const base = this.#base ?? this.#findBase(asked);
    this.#base = base;
    base.catch(() => {
      this.#base = undefined;
    });
    return base;
  }

  /** https, or, for registries that need no TLS, what they speak. */
  async #findBase(asked: Asked): Promise<URL> {
    const secure = new URL(`https://${this.#host}`);
    if (!this.#isInsecure) return secure;
    const probe = (url: URL) =>
      this.#exchange(
        { method: "GET", url: new URL("/v2/", url), headers: {}, tls: this.#tls },
        asked,
        AbortSignal.timeout(PROBE_TIME),
      );
    try {
      await discard(await probe(secure));
      return secure;
    } catch (error) {
      if (error instanceof CooperError && error.code === "cancelled") throw error;
      const plain = new URL(`http://${this.#host}`);
      await discard(await probe(plain));
      return plain;
    }
  }

  async #credentials(): Promise<Credentials | undefined> {
    const { endpoint, settings } = this;
    if (settings.creds !== undefined && !endpoint.isMirror) return parseCreds(settings.creds);
    return await findCredentials(
      endpoint.registry,
      endpoint.repository,
      settings,
      endpoint.credentialHelpers,
    );
  }

  async #fetchToken({
    method,
    url,
    headers,
    body,
  }: {
    method: "GET" | "POST";
    url: URL;
    headers: Record<string, string>;
    body?: string;
  }): Promise<Uint8Array | undefined> {
    const own = this.#asked("Cannot log in");
    const { registry, repository } = own;
    const asked: Asked = {
      ...own,
      answerer: `its token server ${url.host}`,
      ...(repository === ""
        ? {}
        : { doing: `Cannot log in to ${own.action} docker://${registry}/${repository}` }),
    };
    // The token server is another party: it does not see the certificate that this client has for the registry.
    const { cert: _cert, key: _key, ...bare } = this.#tls;
    const tls = url.host === this.#host ? this.#tls : bare;
    const response = await this.#follow({ method, url, headers, body, tls }, asked, undefined);
    if (response.status === 200) return await this.#readBody(response, MAX_TOKEN, asked);
    throw await statusFailure(asked, response, this.#loginState(undefined));
  }

  /** `used`: the header of the request that was refused. */
  #loginState(used: string | undefined): LoginState {
    return {
      tried: this.#login.origin,
      hadToken: used?.startsWith("Bearer ") ?? false,
      redact: (text) => this.#login.redact(text),
    };
  }
}

/** Whether what ended a request is the time that it was given, not somebody who gave it up. */
function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

/** Requests that change something are repeated elsewhere only where the status says so. */
function mayRedirect({ method }: HttpRequest, status: number): boolean {
  return method === "GET" || method === "HEAD" || (method === "PUT" && (status === 307 || status === 308));
}

/** Lets go of an answer whose body is not wanted, so that its connection can serve again. */
export async function discard(response: Response): Promise<void> {
  try {
    const length = Number(response.headers.get("content-length") ?? Number.NaN);
    if (length <= 65_536) await response.arrayBuffer();
    else await response.body?.cancel();
  } catch {
    // The connection is gone, which is as good.
  }
}
