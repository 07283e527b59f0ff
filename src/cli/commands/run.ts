import { existsSync, realpathSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { CooperError } from "../../base/errors.ts";
import type { RunOptions } from "../../index.ts";
import { defineCommand, onContainer } from "../command.ts";
import { HISTORY_FLAG } from "../history-flag.ts";
import { parseSecret } from "../build-values.ts";
import { writeResult } from "../json-flag.ts";
import { writeErr, writeOut } from "../output.ts";
import { warningsTo } from "../progress.ts";
import { HOST_FLAGS, RUN_FLAGS, RUNTIME_FLAGS, runSettings } from "../run-flags.ts";

/** buildah-run(1) */
export const command = defineCommand({
  name: "run",
  summary: "Run a command in a working container",
  usage: "CONTAINER [--] COMMAND [ARG…]",
  args: { min: 1, max: Number.POSITIVE_INFINITY, missing: "A container must be named" },
  flags: {
    ...RUN_FLAGS,
    ...HISTORY_FLAG,
    ...RUNTIME_FLAGS,
    cache: {
      type: "bool",
      help: "take what the command gave before on the same files, by this or in a Dockerfile; it gets no input",
    },
    contextdir: {
      type: "string",
      placeholder: "dir",
      help: "relative sources of --mount=type=bind are in this directory, and may not leave it",
    },
    device: HOST_FLAGS.device,
    env: {
      type: "list",
      short: "e",
      placeholder: "key[=value]",
      help: "set a variable for this command only; without a value, the host's",
    },
    hostname: { type: "string", placeholder: "name", help: "host name in the container" },
    json: {
      type: "bool",
      help: "print JSON when the command has ended: its exit status, whether it was cached, and what it wrote; it gets no input",
    },
    mount: {
      type: "list",
      placeholder: "type=bind|cache|tmpfs|secret,…",
      help: "mount something for this command: files of the host or (from=) of an image, a cache that later commands and Dockerfiles find again, a tmpfs, a secret",
    },
    "allow-secret-leak": {
      type: "list",
      placeholder: "id",
      help: "let the command leave this secret in the container; where it is becomes a warning",
    },
    "no-pivot": {
      type: "bool",
      help: "change the root without pivot_root(2), for roots on a ramdisk",
    },
    secret: {
      type: "list",
      placeholder: "id=name,src=file|env=variable[,cache-salt[=text]]",
      help: "secret for --mount=type=secret; what the command leaves in the container is searched for it",
    },
    terminal: { type: "bool", short: "t", help: "give the command a terminal" },
    tty: { type: "bool", help: "the same as --terminal", hidden: true },
    user: {
      type: "string",
      placeholder: "user[:group]",
      help: "who runs the command, in place of the container's user",
    },
    workingdir: {
      type: "string",
      placeholder: "dir",
      help: "where the command starts, in place of the container's directory",
    },
  },
  details: [
    "Flags end at the container's name: what follows belongs to the command. The exit status is the command's; 125 is Cooper's own.",
  ],
  examples: [
    "cooper run work -- apt-get update",
    "cooper run --user nobody --env LANG=C work id",
    "cooper run -t work /bin/bash",
    "cooper run --json work -- cat /etc/os-release",
    "cooper run --cache work -- make -C /src install",
    "cooper run --mount type=cache,id=apt,target=/var/cache/apt work -- apt-get install -y gcc",
    "cooper run --secret id=token,env=TOKEN --mount type=secret,id=token work -- cat /run/secrets/token",
    "cooper run --mount type=bind,from=docker.io/library/golang,src=/usr/local/go,dst=/go work -- /go/bin/go version",
  ],
  stopsAtFirstArgument: true,
  namespace: onContainer,
  async run({ args, flags, given, signal, globals, api, store }) {
    const [name, ...words] = args as [string, ...string[]];
    const argv = words[0] === "--" ? words.slice(1) : words;
    if (argv.length === 0)
      throw new CooperError("usage", "A command must be given", { hint: `cooper run ${name} -- COMMAND` });
    const terminal = flags.terminal || flags.tty;
    if (flags.json && terminal)
      throw new CooperError(
        "usage",
        "A command on a terminal has no JSON: give one of --json and --terminal",
      );
    const written = flags.json ? new Written() : undefined;
    const output = written ?? outputOf(flags.cache);
    const options: RunOptions = { ...runSettings(flags, given), ...output, cache: flags.cache, signal };
    options.onEvent = warningsTo(globals.logLevel);
    const env = flags.env.flatMap(environmentEntry);
    if (env.length > 0) options.env = env;
    if (flags.hostname !== undefined) options.hostname = flags.hostname;
    if (flags.mount.length > 0) options.mounts = flags.mount.map((text) => mountIn(flags.contextdir, text));
    if (flags.secret.length > 0) options.secrets = secretsOf(flags.secret, flags["allow-secret-leak"]);
    if (flags["allow-secret-leak"].length > 0) options.allowSecretLeaks = flags["allow-secret-leak"];
    if (terminal) options.terminal = true;
    if (flags.user !== undefined) options.user = flags.user;
    if (flags.workingdir !== undefined) options.workingDir = flags.workingdir;
    const { openContainer } = await api();
    const container = await openContainer(await store(), name);
    const { exitCode, cached, leaks = [], hint } = await container.run(argv, options);
    for (const leak of leaks) writeErr(`Warning: the container holds ${leak}\n`);
    if (written !== undefined) writeResult(true, { exitCode, cached, ...written.texts() }, []);
    else if (cached) writeErr("--> Using cache\n");
    if (exitCode !== 0) {
      throw new CooperError("run-failed", `The command in ${name} ended with exit status ${exitCode}`, {
        exitCode,
        ...(hint === undefined ? {} : { hint }),
      });
    }
    if (flags["add-history"]) await container.addHistory(`/bin/sh -c ${argv.join(" ")}`);
    return 0;
  },
});

/** A command that may be found in the cache has no input, and so no streams of this process's own. */
function outputOf(cache: boolean): RunOptions {
  return cache ? { onStdout: writeOut, onStderr: writeErr } : { inherit: true };
}

/** Standard input is the command's. Throws `usage`. */
function secretsOf(texts: string[], allowed: string[]): NonNullable<RunOptions["secrets"]> {
  const secrets = texts.map(parseSecret);
  if (secrets.some(({ kind, source }) => kind === "file" && source === "-"))
    throw new CooperError(
      "usage",
      "A secret for run cannot come from standard input, which is the command's",
      {
        hint: "give it as a file or a variable: --secret id=NAME,env=VARIABLE",
      },
    );
  const unknown = allowed.find((id) => secrets.every((secret) => secret.id !== id));
  if (unknown !== undefined)
    throw new CooperError("usage", `--allow-secret-leak names no secret of this run: ${unknown}`);
  return secrets;
}

/** What a command writes, kept until it ends. */
class Written {
  readonly #chunks = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  readonly onStdout = (chunk: Uint8Array) => void this.#chunks.stdout.push(chunk);
  readonly onStderr = (chunk: Uint8Array) => void this.#chunks.stderr.push(chunk);

  /** As UTF-8; of what is none, replacement characters. */
  texts(): { stdout: string; stderr: string } {
    const text = (chunks: Uint8Array[]) => Buffer.concat(chunks).toString();
    return { stdout: text(this.#chunks.stdout), stderr: text(this.#chunks.stderr) };
  }
}

/** The same mount with its source made absolute, where that is relative and there is a directory for it. */
function mountIn(contextDir: string | undefined, text: string): string {
  if (contextDir === undefined || /(?:^|,)(?:type=(?!bind(?:,|$))|from=)/.test(text)) return text;
  return text
    .split(",")
    .map((field) => {
      const [, key, source] = /^(source|src)=(.*)$/s.exec(field) ?? [];
      if (source === undefined || isAbsolute(source)) return field;
      return `${key}=${within(contextDir, source)}`;
    })
    .join(",");
}

/** Links are followed first: none leads out. */
function within(directory: string, source: string): string {
  const path = resolve(directory, source);
  const [root, real] = [directory, path].map((one) => (existsSync(one) ? realpathSync(one) : resolve(one)));
  if (real === root || real!.startsWith(`${root === "/" ? "" : root}/`)) return real!;
  throw new CooperError(
    "denied",
    `The source ${source} of a mount leaves the context directory ${directory}`,
  );
}

/** `KEY=value` stays; `KEY` takes the value of this process, and is nothing where there is none. */
function environmentEntry(text: string): string[] {
  if (text.includes("=")) return [text];
  const value = process.env[text];
  return value === undefined ? [] : [`${text}=${value}`];
}
