/** Machines that share a build cache: stores of their own, a registry with bases, and what tests ask of builds. */
import { afterAll, afterEach, beforeAll } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "../../src/oci/types.ts";
import { type Person, people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Result, type Site } from "../support/cooper.ts";
import { FaultProxy, startRegistry, type TestRegistry } from "../transport/registry-server.ts";

/** Who is enough where it does not matter who. */
export const first = people[0]!;

export class CacheLab {
  registry!: TestRegistry;
  /** Before the registry; it knows every request. */
  proxy!: FaultProxy;
  #shared: string[] = [];
  #open: Site[] = [];
  #repositories = 0;

  get base(): string {
    return `${this.proxy.host}/base:1`;
  }

  /** Base of builder stages: nobody needs its layers. */
  get toolBase(): string {
    return `${this.proxy.host}/tools:1`;
  }

  async open(): Promise<void> {
    this.registry = await startRegistry();
    this.proxy = await FaultProxy.start(this.registry.port);
    await using site = openSite(first);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    await site.ok("push", "--tls-verify=false", "localhost/busybox", this.base);
    writeFileSync(join(site.work, "Dockerfile"), "FROM localhost/busybox\nRUN echo tools > /tools\n");
    await site.ok("bud", "-t", "localhost/tools", site.work);
    await site.ok("push", "--tls-verify=false", "localhost/tools", this.toolBase);
  }

  close(): void {
    this.proxy[Symbol.dispose]();
    this.registry[Symbol.dispose]();
    for (const directory of this.#shared) rmSync(directory, { recursive: true, force: true });
  }

  /** Machines with a store each, until the end of the test. */
  machines<Owners extends Person[]>(...owners: Owners): { [index in keyof Owners]: Site } {
    const sites = owners.map((person) => openSite(person));
    this.#open.push(...sites);
    return sites as { [index in keyof Owners]: Site };
  }

  async closeMachines(): Promise<void> {
    for (const site of this.#open.splice(0)) await site[Symbol.asyncDispose]();
  }

  /** Path of a directory that is not there, where every machine may write. */
  sharedDirectory(): string {
    const directory = mkdtempSync("/var/tmp/cooper-cache-");
    this.#shared.push(directory);
    chmodSync(directory, 0o777);
    return join(directory, "cache");
  }

  newRepository(): string {
    return `${this.proxy.host}/cache${this.#repositories++}`;
  }

  /** A new place, as --cache-to and --cache-from name it. */
  places(kind: "registry" | "directory"): { to: string; from: string } {
    const place = kind === "registry" ? this.newRepository() : this.sharedDirectory();
    if (kind === "registry") return { to: place, from: place };
    return { to: `type=local,dest=${place}`, from: `type=local,src=${place}` };
  }

  /** Two stages, each on a base of its own; with FILES. */
  stages(): string {
    return `FROM ${this.toolBase} AS builder
RUN echo ran-one; mkdir /out; echo made > /out/file; head -c 300000 /dev/urandom > /big
RUN echo ran-two; echo more > /out/more
FROM ${this.base}
RUN echo ran-three; head -c 8 /dev/urandom | od -A n -t x1 > /random
WORKDIR /work
COPY --from=builder /out /out
COPY context-file .
RUN echo ran-four; cat /out/file /work/context-file > /all; rm /work/context-file
`;
  }

  /** Two steps. */
  simple(): string {
    return `FROM ${this.base}\nRUN echo ran-one; echo one > /one\nRUN echo ran-two; echo two > /two\n`;
  }
}

/** For all tests of a file. */
export function useCacheLab(): CacheLab {
  const lab = new CacheLab();
  beforeAll(() => lab.open());
  afterEach(() => lab.closeMachines());
  afterAll(() => lab.close());
  return lab;
}

export const FILES = { "context-file": "from the context\n" };

/** Builds as localhost/app. */
export function build(
  site: Site,
  dockerfile: string,
  flags: string[],
  files: Record<string, string> = {},
): Promise<Result> {
  const context = site.files({ Dockerfile: dockerfile, ...files });
  return site.cooper("bud", "--tls-verify=false", "--retry=0", "-t", "localhost/app", ...flags, context);
}

export async function built(...what: Parameters<typeof build>): Promise<string> {
  const { exitCode, stderr } = await build(...what);
  if (exitCode !== 0) throw new Error(`The build failed: ${stderr}`);
  return stderr;
}

/** What a file of localhost/app holds. */
export async function fileOf(site: Site, path: string): Promise<string> {
  return site.script(
    `c=$(cooper from localhost/app); cooper run $c -- cat ${path}; cooper rm $c > /dev/null`,
  );
}

/** Which of the steps that print `ran-NAME` were run. */
export const ran = (stderr: string) =>
  [...stderr.matchAll(/^(?:\[\w+\] )?ran-(\w+)$/gm)].map((match) => match[1]!);

export function blobsOf(directory: string): { name: string; size: number }[] {
  const blobs = join(directory, "blobs/sha256");
  return readdirSync(blobs).map((name) => ({ name, size: readFileSync(join(blobs, name)).length }));
}

export interface Entry {
  path: string;
  manifest: Manifest;
}

export function entriesOf(directory: string): Entry[] {
  return readdirSync(join(directory, "entries")).map((name) => {
    const path = join(directory, "entries", name);
    return { path, manifest: JSON.parse(readFileSync(path, "utf8")) as Manifest };
  });
}
