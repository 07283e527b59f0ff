/** --sbom: programs of a scanner's image look at what is to be an image, and tell what is in it (buildah-build(1)). */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { CooperError, messageOf, wrapError } from "../base/errors.ts";
import type { EventSink } from "../base/events.ts";
import { containerBase } from "../container/container-base.ts";
import { placeHostFile } from "../container/copy-in.ts";
import { runInTree } from "../container/run-in-tree.ts";
import { runSpec } from "../container/run-spec.ts";
import {
  createBuildContainer,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import { obtainImage, type PullPolicy } from "../image/obtain-image.ts";
import { mergeSboms, type SbomMerge } from "../oci/merge-sboms.ts";
import { withShell } from "../plan/resolve-run.ts";
import type { RunMount, RunSpec, Sandbox } from "../sandbox/types.ts";
import { readConfig } from "../store/images.ts";
import type { DriverName, StoreFiles } from "../store/store.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import { OutputTail } from "./output-tail.ts";

export interface SbomRequest {
  /** The scanner's. */
  image: string;
  pull: PullPolicy;
  /**
   * What is run in it, one after the other: words, or a line for its shell. {ROOTFS} is where the files are, {OUTPUT} the
   * file to write; a command with {CONTEXT} is run for each build context.
   */
  commands: (string | string[])[];
  merge: SbomMerge;
  /** Files of the host that get the result, and the package URLs in it. */
  output?: string;
  purlOutput?: string;
  /** Paths in the image that do. */
  imageOutput?: string;
  imagePurlOutput?: string;
}

/** Where it is done. */
export interface ScanSite {
  store: StoreFiles;
  driver: DriverName;
  sandbox: Sandbox;
  registry: RegistrySettings;
  onEvent: EventSink;
  signal: AbortSignal | undefined;
}

export interface Scan {
  sbom: Buffer;
  purls: Buffer;
}

const ROOTFS = "/.rootfs";
const SCANS = "/.scans";

/** Scans a mounted root, and directories of build contexts. Throws `run-failed` with a scanner's status, `not-found`. */
export async function scanRoot(
  site: ScanSite,
  request: SbomRequest,
  root: string,
  contexts: string[],
): Promise<Scan> {
  const commands = resolvedCommands(request.commands, contexts.length);
  if (commands.length === 0)
    throw new CooperError("usage", "No command of the SBOM scanner is about anything that there is", {
      hint: "Name {ROOTFS}, or where there is a build context {CONTEXT}, in an --sbom-scanner-command",
    });
  const directory = site.store.session.path("scans");
  mkdirSync(directory);
  // Whoever the scanner runs as.
  chmodSync(directory, 0o777);
  const seen = (source: string, target: string) =>
    ({ type: "bind", source, target, readOnly: true }) as const;
  const mounts: RunMount[] = [
    { type: "bind", source: directory, target: SCANS, lend: true },
    seen(root, ROOTFS),
    ...contexts.map((path, index) => seen(path, `/.context${index}`)),
  ];
  const scanner = await openScanner(site, request);
  const tree = treeOf(site.store, scanner);
  const driver = snapshotter(scanner);
  try {
    const scannerRoot = driver.mount(tree);
    const results: Buffer[] = [];
    for (const command of commands) {
      const name = `scan${results.length}.json`;
      const words = replaced(command, "{OUTPUT}", `${SCANS}/${name}`);
      const argv = typeof words === "string" ? withShell(scanner.image.config ?? {}, words) : words;
      await runScanner(site, scanner, runSpec(scanner, scannerRoot, { argv, mounts }));
      results.push(readResult(join(directory, name), argv));
    }
    return mergeSboms(request.merge, results);
  } finally {
    driver.unmount(tree, true);
    driver.remove(tree);
  }
}

async function openScanner(site: ScanSite, { image, pull }: SbomRequest): Promise<WorkingContainer> {
  const { store, driver, registry, onEvent, signal } = site;
  const found = await obtainImage(store, image, pull, { registry, onEvent, signal });
  const base = containerBase(store, found);
  const parts = { driver, base, frozen: [], image: readConfig(store, found), annotations: {}, run: {} };
  return createBuildContainer(store, parts);
}

async function runScanner(
  { store, sandbox, onEvent, signal }: ScanSite,
  scanner: WorkingContainer,
  spec: RunSpec,
): Promise<void> {
  const tail = new OutputTail();
  const onOutput = (stream: "stdout" | "stderr") => (data: Uint8Array) => {
    tail.add(data);
    onEvent({ type: "output", stream, data });
  };
  const { exitCode } = await runInTree(store, scanner, sandbox, spec, {
    onStdout: onOutput("stdout"),
    onStderr: onOutput("stderr"),
    ...(signal === undefined ? {} : { signal }),
  });
  if (exitCode === 0) return;
  throw new CooperError(
    "run-failed",
    `The SBOM scanner's command "${spec.argv.join(" ")}" failed: exit status ${exitCode}`,
    { exitCode, output: tail.text() },
  );
}

/** One command for each context that it is about; those that are about nothing that there is are left out, as in Buildah. */
function resolvedCommands(commands: SbomRequest["commands"], contexts: number): SbomRequest["commands"] {
  return commands.flatMap((command) => {
    const mentions = (name: string) => [command].flat().some((word) => word.includes(name));
    if (contexts > 0 && mentions("{CONTEXT}"))
      return Array.from({ length: contexts }, (_, index) =>
        replaced(command, "{CONTEXT}", `/.context${index}`),
      );
    return mentions("{ROOTFS}") ? [replaced(command, "{ROOTFS}", ROOTFS)] : [];
  });
}

function replaced(command: string | string[], name: string, value: string): string | string[] {
  return typeof command === "string"
    ? command.replaceAll(name, () => value)
    : command.map((word) => word.replaceAll(name, () => value));
}

/** Bytes of one scan; what is longer is not what a scanner tells. */
const LONGEST_SCAN = 256 << 20;

/** A scanner's image is anybody's: what it left is read as a file of its own or not at all, no link of it to the host's. */
function readResult(path: string, argv: string[]): Buffer {
  const bad = (why: string, cause?: unknown) =>
    new CooperError("invalid", `The SBOM scanner's command "${argv.join(" ")}" left no {OUTPUT}: ${why}`, {
      cause,
    });
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw bad(messageOf(error), error);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw bad("it is no file");
    if (stat.size > LONGEST_SCAN) throw bad(`it has more than ${LONGEST_SCAN >> 20} MiB`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Puts what is for the image into its mounted root, root's and with mode 0644; returns the paths. */
export async function placeScan(
  { store, signal }: Pick<ScanSite, "store" | "signal">,
  { imageOutput, imagePurlOutput }: SbomRequest,
  { sbom, purls }: Scan,
  root: string,
): Promise<string[]> {
  const placed: string[] = [];
  for (const [path, content] of [
    [imageOutput, sbom],
    [imagePurlOutput, purls],
  ] as const) {
    if (path === undefined) continue;
    const destination = resolve("/", path);
    const directory = store.session.path("scanned");
    mkdirSync(directory);
    const file = join(directory, basename(destination));
    writeFileSync(file, content);
    await placeHostFile(file, { root, destination, signal });
    placed.push(destination);
  }
  return placed;
}

/** Writes what is for the host. */
export function writeScan({ output, purlOutput }: SbomRequest, { sbom, purls }: Scan): void {
  for (const [path, content] of [
    [output, sbom],
    [purlOutput, purls],
  ] as const) {
    if (path === undefined) continue;
    try {
      writeFileSync(path, content);
    } catch (error) {
      throw wrapError(`Cannot write the SBOM to ${path}`, error);
    }
  }
}
