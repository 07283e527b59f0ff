/**
 * A Dockerfile as data: one value for each instruction, its words not yet expanded. Which positions are expanded,
 * and how, is the business of plan/resolve.ts; everything that can be judged without variables is judged in parsing.
 */
import type { Location } from "../base/errors.ts";

/** What every instruction knows about its place in the file. */
export interface InstructionSource {
  location: Location;
  /** The instruction's name as written ("FROM", "from"). */
  keyword: string;
  /** The logical line as written: continuations joined, comments gone, here-documents left out. */
  text: string;
  /** Texts of the comment lines directly above, without `#`. */
  comments: string[];
  /** A `# checkpoint` comment line follows, before the next instruction. */
  checkpoint: boolean;
}

/** `<<NAME`, `<<-NAME`, `<<"NAME"` with its body. */
export interface Heredoc {
  name: string;
  /** Lines as they stand in the file, each with its line end; the terminator is left out. */
  content: string;
  /** False when the delimiter is quoted: the body stays as it is. */
  expand: boolean;
  /** `<<-`: leading tabs go. */
  stripTabs: boolean;
}

/** The argument of RUN, CMD, ENTRYPOINT. */
export type CommandLine =
  | { form: "exec"; argv: string[] }
  /** For the shell of SHELL; `heredocs` only in RUN. */
  | { form: "shell"; text: string; heredocs: Heredoc[] };

export interface KeyValue {
  name: string;
  value: string;
  /** `ENV name value`, without `=`. */
  legacy: boolean;
}

/** `<<NAME` as a source of COPY and ADD; tabs already stripped. */
export interface InlineFile {
  name: string;
  content: string;
  expand: boolean;
}

export interface FromInstruction extends InstructionSource {
  kind: "from";
  base: string;
  /** Lower case. */
  name: string | undefined;
  platform: string | undefined;
}

export interface RunInstruction extends InstructionSource {
  kind: "run";
  command: CommandLine;
  /** Values of `--mount`, which are taken apart after expansion. */
  mounts: string[];
  network: "default" | "none" | "host";
  security: "sandbox" | "insecure";
  /** Values of `--device`. */
  devices: string[];
}

interface CopyFields {
  /** Paths, patterns, URLs; in BuildKit's order they come before the inline files. */
  sources: string[];
  inline: InlineFile[];
  destination: string;
  chown: string | undefined;
  chmod: string | undefined;
  link: boolean;
  exclude: string[];
}

export interface CopyInstruction extends InstructionSource, CopyFields {
  kind: "copy";
  from: string | undefined;
  parents: boolean;
}

export interface AddInstruction extends InstructionSource, CopyFields {
  kind: "add";
  checksum: string | undefined;
  keepGitDir: boolean | undefined;
  unpack: boolean | undefined;
}

export interface EnvInstruction extends InstructionSource {
  kind: "env";
  pairs: KeyValue[];
}

export interface LabelInstruction extends InstructionSource {
  kind: "label";
  pairs: KeyValue[];
}

export interface ArgInstruction extends InstructionSource {
  kind: "arg";
  args: { name: string; value: string | undefined }[];
}

export interface WorkdirInstruction extends InstructionSource {
  kind: "workdir";
  path: string;
}

export interface UserInstruction extends InstructionSource {
  kind: "user";
  user: string;
}

export interface ExposeInstruction extends InstructionSource {
  kind: "expose";
  /** Sorted as text, as BuildKit sorts them before it expands them. */
  ports: string[];
}

export interface VolumeInstruction extends InstructionSource {
  kind: "volume";
  paths: string[];
}

export interface CmdInstruction extends InstructionSource {
  kind: "cmd";
  command: CommandLine;
}

export interface EntrypointInstruction extends InstructionSource {
  kind: "entrypoint";
  command: CommandLine;
}

export interface ShellInstruction extends InstructionSource {
  kind: "shell";
  argv: string[];
}

export interface StopsignalInstruction extends InstructionSource {
  kind: "stopsignal";
  signal: string;
}

export interface HealthcheckInstruction extends InstructionSource {
  kind: "healthcheck";
  /** `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`, as the image config has it. */
  test: string[];
  /** Nanoseconds; 0 when not given. */
  interval: number;
  timeout: number;
  startPeriod: number;
  startInterval: number;
  retries: number;
}

export interface OnbuildInstruction extends InstructionSource {
  kind: "onbuild";
  /** The trigger's text, here-documents included: what goes into the config. */
  trigger: string;
}

export interface MaintainerInstruction extends InstructionSource {
  kind: "maintainer";
  author: string;
}

export type Instruction =
  | FromInstruction
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | EnvInstruction
  | LabelInstruction
  | ArgInstruction
  | WorkdirInstruction
  | UserInstruction
  | ExposeInstruction
  | VolumeInstruction
  | CmdInstruction
  | EntrypointInstruction
  | ShellInstruction
  | StopsignalInstruction
  | HealthcheckInstruction
  | OnbuildInstruction
  | MaintainerInstruction;

/** `\` or, with `# escape`, a backtick. */
export type EscapeToken = "\\" | "`";

/** What the `# name=value` lines at the head of the file say. */
export interface Directives {
  escapeToken: EscapeToken;
  /** A version hint; never fetched or executed. */
  syntax: string | undefined;
  /** `skip=…;error=true`, for `--check`. */
  check: string | undefined;
}

/** Something that BuildKit's build checks would report; `rule` is the name that BuildKit gives the check. */
export interface Warning {
  rule: string;
  message: string;
  location: Location;
}

/** What parseDockerfile() gives. */
export interface Dockerfile {
  file: string;
  instructions: Instruction[];
  directives: Directives;
  warnings: Warning[];
}
