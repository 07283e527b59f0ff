/**
 * The library for Node.js: the same functions as under Bun, each carried out by the program (`cooper api`), whose JSON
 * interface `cooper api --help` describes. COOPER_BIN names another program than the one of this package.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** @typedef {typeof import("../src/index.ts")} Library */
/** @typedef {import("../src/index.ts").Store} Store */
/** @typedef {import("../src/index.ts").Container} Container */
/** @typedef {import("../src/base/errors.ts").ErrorDetail} ErrorDetail */
/** @typedef {import("../src/index.ts").ErrorCode} ErrorCode */

/** Every failure; what its codes mean is said with the type ErrorCode. */
export class CooperError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message
   * @param {ErrorDetail} [detail]
   */
  constructor(code, message, detail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "CooperError";
    /** @readonly */ this.code = code;
    /** @readonly */ this.hint = detail.hint;
    /** @readonly */ this.location = detail.location;
    /** @readonly */ this.exitCode = detail.exitCode;
    /** @readonly */ this.output = detail.output;
    /** @readonly */ this.log = detail.log;
  }
}

const program = () => process.env.COOPER_BIN ?? fileURLToPath(new URL("../bin/cooper", import.meta.url));

/** Replaces what JSON has not; functions are collected in `callbacks`. @param {unknown} value @param {Call} call @returns {unknown} */
function encode(value, call) {
  if (typeof value === "function") return { $callback: call.callbacks.push(value) - 1 };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof AbortSignal) {
    call.signal = value;
    return { $signal: true };
  }
  if (Array.isArray(value)) return value.map((one) => encode(one, call));
  if (typeof value !== "object" || value === null) return value;
  if (stores.has(value)) {
    call.store = /** @type {Store} */ (value);
    return { $store: true };
  }
  if ("inherit" in value && value.inherit === true) call.inherit = true;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, encode(one, call)]));
}

/** @param {unknown} value @param {Store | undefined} store @returns {unknown} */
function decode(value, store) {
  if (Array.isArray(value)) return value.map((one) => decode(one, store));
  if (typeof value !== "object" || value === null) return value;
  if ("$bytes" in value && typeof value.$bytes === "string")
    return new Uint8Array(Buffer.from(value.$bytes, "base64"));
  if ("$container" in value)
    return containerHandle(/** @type {{ id: string, name: string }} */ (value.$container), store);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, decode(one, store)]));
}

/**
 * @typedef {object} Call
 * @property {Function[]} callbacks
 * @property {AbortSignal | undefined} signal
 * @property {Store | undefined} store
 * @property {boolean} inherit
 */

/** @type {WeakSet<object>} */
const stores = new WeakSet();

/** How much of what the program wrote to standard error is kept for the case that it ends without a reply. */
const KEPT = 8192;

/**
 * Calls a function, and yields what it yields; returns its result. An abort ends the program, which ends what it started
 * and cleans up.
 * @param {string} name
 * @param {unknown[]} args
 * @param {{ store?: Store | undefined, container?: string, flags?: string[], inherit?: boolean }} [on]
 * @returns {AsyncGenerator<unknown, unknown>}
 */
