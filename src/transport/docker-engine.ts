/** The Docker Engine API over the engine's socket, as far as images go (docs.docker.com/reference/api/engine, 1.24 on). */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";

/** How an engine is reached. */
export interface EngineAddress {
  /** As DOCKER_HOST says it. */
  host: string;
  /** Address of requests; with `socket`, its host means nothing. */
  url: string;
  socket?: string;
  tls?: { ca?: string; cert?: string; key?: string };
}

type Environment = Record<string, string | undefined>;

const DEFAULT_HOST = "unix:///var/run/docker.sock";
/** More of an answer than this is no message. */
const MESSAGE_BYTES = 64 << 10;

const problem = v.looseObject({ message: v.string() });
const inspected = v.looseObject({ Id: v.string() });
const loadEvent = v.looseObject({
  error: v.optional(v.string()),
  errorDetail: v.optional(v.looseObject({ message: v.optional(v.string()) })),
});

/**
 * The engine that DOCKER_HOST names (`unix://PATH`, `tcp://HOST[:PORT]`), else the one at /var/run/docker.sock. Over TCP,
 * TLS is used where DOCKER_TLS_VERIFY is set, with ca.pem, cert.pem and key.pem of DOCKER_CERT_PATH (~/.docker). Throws
 * `usage`, `unsupported` for hosts that are reached through ssh.
 */
export function engineAddress(env: Environment = process.env): EngineAddress {
  const host = env.DOCKER_HOST || DEFAULT_HOST;
  const [, scheme, rest] = /^([a-z]+):\/\/(.+)$/.exec(host) ?? [];
  if (scheme === "unix") return { host, url: "http://docker", socket: rest! };
  if (scheme === "tcp" || scheme === "http" || scheme === "https") {
    const isSecure = scheme === "https" || Boolean(env.DOCKER_TLS_VERIFY);
    const url = URL.parse(`${isSecure ? "https" : "http"}://${rest}`);
    if (url !== null) {
      if (url.port === "" && scheme === "tcp") url.port = isSecure ? "2376" : "2375";
      return { host, url: url.origin, ...(isSecure ? { tls: readCertificates(env) } : {}) };
    }
  }
  if (scheme === "ssh") {
    throw new CooperError("unsupported", `DOCKER_HOST=${host} is reached through ssh, which Cooper cannot`, {
      hint: "forward its socket: ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST, and set DOCKER_HOST=unix:///tmp/docker.sock",
    });
  }
  throw new CooperError("usage", `DOCKER_HOST=${host} does not say where a Docker engine is`, {
    hint: "write unix://PATH or tcp://HOST:PORT",
  });
}

function readCertificates(env: Environment): NonNullable<EngineAddress["tls"]> {
  const directory = env.DOCKER_CERT_PATH || env.DOCKER_CONFIG || join(homedir(), ".docker");
  const read = (name: string) => {
    const path = join(directory, `${name}.pem`);
    return existsSync(path) ? { [name]: readFileSync(path, "utf8") } : {};
  };
  return { ...read("ca"), ...read("cert"), ...read("key") };
}

export class DockerEngine {
  readonly #address: EngineAddress;
  readonly #signal: AbortSignal | undefined;

  constructor(address: EngineAddress, signal: AbortSignal | undefined) {
    this.#address = address;
    this.#signal = signal;
  }

  /** Throws when the engine cannot be reached. */
  async ping(doing: string): Promise<void> {
    await (await this.#send(doing, "_ping", { method: "GET" }, [200])).text();
  }

  /** Id of an image (`sha256:…`), undefined when the engine has none of that name or id. */
  async findImage(name: string, doing: string): Promise<string | undefined> {
    const response = await this.#send(doing, `images/${name}/json`, { method: "GET" }, [200, 404]);
    const text = await response.text();
    if (response.status === 404) return undefined;
    const result = v.safeParse(inspected, parseJson(text));
    if (result.success) return result.output.Id;
    throw new CooperError(
      "invalid",
      `${doing}: ${this.#address.host} does not answer as a Docker engine does`,
    );
  }

  /** An image as an archive of docker save. */
  async save(name: string, doing: string): Promise<AsyncIterable<Uint8Array>> {
    const { body } = await this.#send(doing, `images/${name}/get`, { method: "GET" }, [200]);
    if (body === null) throw new CooperError("invalid", `${doing}: the engine sent nothing`);
    return this.#guarded(body, doing);
  }

  /** Gives an engine an archive of docker save; it takes all of its images, with their names. */
  async load(archive: string, doing: string): Promise<void> {
    const headers = { "Content-Type": "application/x-tar" };
    const request = { method: "POST", headers, body: Bun.file(archive) };
    const { body } = await this.#send(doing, "images/load?quiet=1", request, [200]);
    // It has answered before it has read the archive: what fails then is told in the answer.
    let text = "";
    for await (const chunk of this.#guarded(body ?? new Blob().stream(), doing))
      if (text.length < MESSAGE_BYTES) text += Buffer.from(chunk).toString();
    for (const line of text.split("\n")) {
      const event = v.safeParse(loadEvent, parseJson(line));
      const error = event.success ? (event.output.errorDetail?.message ?? event.output.error) : undefined;
      if (error !== undefined) throw new CooperError("system", `${doing}: the engine says: ${error}`);
    }
  }

  async #send(
    doing: string,
    path: string,
    request: BunFetchRequestInit,
    accept: number[],
  ): Promise<Response> {
    const { url, socket, tls } = this.#address;
    let response: Response;
    try {
      response = await fetch(`${url}/${path}`, {
        ...request,
        redirect: "error",
        // An engine may say nothing for as long as it unpacks.
        timeout: false,
        ...(socket === undefined ? {} : { unix: socket }),
        ...(tls === undefined ? {} : { tls }),
        ...(this.#signal === undefined ? {} : { signal: this.#signal }),
      });
    } catch (error) {
      throw this.#failure(doing, error);
    }
    if (accept.includes(response.status)) return response;
    const said = v.safeParse(problem, parseJson((await response.text()).slice(0, MESSAGE_BYTES)));
    const why = said.success ? said.output.message : `it answered with status ${response.status}`;
    const code = response.status === 404 ? "not-found" : response.status === 403 ? "denied" : "system";
    throw new CooperError(code, `${doing}: the engine says: ${why}`);
  }

  async *#guarded(body: ReadableStream<Uint8Array>, doing: string): AsyncGenerator<Uint8Array, void> {
    try {
      yield* body;
    } catch (error) {
      throw this.#failure(doing, error);
    }
  }

  #failure(doing: string, error: unknown): CooperError {
    if (error instanceof CooperError) return error;
    if (this.#signal?.aborted)
      return new CooperError("cancelled", `${doing}: cancelled`, { cause: this.#signal.reason });
    const { host } = this.#address;
    const start = "start the engine, or say in DOCKER_HOST where it is (unix://PATH, tcp://HOST:PORT)";
    switch (errnoOf(error)) {
      case "ENOENT":
        return new CooperError("not-found", `${doing}: there is no Docker engine at ${host}`, {
          hint: start,
        });
      case "ECONNREFUSED":
        return new CooperError("not-found", `${doing}: no Docker engine listens at ${host}`, { hint: start });
      case "EACCES":
      case "EPERM":
        return new CooperError("denied", `${doing}: permission denied for the Docker engine at ${host}`, {
          hint: "be in the group that the socket belongs to (docker, mostly), or run as root",
        });
      default:
        return new CooperError("system", `${doing}: the Docker engine at ${host}: ${messageOf(error)}`, {
          cause: error,
        });
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
