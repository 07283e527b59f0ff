import { readSync } from "node:fs";
import { constants } from "node:os";
import { CooperError } from "../../base/errors.ts";
import { exitNow, prctl } from "../../base/process-calls.ts";
import type { Container, Store } from "../../index.ts";
import { type CommandContext, defineCommand, type FlagTable } from "../command.ts";
import { exitStatusOf } from "../exit-status.ts";
import { writeAll } from "../output.ts";

/** Functions of the API that other processes may call, and whether they work on file trees. */
export const FUNCTIONS: Record<string, "records" | "files"> = {
  addArtifactToManifest: "files",
  addToManifest: "files",
  addToSource: "records",
  annotateManifest: "files",
  build: "files",
  checkBuild: "files",
  checkStore: "files",
  copy: "files",
  createManifest: "files",
  createSource: "records",
  diff: "files",
  deleteImage: "records",
  digestOfReference: "records",
  diskUsage: "files",
  doctor: "records",
  exploreImage: "files",
  exportRoot: "files",
  from: "files",
  imageHistory: "records",
  importImage: "files",
  inspectImage: "records",
  inspectManifest: "records",
  inspectReference: "records",
  listContainers: "records",
  listImages: "records",
  listTags: "records",
  loadImages: "files",
  login: "records",
  loginIsValid: "records",
  loginName: "records",
  logout: "records",
  logoutAll: "records",
  manifestExists: "records",
  openContainer: "records",
  openStore: "records",
  pruneImages: "files",
  pull: "files",
  pullAll: "files",
  pullSource: "records",
  push: "files",
  pushManifest: "files",
  pushSource: "records",
  removeFromManifest: "files",
  removeImage: "files",
  removeManifest: "files",
  resolveImage: "records",
  saveImages: "files",
  storeInfo: "records",
  sync: "records",
  tagImage: "records",
  untagImage: "records",
};

/** Methods of a container's handle. */
const METHODS = [
  "add",
  "addHistory",
  "commit",
  "config",
  "copy",
  "inspect",
  "mount",
  "remove",
  "rename",
  "run",
  "shell",
  "umount",
] as const satisfies (keyof Container)[];

const FLAGS = {
  fd: {
    type: "int",
    placeholder: "number",
    help: "read the request from this file descriptor and reply on it, which leaves standard input and output to a command that is run",
  },
} as const satisfies FlagTable;

const PR_SET_PDEATHSIG = 1;
const TERMINATED = 128 + constants.signals.SIGTERM;

/** Cooper's own: what `node/index.js` drives, and other languages may. */
export const command = defineCommand({
  name: "api",
  summary: "Call a function of the library, with JSON in and out",
  usage: "FUNCTION | container.METHOD CONTAINER",
  args: { min: 1, max: 2, missing: "A function of the library must be named" },
  flags: FLAGS,
  details: [
    'A request is one line on standard input: {"args": […]}, the function\'s arguments, without the container for a method. {"$store": true} stands for the store, {"$callback": 1} for a function, whose calls are replied as {"callback": 1, "args": […]}, {"$signal": true} for a signal that SIGTERM aborts, {"$bytes": "…"} for bytes in base64.',
    'Replies are lines on standard output, the last of them {"result": …} or {"error": {"code": …, "message": …}}; what a function yields one by one comes as {"item": …} before it.',
  ],
  examples: [
    `echo '{"args": [{"$store": true}]}' | cooper api listImages`,
    `echo '{"args": [["make", "install"]]}' | cooper api container.run work`,
  ],
  namespace: (args) => {
    const [name = "", container] = args;
    if (container !== undefined) return name === "container.inspect" ? undefined : { container };
    return FUNCTIONS[name] === "files" ? {} : undefined;
  },
  async run(context) {
    const { flags } = context;
    // On a socket somebody waits; when that process is gone, so is the reason for the work.
    if (flags.fd !== undefined) prctl(PR_SET_PDEATHSIG, constants.signals.SIGTERM);
    const reply = (line: object) => writeAll(flags.fd ?? 1, `${JSON.stringify(line)}\n`);
    const { encodeValue } = await import("../call-values.ts");
    try {
      reply({ result: encodeValue(await answer(context, reply)) ?? null });
      return 0;
    } catch (error) {
      const { errorFields } = await import("../raw-json.ts");
      reply({ error: errorFields(error) });
      return exitStatusOf(error);
    }
  },
});

async function answer(
  context: CommandContext<typeof FLAGS>,
  reply: (line: object) => void,
): Promise<unknown> {
  const { args, flags, signal, api, store } = context;
  const [name, container] = args as [string, string | undefined];
  const method = METHODS.find((known) => name === `container.${known}`);
  if (method === undefined && !Object.hasOwn(FUNCTIONS, name))
    throw new CooperError("usage", `The library has no function ${JSON.stringify(name)} to be called`);
  if ((method === undefined) !== (container === undefined))
    throw new CooperError("usage", "A container is named for a method of containers, and for nothing else");
  const { decodeValue, encodeValue } = await import("../call-values.ts");
  const request = readRequest(flags.fd ?? 0);
  // Without a signal of the caller's nothing ends the work but the end of the process, which harms no store.
  if (!mentions(request, "$signal")) signal.addEventListener("abort", () => exitNow(TERMINATED));
  const library: Record<string, unknown> = await api();
  const opened = asksForStore(name, request) ? await store() : undefined;
  const values = request.map((value) =>
    decodeValue(value, {
      store: opened,
      signal,
      event: (callback, given) => reply({ callback, args: given.map(encodeValue) }),
    }),
  );
  const call = (
    method === undefined
      ? library[name]
      : (await (library.openContainer as OpenContainer)(opened!, container!))[method]
  ) as (...args: unknown[]) => unknown;
  if (name === "openStore") return locationOf(opened!);
  const result = call(...values);
  if (!isIterable(result)) return await result;
  for await (const item of result) reply({ item: encodeValue(item) });
  return null;
}

/** A function that knows no store must not make one. */
function asksForStore(name: string, request: unknown[]): boolean {
  return name === "openStore" || name.startsWith("container.") || mentions(request, "$store");
}

function mentions(request: unknown[], mark: string): boolean {
  return JSON.stringify(request).includes(`{"${mark}":true}`);
}

type OpenContainer = (store: Store, name: string) => Promise<Container>;

function locationOf({ root, runRoot, driver }: Store): object {
  return { root, runRoot, driver };
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

/** The arguments in the first line. The descriptor may stay open behind it. */
function readRequest(fd: number): unknown[] {
  const line = readLine(fd);
  try {
    const { args } = JSON.parse(line) as { args?: unknown };
    if (Array.isArray(args)) return args;
  } catch {
    // Said below.
  }
  throw new CooperError("usage", "The request is not a line of JSON with the arguments", {
    hint: '{"args": […]}',
  });
}

function readLine(fd: number): string {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = Buffer.alloc(65536);
    const length = readSync(fd, piece, 0, piece.length, null);
    const end = piece.subarray(0, length).indexOf(10);
    pieces.push(piece.subarray(0, end === -1 ? length : end));
    if (length === 0 || end !== -1) return Buffer.concat(pieces).toString("utf8");
  }
}
