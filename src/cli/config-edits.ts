/** From `config`'s flags to edits of a container's config. */
import { CooperError } from "../base/errors.ts";
import type { ConfigEdits, ContainerDetails } from "../index.ts";
import type { FlagTable } from "./command.ts";
import { jsonWords, splitWords } from "./shell-words.ts";
import { parseDuration } from "./units.ts";

/** buildah-config(1) */
export const CONFIG_FLAGS = {
  annotation: {
    type: "list",
    short: "a",
    placeholder: "key=value",
    help: "annotation of the manifest; `key-` removes one, `-` all",
  },
  arch: { type: "string", placeholder: "arch", help: "the image's architecture" },
  author: { type: "string", placeholder: "text", help: "who maintains the image" },
  cmd: {
    type: "string",
    placeholder: "command",
    help: "default command or arguments, as words or a JSON array; empty for none",
  },
  "created-by": { type: "string", placeholder: "text", help: "how the next commit's layer came to be" },
  domainname: { type: "string", placeholder: "name", help: "domain name (docker format)" },
  entrypoint: {
    type: "string",
    placeholder: "command",
    help: "entry point, as a JSON array, or as one line for /bin/sh -c; empty for none",
  },
  env: {
    type: "list",
    short: "e",
    placeholder: "key[=value]",
    help: "variable for containers; $NAME in the value is the container's; without a value, the host's; `key-` removes one, `-` all",
  },
  healthcheck: {
    type: "string",
    placeholder: "command",
    help: 'health check: "CMD …", "CMD-SHELL …", NONE, or a shell command; empty for none',
  },
  "healthcheck-interval": { type: "string", placeholder: "duration", help: "time between health checks" },
  "healthcheck-retries": {
    type: "int",
    placeholder: "number",
    help: "failures until it counts as unhealthy",
  },
  "healthcheck-start-interval": {
    type: "string",
    placeholder: "duration",
    help: "time between health checks after the start, until one succeeds",
  },
  "healthcheck-start-period": {
    type: "string",
    placeholder: "duration",
    help: "time after the start in which failures do not count",
  },
  "healthcheck-timeout": {
    type: "string",
    placeholder: "duration",
    help: "longest time that a check may take",
  },
  comment: { type: "string", placeholder: "text", help: "comment on the image (docker format)" },
  "history-comment": {
    type: "string",
    placeholder: "text",
    help: "comment in the history of the next commit",
  },
  hostname: { type: "string", placeholder: "name", help: "host name (docker format)" },
  label: { type: "list", short: "l", placeholder: "key=value", help: "label; `key-` removes one, `-` all" },
  onbuild: {
    type: "list",
    placeholder: "instruction",
    help: "instruction for builds that start from the image; `-` removes all",
  },
  os: { type: "string", placeholder: "os", help: "the image's operating system" },
  "os-feature": {
    type: "commaList",
    placeholder: "feature",
    help: "required feature of the operating system; `feature-` removes one, `-` all",
  },
  "os-version": { type: "string", placeholder: "version", help: "required version of the operating system" },
  port: {
    type: "commaList",
    short: "p",
    placeholder: "port[/protocol]",
    help: "port that containers listen on; `port-` removes one, `-` all",
  },
  shell: { type: "string", placeholder: "command", help: "shell for RUN, as words or a JSON array" },
  "stop-signal": { type: "string", placeholder: "signal", help: "signal that stops a container" },
  unsetannotation: { type: "commaList", placeholder: "key", help: "take an annotation away" },
  unsetlabel: { type: "commaList", placeholder: "key", help: "take a label away" },
  user: { type: "string", short: "u", placeholder: "user[:group]", help: "who runs the command" },
  variant: { type: "string", placeholder: "variant", help: "variant of the image's architecture" },
  volume: {
    type: "commaList",
    short: "v",
    placeholder: "path",
    help: "path that is a volume; `path-` removes one, `-` all",
  },
  workingdir: { type: "string", placeholder: "dir", help: "where commands start" },
} as const satisfies FlagTable;

type Values = {
  [K in keyof typeof CONFIG_FLAGS]: (typeof CONFIG_FLAGS)[K]["type"] extends "list" | "commaList"
    ? string[]
    : (typeof CONFIG_FLAGS)[K]["type"] extends "int"
      ? number | undefined
      : string | undefined;
};

