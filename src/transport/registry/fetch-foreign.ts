/** A layer from where its descriptor says that it can be had (descriptor.md, "urls"): plain HTTP, without credentials. */
import { CooperError } from "../../base/errors.ts";
import type { Descriptor } from "../../oci/types.ts";
import { exchange } from "./exchange.ts";
import { discard } from "./session.ts";

const MAX_REDIRECTS = 5;
const MAX_URLS = 10;

/**
 * The layer's bytes from the first of its addresses that answers; the caller verifies them. `from` names the image. Throws
 * `not-found` with what each address said.
 */
export async function fetchForeign(
  layer: Descriptor,
  from: string,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Uint8Array>> {
  const failed: string[] = [];
  for (const address of (layer.urls ?? []).slice(0, MAX_URLS)) {
    const answer = await ask(address, signal);
    if (typeof answer !== "string") return answer;
    if (signal?.aborted) throw new CooperError("cancelled", `Copying ${from} was cancelled`);
    failed.push(`${shown(address)} ${answer}`);
  }
  throw new CooperError(
    "not-found",
    `Cannot read the foreign layer ${layer.digest} of ${from}: ${failed.join("; ")}`,
    { hint: "its publisher keeps it at these addresses; they must be reachable from here" },
  );
}

/** The body, or why there is none. */
async function ask(
  address: string,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Uint8Array> | string> {
  let url = URL.parse(address);
  try {
    for (let count = 0; count <= MAX_REDIRECTS; count++) {
      if (url === null || !/^https?:$/.test(url.protocol)) return "is no address of HTTP";
      url.username = "";
      url.password = "";
      const response = await exchange({
        method: "GET",
        url,
        headers: {},
        tls: { rejectUnauthorized: true },
        signal,
      });
      if (response.status === 200 && response.body !== null)
        return response.body as unknown as AsyncIterable<Uint8Array>;
      await discard(response);
      const location = response.headers.get("location");
      if (response.status < 300 || response.status > 399 || location === null)
        return `answered ${response.status}`;
      const next = URL.parse(location, url.href);
      if (url.protocol === "https:" && next?.protocol === "http:") return "leads to an address without TLS";
      url = next;
    }
    return "redirects without end";
  } catch (error) {
    const { code } = error as { code?: unknown };
    return `cannot be reached${typeof code === "string" ? ` (${code})` : ""}`;
  }
}

/** Fit for a terminal. */
function shown(address: string): string {
  return address.replace(/[^\u0021-\u007e]/g, "?").slice(0, 200);
}
