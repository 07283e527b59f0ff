/**
 * Authentication at one registry: none, basic, or bearer tokens as distribution's token specification and Docker's
 * OAuth 2 variant of it have them.
 */
import * as v from "valibot";
import { CooperError } from "../../base/errors.ts";
import { parseChallenges } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";

/** Asks a token server; undefined for an unreasonably long answer. Redirects lose the credentials. */
export type TokenFetch = (request: {
  method: "GET" | "POST";
  url: URL;
  headers: Record<string, string>;
  body?: string;
}) => Promise<Uint8Array | undefined>;

interface Token {
  header: string;
  /** Milliseconds since 1970. */
  expires: number;
}

/** Seconds that a token holds when the server does not say (token specification, "Token Response Fields"). */
const DEFAULT_LIFE = 60;
/** Milliseconds before its end at which a token is not used any more. */
const MARGIN = 5000;

const tokenAnswer = v.object({
  token: v.optional(v.nullable(v.string())),
  access_token: v.optional(v.nullable(v.string())),
  expires_in: v.optional(v.nullable(v.number())),
});

export class Authenticator {
  readonly #registry: string;
  readonly #findCredentials: () => Promise<Credentials | undefined>;
  readonly #tokenFetch: TokenFetch;
  #mode: { kind: "basic" } | { kind: "bearer"; realm: URL; service: string | undefined } | undefined;
  #tokens = new Map<string, Promise<Token>>();
  #credentials: Promise<Credentials | undefined> | undefined;
  #secrets = new Set<string>();
  /** Where the credentials came from that were used, if any were. */
  origin: string | undefined;

  constructor(
    registry: string,
    findCredentials: () => Promise<Credentials | undefined>,
    tokenFetch: TokenFetch,
  ) {
    this.#registry = registry;
    this.#findCredentials = findCredentials;
    this.#tokenFetch = tokenFetch;
  }

  /** The Authorization header for these scopes, as far as the registry has said what it wants. */
  async header(scopes: string[]): Promise<string | undefined> {
    if (this.#mode === undefined) return undefined;
    if (this.#mode.kind === "basic") return await this.#basicHeader();
    return (await this.#token(scopes)).header;
  }

  /**
   * Learns from a 401; says whether another try can succeed. `used` is the header with which it was refused. `isSecure`:
   * the registry is known by its certificate, so that what it says may not lead to an unprotected place.
   */
  async learn(
    response: Response,
    scopes: string[],
    used: string | undefined,
    isSecure: boolean,
  ): Promise<boolean> {
    const challenges = parseChallenges(response.headers.get("www-authenticate") ?? "");
    const bearer = challenges.find(
      ({ scheme, parameters }) => scheme === "bearer" && parameters.realm !== undefined,
    );
    if (bearer !== undefined) {
      const { realm, service } = bearer.parameters;
      this.#mode = { kind: "bearer", realm: this.#parseRealm(realm!, isSecure), service };
      const key = keyOf(scopes);
      const current = await this.#tokens.get(key);
      // Refused with the token that is current: it is of no use (any more).
      if (current?.header === used) this.#tokens.delete(key);
      return true;
    }
    if (!challenges.some(({ scheme }) => scheme === "basic")) return false;
    this.#mode = { kind: "basic" };
    const header = await this.#basicHeader();
    return header !== undefined && header !== used;
  }

  /** Takes secrets out of a text that comes from elsewhere. */
  redact(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) clean = clean.replaceAll(secret, "[secret]");
    return clean;
  }

  #parseRealm(realm: string, isSecure: boolean): URL {
    const url = URL.parse(realm);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new CooperError(
        "invalid",
        `Cannot log in to registry ${this.#registry}: it names a malformed token server`,
      );
    }
    if (isSecure && url.protocol !== "https:") {
      throw new CooperError(
        "denied",
        `Cannot log in to registry ${this.#registry}: its token server ${url.host} is not protected by TLS`,
        { hint: "tell who runs the registry, or use --tls-verify=false" },
      );
    }
    url.username = "";
    url.password = "";
    return url;
  }

  async #credentialsOnce(): Promise<Credentials | undefined> {
    this.#credentials ??= this.#findCredentials();
    const found = await this.#credentials;
    if (found === undefined) return undefined;
    this.origin = found.origin;
    for (const secret of [found.password, found.identityToken, basic(found)])
      if (secret !== undefined && secret.length > 2) this.#secrets.add(secret);
    return found;
  }

  async #basicHeader(): Promise<string | undefined> {
    const found = await this.#credentialsOnce();
    return found === undefined || found.username === "" ? undefined : `Basic ${basic(found)}`;
  }

  #token(scopes: string[]): Promise<Token> {
    const key = keyOf(scopes);
    const known = this.#tokens.get(key);
    // Requests that run at the same time wait for the same token.
    const token =
      known === undefined
        ? this.#requestToken(scopes)
        : known.then((one) => (one.expires > Date.now() ? one : this.#requestToken(scopes)));
    this.#tokens.set(key, token);
    token.catch(() => this.#tokens.delete(key));
    return token;
  }

  async #requestToken(scopes: string[]): Promise<Token> {
    if (this.#mode?.kind !== "bearer")
      throw new CooperError("internal", "A token was asked for before its server was known");
    const { realm, service } = this.#mode;
    const credentials = await this.#credentialsOnce();
    const answer = await (credentials?.identityToken === undefined
      ? this.#tokenFetch(tokenRequest(realm, service, scopes, credentials))
      : this.#tokenFetch(refreshRequest(realm, service, scopes, credentials.identityToken)));
    return this.#readToken(answer, realm);
  }

  #readToken(bytes: Uint8Array | undefined, realm: URL): Token {
    const fail = () =>
      new CooperError(
        "invalid",
        `Cannot log in to registry ${this.#registry}: its token server ${realm.host} answered without a token`,
      );
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder().decode(bytes ?? new Uint8Array()));
    } catch {
      throw fail();
    }
    const result = v.safeParse(tokenAnswer, json);
    if (!result.success) throw fail();
    const token = result.output.token || result.output.access_token;
    if (!token || /[^\u0021-\u007e]/.test(token)) throw fail();
    this.#secrets.add(token);
    const life = Math.max(DEFAULT_LIFE, result.output.expires_in ?? DEFAULT_LIFE) * 1000;
    return { header: `Bearer ${token}`, expires: Date.now() + life - MARGIN };
  }
}

function keyOf(scopes: string[]): string {
  return scopes.join(" ");
}

function basic({ username, password }: Credentials): string {
  return Buffer.from(`${username}:${password}`).toString("base64");
}

function tokenRequest(
  realm: URL,
  service: string | undefined,
  scopes: string[],
  credentials: Credentials | undefined,
): Parameters<TokenFetch>[0] {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (credentials?.username) url.searchParams.set("account", credentials.username);
  const headers: Record<string, string> =
    credentials === undefined ? {} : { Authorization: `Basic ${basic(credentials)}` };
  return { method: "GET", url, headers };
}

function refreshRequest(
  url: URL,
  service: string | undefined,
  scopes: string[],
  identityToken: string,
): Parameters<TokenFetch>[0] {
  const form = new URLSearchParams({
    grant_type: "refresh_token",
    client_id: "cooper",
    refresh_token: identityToken,
    scope: scopes.join(" "),
  });
  if (service !== undefined) form.set("service", service);
  return {
    method: "POST",
    url,
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: form.toString(),
  };
}
