/** Debian's docker-registry on loopback for tests, and a proxy before it that does what networks and servers do wrong. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { scratchDirectory } from "../support/scratch.ts";

export interface TestRegistry extends Disposable {
  /** `127.0.0.1:PORT`, or `localhost:PORT` with TLS. */
  host: string;
  port: number;
  /** The certificate of a registry with TLS, which is its own CA. */
  ca: string;
  /** Removes everything that is stored, for tests that need an empty place. */
  directory: string;
}

export interface RegistryKind {
  /** Deleting is turned off, as it is by default. */
  keeps?: boolean;
  tls?: boolean;
  /** user → password */
  users?: Record<string, string>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Makes a certificate for localhost that is its own CA. */
export function makeCertificate(cert: string, key: string, name = "localhost"): void {
  const made = spawnSync("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
    ...["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`, "-keyout", key, "-out", cert],
  ]);
  if (made.status !== 0) throw new Error(String(made.stderr));
}

export async function startRegistry(kind: RegistryKind = {}): Promise<TestRegistry> {
  const scratch = scratchDirectory("registry");
  const port = await freePort();
  const [cert, key] = [scratch.file("cert.pem"), scratch.file("key.pem")];
  if (kind.tls) makeCertificate(cert, key);
  if (kind.users) writeFileSync(scratch.file("htpasswd"), await htpasswd(kind.users));
  const settings = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: scratch.file("data") }, delete: { enabled: !kind.keeps } },
    http: {
      addr: `127.0.0.1:${port}`,
      ...(kind.tls ? { tls: { certificate: cert, key } } : {}),
    },
    ...(kind.users ? { auth: { htpasswd: { realm: "test", path: scratch.file("htpasswd") } } } : {}),
  };
  writeFileSync(scratch.file("config.yml"), JSON.stringify(settings));
  const child = spawn("docker-registry", ["serve", scratch.file("config.yml")], { stdio: "ignore" });
  await untilListening(port, child);
  return {
    host: `${kind.tls ? "localhost" : "127.0.0.1"}:${port}`,
    port,
    ca: cert,
    directory: scratch.file("data"),
    [Symbol.dispose]() {
      child.kill("SIGKILL");
      scratch[Symbol.dispose]();
    },
  };
}

async function htpasswd(users: Record<string, string>): Promise<string> {
  const lines = Object.entries(users).map(
    async ([user, password]) =>
      `${user}:${await Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 })}`,
  );
  return `${(await Promise.all(lines)).join("\n")}\n`;
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (isUp) return;
    await Bun.sleep(50);
  }
  throw new Error("docker-registry did not start");
}

/** What goes wrong with a request. */
export type Fault =
  /** The connection ends before there is an answer; the registry sees nothing. */
  | { kind: "drop" }
  /** It ends after so many bytes of the request's body went through. */
  | { kind: "drop-upload"; after: number }
  /** The registry does what was asked, and its answer is lost. */
  | { kind: "lose-answer" }
  | { kind: "answer"; status: number; headers?: Record<string, string>; body?: string }
  /** It ends after so many bytes of the answer's body. */
  | { kind: "truncate"; after: number }
  /** After so many bytes of the answer, head and all, nothing more comes, and the connection stays. */
  | { kind: "stall"; after: number }
  /** So far into the answer's body, a byte is another one. */
  | { kind: "corrupt"; at: number }
  /** The answer's head is changed. */
  | { kind: "head"; change: (head: string) => string };

export interface Seen {
  method: string;
  path: string;
  /** The request's head, as it came. */
  head: string;
}

/** A proxy that passes each request to a registry over a connection of its own. */
export class FaultProxy implements Disposable {
  readonly seen: Seen[] = [];
  /** Bytes of answers that went through. */
  sent = 0;
  readonly #server: Server;
  readonly #upstream: number;
  #faults: { match: RegExp; fault: Fault; times: number }[] = [];

  private constructor(server: Server, upstream: number) {
    this.#server = server;
    this.#upstream = upstream;
  }

  static async start(upstream: number): Promise<FaultProxy> {
    const server = createServer();
    const proxy = new FaultProxy(server, upstream);
    server.on("connection", (socket) => proxy.#serve(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next requests whose `METHOD PATH` matches go wrong. */
  fail(match: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ match, fault, times });
  }