/** What the flags change. `current` is the container as it is: $NAME and health checks build on it. Throws `usage`. */
export function configEdits(
  flags: Values,
  given: ReadonlySet<string>,
  current: ContainerDetails,
): ConfigEdits {
  const edits: ConfigEdits = {};
  const text = <K extends keyof ConfigEdits>(key: K, value: ConfigEdits[K] | undefined) => {
    if (value !== undefined) edits[key] = value;
  };
  const list = <K extends keyof ConfigEdits>(key: K, flag: string, value: ConfigEdits[K]) => {
    if (given.has(flag)) edits[key] = value;
  };
  text("user", flags.user);
  text("workingDir", flags.workingdir);
  text("stopSignal", flags["stop-signal"]);
  text("hostname", flags.hostname);
  text("domainname", flags.domainname);
  text("author", flags.author);
  text("comment", flags.comment);
  text("os", flags.os);
  text("architecture", flags.arch);
  text("variant", flags.variant);
  text("osVersion", flags["os-version"]);
  text("createdBy", flags["created-by"]);
  text("historyComment", flags["history-comment"]);
  list("labels", "label", flags.label);
  list("annotations", "annotation", flags.annotation);
  list("ports", "port", flags.port);
  list("volumes", "volume", flags.volume);
  list("onBuild", "onbuild", flags.onbuild);
  list("unsetLabels", "unsetlabel", flags.unsetlabel);
  list("unsetAnnotations", "unsetannotation", flags.unsetannotation);
  list("osFeatures", "os-feature", flags["os-feature"]);
  if (given.has("env")) edits.env = environment(flags.env, current.config.config?.Env ?? []);
  if (flags.entrypoint !== undefined) edits.entrypoint = parseEntrypoint(flags.entrypoint);
  if (flags.cmd !== undefined) edits.cmd = parseCommand(flags.cmd);
  if (flags.shell !== undefined) edits.shell = jsonWords(flags.shell) ?? splitWords(flags.shell, "--shell");
  const healthcheck = parseHealthcheck(flags, current);
  if (healthcheck !== undefined) edits.healthcheck = healthcheck;
  return edits;
}

function parseEntrypoint(text: string): string[] | null {
  if (text.trim() === "") return null;
  const words = jsonWords(text);
  if (words === undefined) return ["/bin/sh", "-c", text];
  return words.length === 0 ? null : words;
}

function parseCommand(text: string): string[] | null {
  const words = jsonWords(text) ?? splitWords(text, "--cmd");
  return words.length === 0 ? null : words;
}

/** `KEY=value` with the container's variables expanded, `KEY` with this process's value, `KEY-` and `-` as they are. */
function environment(entries: string[], current: string[]): string[] {
  const known = new Map(current.map((entry) => splitEntry(entry)));
  return entries.map((entry) => {
    if (entry === "-") known.clear();
    if (entry === "-") return entry;
    if (!entry.includes("=") && entry.endsWith("-")) {
      known.delete(entry.slice(0, -1));
      return entry;
    }
    const [key, given] = entry.includes("=") ? splitEntry(entry) : [entry, process.env[entry]];
    if (given === undefined || key === "") {
      throw new CooperError("usage", `Cannot set the variable ${JSON.stringify(entry)}: it has no value`, {
        hint: "write KEY=value; KEY alone takes the value from your environment, where it is not set",
      });
    }
    const value = entry.includes("=") ? expand(given, known) : given;
    known.set(key, value);
    return `${key}=${value}`;
  });
}

function splitEntry(entry: string): [string, string] {
  const at = entry.indexOf("=");
  return at === -1 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
}

/** $NAME and ${NAME}; unknown ones are empty, as in Go's os.Expand. */
function expand(value: string, known: Map<string, string>): string {
  return value.replace(
    /\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))/g,
    (_all, braced?: string, bare?: string) => {
      return known.get(braced ?? bare ?? "") ?? "";
    },
  );
}

/** The health check of buildah-config(1), with Docker's meaning of a plain command: it is one for the shell. */
function parseHealthcheck(flags: Values, current: ContainerDetails): ConfigEdits["healthcheck"] {
  const command = flags.healthcheck;
  const interval = flags["healthcheck-interval"];
  const timeout = flags["healthcheck-timeout"];
  const startPeriod = flags["healthcheck-start-period"];
  const startInterval = flags["healthcheck-start-interval"];
  const retries = flags["healthcheck-retries"];
  if ([command, interval, timeout, startPeriod, startInterval, retries].every((value) => value === undefined))
    return undefined;
  if (command === "") return null;
  const second = 1e9;
  const check = {
    ...(current.config.config?.Healthcheck ?? {
      Test: ["NONE"],
      Interval: 30 * second,
      Timeout: 30 * second,
      Retries: 3,
    }),
  };
  if (command !== undefined) check.Test = healthTest(command);
  if (interval !== undefined) check.Interval = parseDuration(interval, "--healthcheck-interval");
  if (timeout !== undefined) check.Timeout = parseDuration(timeout, "--healthcheck-timeout");
  if (startPeriod !== undefined) check.StartPeriod = parseDuration(startPeriod, "--healthcheck-start-period");
  if (startInterval !== undefined)
    check.StartInterval = parseDuration(startInterval, "--healthcheck-start-interval");
  if (retries !== undefined) check.Retries = retries;
  return check;
}

function healthTest(command: string): string[] {
  const array = jsonWords(command);
  if (array !== undefined) return /^(CMD|CMD-SHELL|NONE)$/.test(array[0] ?? "") ? array : ["CMD", ...array];
  const [, kind, rest = ""] = /^(CMD-SHELL|CMD|NONE)(?:\s+(.*))?$/s.exec(command.trim()) ?? [];
  if (kind === "NONE") return ["NONE"];
  if (kind === "CMD") return ["CMD", ...(jsonWords(rest) ?? splitWords(rest, "--healthcheck"))];
  return ["CMD-SHELL", kind === undefined ? command : rest];
}
