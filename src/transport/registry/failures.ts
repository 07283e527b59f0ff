/** What a failed exchange means: for the user as a message with a hint, for the program as a code. */
import { CooperError, type ErrorCode } from "../../base/errors.ts";
import { markPassing, parseRetryAfter } from "./retry.ts";

/** What was asked of whom: `Cannot read manifest 1.0 of docker://reg:5000/team/app`. */
export interface Asked {
  doing: string;
  registry: string;
  repository: string;
  /** The verb for what an account must be allowed to do. */
  action: "pull from" | "push to" | "delete from";
  /** Who answers, when it is not the registry: its token server. */
  answerer?: string;
}

const MAX_ERROR_BODY = 64 * 1024;
const MAX_QUOTED = 300;
const PASSING_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const TLS_CODE = /CERT|SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|HOSTNAME/;

/** A failure before there was an answer. `hasAnswered`: whether the registry did so before. */
export function connectionFailure(asked: Asked, error: unknown, hasAnswered: boolean): CooperError {
  if (error instanceof CooperError) return error;
  const code = codeOf(error);
  const fail = (why: string, hint?: string) =>
    new CooperError("system", `${asked.doing}: ${why}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  if (code === "EPROTO")
    return fail(
      "the TLS handshake failed",
      `if ${asked.registry} speaks plain HTTP, use --tls-verify=false or set insecure = true for it in registries.conf; if it wants a client certificate, put it into certs.d or --cert-dir`,
    );
  if (code.includes("ALTNAME"))
    return fail(
      "its certificate is for another host name",
      `use the name in the certificate, or --tls-verify=false`,
    );
  if (code.includes("EXPIRED"))
    return fail("its certificate has expired", "renew the registry's certificate");
  if (TLS_CODE.test(code)) {
    return fail(
      `its certificate is not trusted (${code.toLowerCase().replaceAll("_", " ")})`,
      `put its CA into /etc/containers/certs.d/${asked.registry}/ca.crt, name a --cert-dir, or use --tls-verify=false`,
    );
  }
  const check = `check the name ${asked.registry} and the network`;
  if (code === "ENOTFOUND") return fail(connectionWords(error), check);
  const isRefused = code === "ECONNREFUSED";
  const failure = fail(connectionWords(error), isRefused ? `is a registry running there? ${check}` : check);
  // One that never answered is not there; one that did may come back.
  return isRefused && !hasAnswered ? failure : markPassing(failure);
}

/** Why there was no answer, or not all of it. */
export function connectionWords(error: unknown): string {
  const code = codeOf(error);
  if (code === "ENOTFOUND") return "the host is not known";
  if (code === "ECONNREFUSED") return "the connection was refused";
  if ((error as Error).name === "TimeoutError" || code === "ETIMEDOUT") return "there was no answer in time";
  if (code === "ECONNRESET" || code === "ConnectionClosed") return "the connection was dropped";
  return `the connection failed${code === "" ? "" : ` (${code})`}`;
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : "";
}

/** What is known of the login with which a request was refused. */
export interface LoginState {
  /** Where its credentials came from, if there were any. */
  tried: string | undefined;
  /** There was a token, fresh from the token server. */
  hadToken: boolean;
  redact: (text: string) => string;
}

/** For answers that say nothing but their number (RFC 9110, 15). */
const WORDS = new Map([
  [401, "unauthorized"],
  [403, "forbidden"],
  [404, "not found"],
  [405, "method not allowed"],
  [413, "content too large"],
  [429, "too many requests"],
  [500, "internal server error"],
  [502, "bad gateway"],
  [503, "service unavailable"],
  [504, "gateway timeout"],
]);

/** A failure that the registry answered; reads the answer's body. */
export async function statusFailure(
  asked: Asked,
  response: Response,
  login: LoginState,
): Promise<CooperError> {
  const said = login.redact(await errorText(response));
  const { status } = response;
  const { code, hint } = meaningOf(asked, status, said, login);
  const words = said || WORDS.get(status);
  const error = new CooperError(
    code,
    `${asked.doing}: ${asked.answerer ?? "the registry"} answered ${status}${words === undefined ? "" : ` (${words})`}`,
    hint === undefined ? {} : { hint },
  );
  if (!PASSING_STATUS.has(status)) return error;
  return markPassing(error, parseRetryAfter(response.headers.get("retry-after")));
}

function meaningOf(
  { registry, repository, action }: Asked,
  status: number,
  said: string,
  { tried, hadToken }: LoginState,
): { code: ErrorCode; hint?: string } {
  switch (true) {
    case status === 401 && repository === "":
      return { code: "denied", hint: "the user name or the password is not the right one" };
    case status === 401 && hadToken:
      return {
        code: "denied",
        hint: `the registry refuses the token that its token server gave a moment ago: it has expired already, or it is not for ${repository}; compare this host's clock, or tell who runs the registry`,
      };
    case status === 401 && tried === undefined:
      return {
        code: "denied",
        hint: `log in with cooper login ${registry} or give --creds; or ${repository} does not exist there`,
      };
    case status === 401:
      return {
        code: "denied",
        hint: `the credentials from ${tried} were not accepted for ${repository}: ${tried === "--creds" ? "give other ones" : `log in again with cooper login ${registry}`}, or it does not exist there`,
      };
    case status === 403:
      return {
        code: "denied",
        hint: `${tried === undefined ? "log in, or ask" : "ask"} for the permission to ${action} ${registry}/${repository}`,
      };
    case status === 404 && said.includes("NAME_UNKNOWN"):
      return { code: "not-found", hint: `there is no repository ${repository} on ${registry}` };
    case status === 404:
      return {
        code: "not-found",
        hint: `cooper image list-tags docker://${registry}/${repository} tells what is there`,
      };
    case status === 405 && action === "delete from":
      return {
        code: "unsupported",
        hint: `deleting is turned off on ${registry}; who runs it turns it on, docker-registry with REGISTRY_STORAGE_DELETE_ENABLED=true`,
      };
    case status === 405 || status === 501:
      return { code: "unsupported", hint: `${registry} does not offer this operation` };
    case status === 413:
      return { code: "system", hint: "a proxy before the registry does not let so large a request through" };
    case status === 429:
      return { code: "system", hint: "too many requests: wait, or log in for a higher limit" };
    case status >= 500:
      return {
        code: "system",
        hint: "this is the registry's own failure: try again later, or tell who runs it",
      };
    default:
      return { code: "system" };
  }
}

/** `CODE: message` of the errors that a registry lists (distribution spec, "Error Codes"), in one short line. */
async function errorText(response: Response): Promise<string> {
  try {
    const text = new TextDecoder().decode(await readLimited(response, MAX_ERROR_BODY));
    return short(listedErrors(text));
  } catch {
    return "";
  }
}

function listedErrors(text: string): string {
  const body = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[]; details?: unknown };
  if (!Array.isArray(body.errors)) return typeof body.details === "string" ? body.details : "";
  return body.errors
    .slice(0, 3)
    .map(({ code, message }) => [code, message].filter((part) => typeof part === "string" && part !== ""))
    .map((parts) => parts.join(": "))
    .join("; ");
}

/** Fit for a terminal. */
function short(text: string): string {
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
  return clean.length > MAX_QUOTED ? `${clean.slice(0, MAX_QUOTED)}…` : clean;
}

/** The body of an answer, or undefined when it has more bytes than that. */
export async function readLimited(response: Response, limit: number): Promise<Uint8Array | undefined> {
  if (response.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
