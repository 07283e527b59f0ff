/** One HTTP request and its answer: without retries, redirects or authentication. */
import type { TlsSettings } from "./tls-settings.ts";

export interface HttpRequest {
  method: "GET" | "HEAD" | "PUT" | "POST" | "PATCH" | "DELETE";
  url: URL;
  headers: Record<string, string>;
  body?: Uint8Array | string | undefined;
  tls: TlsSettings;
  signal?: AbortSignal | undefined;
}

/**
 * Sends a request. HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured, but this host itself is never asked through a
 * proxy. The body of the answer is as it was sent, not decompressed: digests are of those bytes.
 */
export function exchange(request: HttpRequest): Promise<Response> {
  const { method, url, headers, body, tls, signal } = request;
  const init: BunFetchRequestInit = {
    method,
    headers: { "User-Agent": "cooper", "Accept-Encoding": "identity", ...headers },
    redirect: "manual",
    decompress: false,
    ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> | string }),
    ...(signal === undefined ? {} : { signal }),
    ...(url.protocol === "https:" ? { tls } : {}),
  };
  return isLoopback(url.hostname) ? withoutProxy(() => fetch(url, init)) : fetch(url, init);
}

/** A signal that any of these aborts. */
export function anySignal(...signals: (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length < 2 ? given[0] : AbortSignal.any(given);
}

/** Whether a host name means this machine. */
export function isLoopback(hostname: string): boolean {
  return /^(?:localhost|.*\.localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(hostname);
}

/** fetch() has no option to go without a proxy; it reads NO_PROXY when it is called, before it first waits. */
function withoutProxy<T>(call: () => T): T {
  const saved = process.env.NO_PROXY;
  process.env.NO_PROXY = "*";
  try {
    return call();
  } finally {
    if (saved === undefined) delete process.env.NO_PROXY;
    else process.env.NO_PROXY = saved;
  }
}
