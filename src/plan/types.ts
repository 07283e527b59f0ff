/**
 * A build as data. Planning decides: what is skipped, what each step is, where commits fall, what each key is;
 * execution only executes. Everything here is plain and serialisable.
 */
import type { Location } from "../base/errors.ts";
import type { Instruction } from "../dockerfile/instruction.ts";
import type { ContainerConfig } from "../oci/types.ts";

/** Where a stage or a copy takes its files from. */
export type Origin =
  | { kind: "scratch" }
  /** A stage of this build, by its index. */
  | { kind: "stage"; stage: number }
  /** The main build context, or one given with --build-context. */
  | { kind: "context"; name: string | undefined }
  /** An image reference, expanded. */
  | { kind: "image"; reference: string; platform: string | undefined };

/** A stage before its base image is known. */
export interface StagePlan {
  index: number;
  /** Lower-case name after AS, if any. */
  name: string | undefined;
  base: Origin;
  platform: string | undefined;
  instructions: Instruction[];
  /** Names and values that global ARGs offer to this stage. */
  globalArgs: Record<string, string>;
  /** Stages that must be complete before this one can be; ONBUILD triggers may add more (Step.op.from). */
  needs: number[];
  location: Location;
}

export interface BuildPlan {
  stages: StagePlan[];
  /** Index of the stage that is the result. */
  target: number;
  /** Indexes of the stages that the target needs, itself included, in an order that respects `needs`. */
  order: number[];
}

/** Source of a COPY or ADD. */
export type CopySource =
  | { kind: "path"; pattern: string }
  /** `<<EOF`: content and file name. */
  | { kind: "inline"; name: string; content: string }
  /** ADD http(s)://… */
  | { kind: "url"; url: string }
  /** ADD of a git repository. */
  | { kind: "git"; url: string };

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
  checksum: string | undefined;
  keepGitDir: boolean;
  unpack: boolean | undefined;
}

export type MountOp =
  | { type: "bind"; target: string; source: string; from: Origin; readOnly: boolean }
  | { type: "cache"; target: string; id: string; sharing: "shared" | "private" | "locked"; from: Origin | undefined; source: string; mode: number; uid: number; gid: number; readOnly: boolean }
  | { type: "tmpfs"; target: string; size: number | undefined }
  | { type: "secret"; target: string | undefined; id: string; env: string | undefined; required: boolean; mode: number; uid: number; gid: number }
  | { type: "ssh"; target: string | undefined; id: string; required: boolean; mode: number; uid: number; gid: number };

export interface RunOp {
  kind: "run";
  /** What is executed, the shell of SHELL included. */
  argv: string[];
  /** ENV and the build args that the step sees, `KEY=value`; ENV wins. */
  env: string[];
  /** The build args among them, for the history line and the cache key. */
  args: string[];
  /** As in the config: name or number, `user[:group]`; empty is root. */
  user: string;
  cwd: string;
  mounts: MountOp[];
  network: "default" | "none" | "host";
  security: "sandbox" | "insecure";
  /** Files of heredocs that the shell reads, when the command is `RUN <<EOF` with another interpreter line. */
  script: string | undefined;
}

/** WORKDIR: makes the directory, with the owner that BuildKit gives it. */
export interface MkdirOp {
  kind: "mkdir";
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
  /** Line of the image's history. */
  createdBy: string;
  /** The instruction as written (one line), for progress and errors. */
  text: string;
  location: Location;
}

/** What resolve() gives for one stage. */
export interface ResolvedStage {
  steps: Step[];
  /** Build args declared in the stage or globally: given ones that no stage consumed are reported at the end. */
  usedArgs: string[];
  warnings: { message: string; location: Location }[];
}