async function* converse(name, args, on = {}) {
  /** @type {Call} */
  const call = { callbacks: [], signal: undefined, store: on.store, inherit: on.inherit ?? false };
  const request = `${JSON.stringify({ args: args.map((one) => encode(one, call)) })}\n`;
  const { signal, store } = call;
  if (signal?.aborted) throw cancelled(signal);
  const flags = on.flags ?? (store === undefined ? [] : placesOf(store));
  const own = on.container === undefined ? [] : [on.container];
  const io = call.inherit ? "inherit" : "ignore";
  const child = spawn(program(), [...flags, "api", "--fd", "3", name, ...own], {
    env: { ...process.env, COOPER_ERRORS: "json" },
    stdio: [io, io, call.inherit ? "inherit" : "pipe", "pipe"],
  });
  const socket = /** @type {import("node:net").Socket} */ (child.stdio[3]);
  let complaints = "";
  child.stderr?.on("data", (data) => {
    complaints = (complaints + data).slice(-KEPT);
  });
  /** @type {Promise<{ status: number | null, by: string | null } | Error>} */
  const ended = new Promise((resolve) => {
    child.on("error", resolve);
    child.on("exit", (status, by) => resolve({ status, by }));
  });
  const abort = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", abort, { once: true });
  // A program that ends early does not read; what it replied says why.
  socket.on("error", () => {});
  socket.write(request);
  let left = true;
  try {
    for await (const line of linesOf(socket)) {
      const reply = JSON.parse(line);
      if ("callback" in reply)
        call.callbacks[reply.callback]?.(
          ...reply.args.map((/** @type {unknown} */ one) => decode(one, store)),
        );
      else if ("item" in reply) yield decode(reply.item, store);
      else {
        left = false;
        if ("result" in reply) return decode(reply.result ?? undefined, store);
        if (signal?.aborted) throw cancelled(signal);
        throw new CooperError(reply.error.code, reply.error.message, reply.error);
      }
    }
    left = false;
    const end = await ended;
    // What is in the pipe is read before it is asked for.
    if (child.stderr !== null && !child.stderr.readableEnded)
      await new Promise((resolve) => child.once("close", resolve));
    if (signal?.aborted) throw cancelled(signal);
    if (end instanceof Error)
      throw new CooperError("system", `Cannot run ${program()}: ${end.message}`, { cause: end });
    throw lastError(complaints) ?? silent(end.by ?? `status ${end.status}`, complaints);
  } finally {
    signal?.removeEventListener("abort", abort);
    // Nobody waits for the rest of what was left in the middle.
    if (left) abort();
    await ended;
    socket.destroy();
  }
}

/** What the program said when it ended before it called anything. @param {string} complaints */
function lastError(complaints) {
  try {
    const { code, message, ...detail } = JSON.parse(complaints.trimEnd().split("\n").at(-1) ?? "");
    return new CooperError(code, message, detail);
  } catch {
    return undefined;
  }
}

/** @param {string} end @param {string} complaints */
function silent(end, complaints) {
  return new CooperError("internal", `${program()} ended without a reply (${end}): ${complaints.trim()}`);
}

/** @param {AbortSignal} signal */
function cancelled(signal) {
  const { reason } = signal;
  return new CooperError("cancelled", reason instanceof Error ? reason.message : "Cancelled", {
    cause: reason,
  });
}

/** A connection that breaks has ended; why, the program tells elsewhere. @param {AsyncIterable<Buffer>} chunks */
async function* untilBroken(chunks) {
  try {
    yield* chunks;
  } catch {
    // As said.
  }
}

/** @param {AsyncIterable<Buffer>} chunks */
async function* linesOf(chunks) {
  /** @type {Buffer[]} */
  let begun = [];
  for await (const chunk of untilBroken(chunks)) {
    let at = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, at)) {
      yield Buffer.concat([...begun, chunk.subarray(at, end)]).toString("utf8");
      begun = [];
      at = end + 1;
    }
    begun.push(chunk.subarray(at));
  }
}

/**
 * A function of the library that gives one result.
 * @template {keyof Library} K
 * @param {K} name
 * @returns {Library[K]}
 */
function remote(name) {
  const call = async (/** @type {unknown[]} */ ...args) => {
    const { value } = await converse(name, args).next();
    return value;
  };
  return /** @type {Library[K]} */ (/** @type {unknown} */ (call));
}

/** @param {{ id: string, name: string }} named @param {Store | undefined} store @returns {Container} */
function containerHandle({ id, name }, store) {
  const method =
    (/** @type {string} */ method, inherit = false) =>
    async (/** @type {any[]} */ ...args) =>
      /** @type {any} */ (
        (await converse(`container.${method}`, args, { store, container: id, inherit }).next()).value
      );
  const remove = method("remove");
  return {
    id,
    name,
    mount: method("mount"),
    umount: method("umount"),
    run: method("run"),
    shell: method("shell", true),
    copy: method("copy"),
    add: method("add"),
    config: method("config"),
    addHistory: method("addHistory"),
    commit: method("commit"),
    rename: method("rename"),
    inspect: method("inspect"),
    remove,
    [Symbol.asyncDispose]: async () => {
      await remove().catch((error) => {
        if (!(error instanceof CooperError) || error.code !== "not-found") throw error;
      });
    },
  };
}