  /** Faults that did not happen. */
  get pending(): number {
    return this.#faults.filter(({ times }) => times > 0 && times !== Number.POSITIVE_INFINITY).length;
  }

  /** How many requests matched. */
  count(match: RegExp): number {
    return this.seen.filter(({ method, path }) => match.test(`${method} ${path}`)).length;
  }

  #serve(client: Socket): void {
    let head = Buffer.alloc(0);
    client.on("error", () => {});
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      // Somebody speaks TLS, to see whether this does.
      if (head[0] === 0x16) client.destroy();
      const end = head.indexOf("\r\n\r\n");
      if (end === -1) return;
      client.off("data", onData);
      client.pause();
      this.#pass(client, head.subarray(0, end).toString("latin1"), head.subarray(end + 4));
    };
    client.on("data", onData);
  }

  #pass(client: Socket, head: string, rest: Buffer): void {
    const [method, path] = head.split(" ") as [string, string];
    this.seen.push({ method, path, head });
    const found = this.#faults.find(({ match, times }) => times > 0 && match.test(`${method} ${path}`));
    if (found !== undefined) found.times--;
    const fault = found?.fault;
    if (fault?.kind === "drop") {
      client.destroy();
      return;
    }
    if (fault?.kind === "answer") {
      const lines = Object.entries(fault.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
      const body = Buffer.from(fault.body ?? "", "latin1");
      client.resume();
      client.write(`HTTP/1.1 ${fault.status} Fault\r\n${lines.join("")}Content-Length: ${body.length}\r\n`);
      client.end(Buffer.concat([Buffer.from("Connection: close\r\n\r\n"), body]));
      return;
    }
    const upstream = connect(this.#upstream, "127.0.0.1");
    upstream.on("error", () => client.destroy());
    client.on("close", () => upstream.destroy());
    upstream.write(`${head.replace(/\r\nconnection: [^\r]*/i, "")}\r\nConnection: close\r\n\r\n`);
    this.#forward(client, upstream, rest, fault);
    this.#answer(client, upstream, fault);
  }

  #forward(client: Socket, upstream: Socket, rest: Buffer, fault: Fault | undefined): void {
    let left = fault?.kind === "drop-upload" ? fault.after : Number.POSITIVE_INFINITY;
    const give = (chunk: Buffer) => {
      const part = chunk.subarray(0, left);
      left -= part.length;
      if (part.length > 0) upstream.write(part);
      if (left > 0) return;
      upstream.end();
      client.destroy();
    };
    client.on("data", give);
    if (rest.length > 0) give(rest);
    client.resume();
  }

  #answer(client: Socket, upstream: Socket, fault: Fault | undefined): void {
    let head: Buffer | undefined = Buffer.alloc(0);
    let at = 0;
    const body = (chunk: Buffer) => {
      let part = chunk;
      if (fault?.kind === "truncate") part = chunk.subarray(0, Math.max(0, fault.after - at));
      if (fault?.kind === "corrupt" && fault.at >= at && fault.at < at + chunk.length)
        part[fault.at - at] = part[fault.at - at]! ^ 1;
      at += chunk.length;
      this.sent += part.length;
      client.write(part);
      if (fault?.kind === "truncate" && at >= fault.after) client.end(() => client.destroy());
    };
    let left = fault?.kind === "stall" ? fault.after : Number.POSITIVE_INFINITY;
    upstream.on("data", (all: Buffer) => {
      const chunk = all.subarray(0, left);
      left -= chunk.length;
      if (chunk.length === 0) return;
      if (fault?.kind === "lose-answer") {
        client.destroy();
        return;
      }
      if (head === undefined) {
        body(chunk);
        return;
      }
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end === -1) return;
      const rest = head.subarray(end + 4);
      const text = head.subarray(0, end).toString("latin1");
      head = undefined;
      client.write(`${fault?.kind === "head" ? fault.change(text) : text}\r\n\r\n`);
      if (rest.length > 0) body(rest);
    });
    if (fault?.kind === "stall") return;
    upstream.on("end", () => client.end());
    upstream.on("close", () => client.end());
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}
