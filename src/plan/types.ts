/**
 * A build as data. Planning decides: what is skipped, what each step is, where commits fall, what each key is;
 * execution only executes. Everything here is plain and serialisable.
 */
import type { Location } from "../base/errors.ts";
import type { EscapeToken, Instruction, Warning } from "../dockerfile/instruction.ts";
import type { ContainerConfig } from "../oci/types.ts";

/** Where a stage or a copy takes its files from. */
export type Origin =
  | { kind: "scratch" }
  /** A stage of this build, by its index. */
  | { kind: "stage"; stage: number }
  /** The main build context, or one given with --build-context. */
  | { kind: "context"; name: string | undefined }
  /** An image reference, expanded, as written; no platform means the stage's or the build's. */
  | { kind: "image"; reference: string; platform: string | undefined };

/** A stage before its base image is known. */
export interface StagePlan {
  index: number;
  /** Lower-case name after AS, if any. */
  name: string | undefined;
  base: Origin;
  /** Of FROM --platform, normalised (os/arch[/variant]); a stage on a stage has the platform of its base. */
  platform: string | undefined;
  /** `FROM …` as written, for progress. */
  text: string;
  /** Those after FROM. Empty when a --build-context of the stage's name replaces the stage. */
  instructions: Instruction[];
  /** The Dockerfile's escape character, for expansion. */
  escapeToken: EscapeToken;
  /** Names and values that an `ARG name` of this stage takes over: ARGs before FROM, and TARGETPLATFORM and its kin. */
  globalArgs: Record<string, string>;
  /** Stages that must be complete before this one can be; ONBUILD triggers of base images add more: withTriggers(). */
  needs: number[];
  location: Location;
}

/** `# check=…`: names of rules, or `all`. */
export interface CheckOptions {
  skip: string[];
  experimental: string[];
  error: boolean;
}

export interface BuildPlan {
  stages: StagePlan[];
  /** Names given by --build-context, normalised, for origins that are found later (ONBUILD). */
  contexts: string[];
  /** Warnings of the file and the graph; those of single stages are in ResolvedStage. */
  warnings: Warning[];
  /** Which warnings there are, and whether any fails the build: enforceChecks(). */
  checks: CheckOptions;
  /** Index of the stage that is the result. */
  target: number;
  /** Stages above the target run whether or not it needs them. */
  everyStage?: boolean;
  /** Indexes of the stages that run, by default those that the target needs, itself included, in an order that respects `needs`. */
  order: number[];
}

/** Source of a COPY or ADD. */
export type CopySource =
  /** A path or pattern below the origin's root: expanded, else as written ("../a" and "/a" are both "a"). */
  | { kind: "path"; pattern: string }
  /** `<<EOF`: content and file name. The content is a "name" (base/path-bytes.ts): encodeName() gives its bytes. Mode 0644. */
  | { kind: "inline"; name: string; content: string }
  /** ADD http(s)://…; `name` is the file's name below a destination that ends in a slash. Mode 0600. */
  | { kind: "url"; url: string; name: string }
  /** ADD of a git repository: `url` as written; `remote` is what git takes. */
  | {
      kind: "git";
      url: string;
      remote: string;
      ref: string | undefined;
      subdir: string | undefined;
      checksum: string | undefined;
      keepGitDir: boolean;
      submodules: boolean;
    };

export interface CopyOp {
  kind: "copy";
  /** ADD rather than COPY: URLs, git, archives are unpacked. */
  add: boolean;
  from: Origin;
  sources: CopySource[];
  /** Absolute or, with the working directory joined, absolute; a trailing slash is kept. */
  destination: string;
  /** `user[:group]` by name or number, as written; absent means 0:0 (COPY without --chown). */
  chown: string | undefined;
  /** Octal or symbolic, as written and expanded. */
  chmod: string | undefined;
  link: boolean;
  parents: boolean;
  exclude: string[];
  /** sha256:… of a URL source; that of a git source is in the source. */
  checksum: string | undefined;
  keepGitDir: boolean;
  /** Whether local archives (true: remote ones too) are unpacked; undefined: local ones, and only with ADD. */
  unpack: boolean | undefined;
}

