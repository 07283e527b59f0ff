/** What happens during long work, as data. Producers know no renderer; the CLI (or a caller's own code) shows it. */
import type { Location } from "./errors.ts";

/** One Dockerfile step, as events name it. */
export interface StepLabel {
  /** Stage name, or its number as text. */
  stage: string;
  /** What it is built for, `os/architecture[/variant]`, where the build is for several platforms. */
  platform?: string;
  /** Number of the step within its build, from 1, and how many there are. */
  index: number;
  total: number;
  /** The instruction as the user reads it: `RUN make`. */
  text: string;
  location?: Location;
}

/** Why a step was run and not taken from the cache. */
export interface StepMiss {
  /**
   * `asked`: the cache was not to be used. `new`: nothing is known of such a step at its place in the Dockerfile. `changed`:
   * see `changes`. `forgotten`: all is as it was, but the cache has not got it any more, or only something too old.
   */
  reason: "asked" | "new" | "changed" | "forgotten";
  /** Since the step was last run. */
  changes: InputChange[];
}

/** One part of what decides about a step's result, and how it differs. */
export interface InputChange {
  /** For people: `build arg VERSION`, `files of the context`. */
  input: string;
  kind: "added" | "changed" | "removed";
  /** What the instruction was. */
  before?: string;
  /** The step whose being run made it differ. */
  step?: number;
  /** Of files that a COPY or ADD took: which, by where they went, and how many more. */
  files?: FileDifference[];
  filesOmitted?: number;
}

export interface FileDifference {
  kind: "added" | "changed" | "removed";
  path: string;
}

export type BuildEvent =
  | { type: "step-start"; step: StepLabel }
  /** `from` is the remote cache that had it, `sharedWith` the equal step of another stage that this build ran for both. */
  | {
      type: "step-done";
      step: StepLabel;
      cached: boolean;
      from?: string;
      sharedWith?: { stage: string; index: number };
      milliseconds: number;
    }
  /** `cancelled`: it did not fail itself, but was ended because something else did, or by the user. */
  | { type: "step-failed"; step: StepLabel; cancelled: boolean; milliseconds: number }
  | { type: "output"; step?: StepLabel; stream: "stdout" | "stderr"; data: Uint8Array }
  /** `platform` as in StepLabel. */
  | { type: "commit-start"; name: string | undefined; platform?: string }
  /** Bytes of layers that were hashed so far; how many there will be is not known before. */
  | { type: "commit-progress"; name: string | undefined; platform?: string; done: number }
  | { type: "commit-done"; name: string | undefined; platform?: string; imageId: string }
  | {
      type: "blob";
      action: "pull" | "push";
      digest: string;
      done: number;
      total: number | undefined;
      skipped?: boolean;
    }
  /** A shell in the state before a failed step has the terminal (`open`), or gave it back. */
  | { type: "debug-shell"; step: StepLabel; open: boolean }
  /** What was exported to a remote cache: how many entries there are of this build, how many of them were written. */
  | { type: "cache-exported"; place: string; entries: number; written: number; bytes: number }
  /** `rule` is the name of a build check. */
  | { type: "warning"; message: string; rule?: string; location?: Location };

/** Receives events as they happen; must not throw. */
export type EventSink = (event: BuildEvent) => void;

/** For callers that do not care. */
export const ignoreEvents: EventSink = () => {};