/** @param {Partial<Pick<Store, "root" | "runRoot" | "driver">>} places */
function placesOf({ root, runRoot, driver }) {
  const flags = { "--root": root, "--runroot": runRoot, "--storage-driver": driver };
  return Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
}

/** @type {Library["openStore"]} */
export async function openStore(options = {}) {
  const { value } = await converse("openStore", [], { flags: placesOf(options) }).next();
  const store = { .../** @type {Store} */ (value), [Symbol.asyncDispose]: async () => {} };
  stores.add(store);
  return store;
}

/**
 * Does nothing here: the program enters the namespace by itself.
 * @type {Library["enterUserNamespace"]}
 */
export async function enterUserNamespace() {}

/**
 * Does nothing here: no process holds the store between two calls.
 * @type {Library["leaveStore"]}
 */
export async function leaveStore() {}

/** @type {Library["diff"]} */
export async function* diff(...args) {
  yield* /** @type {ReturnType<Library["diff"]>} */ (converse("diff", args));
}

/** @type {Library["exportRoot"]} */
export async function* exportRoot(...args) {
  yield* /** @type {ReturnType<Library["exportRoot"]>} */ (converse("exportRoot", args));
}

/** @param {string} name @param {string} why @returns {() => Promise<never>} */
function absent(name, why) {
  return async () => {
    throw new CooperError("unsupported", `${name}() is not there under Node.js: ${why}`);
  };
}

export const executeUnshared = absent("executeUnshared", "this process cannot become another one");
export const runSandboxInit = absent("runSandboxInit", "it is the program's own");
export const openBuildLog = absent("openBuildLog", "write down the events of build() instead");

// Each of these is named in FUNCTIONS of src/cli/commands/api.ts too.
export const addArtifactToManifest = remote("addArtifactToManifest");
export const addToManifest = remote("addToManifest");
export const addToSource = remote("addToSource");
export const annotateManifest = remote("annotateManifest");
export const build = remote("build");
export const checkBuild = remote("checkBuild");
export const checkStore = remote("checkStore");
export const copy = remote("copy");
export const createManifest = remote("createManifest");
export const createSource = remote("createSource");
export const deleteImage = remote("deleteImage");
export const digestOfReference = remote("digestOfReference");
export const diskUsage = remote("diskUsage");
export const doctor = remote("doctor");
export const exploreImage = remote("exploreImage");
export const from = remote("from");
export const imageHistory = remote("imageHistory");
export const importImage = remote("importImage");
export const inspectImage = remote("inspectImage");
export const inspectManifest = remote("inspectManifest");
export const inspectReference = remote("inspectReference");
export const listContainers = remote("listContainers");
export const listImages = remote("listImages");
export const listTags = remote("listTags");
export const loadImages = remote("loadImages");
export const login = remote("login");
export const loginIsValid = remote("loginIsValid");
export const loginName = remote("loginName");
export const logout = remote("logout");
export const logoutAll = remote("logoutAll");
export const manifestExists = remote("manifestExists");
export const openContainer = remote("openContainer");
export const pruneImages = remote("pruneImages");
export const pull = remote("pull");
export const pullAll = remote("pullAll");
export const pullSource = remote("pullSource");
export const push = remote("push");
export const pushManifest = remote("pushManifest");
export const pushSource = remote("pushSource");
export const removeFromManifest = remote("removeFromManifest");
export const removeImage = remote("removeImage");
export const removeManifest = remote("removeManifest");
export const resolveImage = remote("resolveImage");
export const saveImages = remote("saveImages");
export const storeInfo = remote("storeInfo");
export const sync = remote("sync");
export const tagImage = remote("tagImage");
export const untagImage = remote("untagImage");