/** Targets are absolute. `mode`, `uid`, `gid` of a cache apply when it is made. */
export type MountOp =
  | { type: "bind"; target: string; source: string; from: Origin; readOnly: boolean }
  | {
      type: "cache";
      target: string;
      id: string;
      sharing: "shared" | "private" | "locked";
      from: Origin | undefined;
      source: string;
      mode: number;
      uid: number;
      gid: number;
      readOnly: boolean;
    }
  /** `copyUp`: it begins with what it covers. */
  | { type: "tmpfs"; target: string; size: number | undefined; mode?: number; copyUp?: boolean }
  | {
      type: "secret";
      target: string | undefined;
      id: string;
      env: string | undefined;
      required: boolean;
      mode: number;
      uid: number;
      gid: number;
    }
  | {
      type: "ssh";
      target: string | undefined;
      id: string;
      required: boolean;
      mode: number;
      uid: number;
      gid: number;
    };

export interface RunOp {
  kind: "run";
  /** What is executed, the shell of SHELL included. */
  argv: string[];
  /** ENV and the declared build args, `KEY=value`, names unique; of two with one name the later instruction wins. */
  env: string[];
  /** The build args declared so far, with the values that the step sees: `RUN |2 A=1 B=2 …` of the history. */
  args: string[];
  /** HTTP_PROXY and its kin from undeclared build args: added to the environment, in no key and no history. */
  proxyEnv: string[];
  /** As in the config: name or number, `user[:group]`; empty is root. */
  user: string;
  cwd: string;
  mounts: MountOp[];
  network: "default" | "none" | "host";
  security: "sandbox" | "insecure";
  /**
   * The body of `RUN <<EOF` when it begins with `#!`: argv names the file /dev/pipes/NAME, which is to be there while
   * the step runs, read-only, mode 0755. The content is a "name", like argv and env: encodeName() gives its bytes.
   */
  script: { name: string; content: string } | undefined;
  /** Volumes of the config below which nothing that it writes is kept: absolute, none below another. */
  volumes?: string[];
}

/** WORKDIR: makes the directory and its parents, mode 0755, owned by `user` (looked up in the container); none for "/". */
export interface MkdirOp {
  kind: "mkdir";
  /** Absolute and clean. */
  path: string;
  user: string;
}

/** ENV, LABEL, CMD…: nothing but the config changes. */
export interface ConfigOp {
  kind: "config";
}

export type Op = RunOp | CopyOp | MkdirOp | ConfigOp;

/** One instruction, expanded, with everything that executing it needs. */
export interface Step {
  op: Op;
  /** The config after this step. */
  config: ContainerConfig;
  /** The author after this step (MAINTAINER). */
  author: string | undefined;
  /** A `# checkpoint` comment follows: the steps since the last one become a layer. */
  checkpoint: boolean;
  /** Line of the image's history; undefined for ONBUILD, which leaves none. Only `config` ops make no layer. */
  createdBy: string | undefined;
  /** The instruction as written (one line), for progress and errors. */
  text: string;
  location: Location;
}

/** What a stage, or an image, hands to the stage that is built on it. */
export interface StageState {
  /** With OnBuild: the triggers that the next stage runs. */
  config: ContainerConfig;
  author: string | undefined;
  /** ENV and ARG as the last step saw them; empty for an image. */
  env: string[];
  /** Declared build args; empty for an image. */
  args: { name: string; value: string | undefined }[];
  /** The Dockerfile has set a WORKDIR so far. */
  workdirSet?: boolean;
}

/** What resolveStage() gives for one stage. */
export interface ResolvedStage {
  /** Triggers of the base first. */
  steps: Step[];
  /** For the stages built on this one; its config and author are the image's when this is the target. */
  state: StageState;
  /** Build args declared in the stage or globally: given ones that no stage consumed are reported at the end. */
  usedArgs: string[];
  warnings: Warning[];
}
