/** Turns what a build tells while it runs into the report about it. */
import type { BuildReport, ImageReport, StageReport, StepReport } from "../api-types.ts";
import { CooperError, messageOf } from "../base/errors.ts";
import type { BuildEvent, StepLabel, StepMiss } from "../base/events.ts";
import { redactedValue } from "../build/redact-output.ts";
import { Needles } from "../build/secret-needles.ts";

export class BuildRecording {
  readonly #started = new Date();
  readonly #zero = performance.now();
  /** By name and platform. */
  readonly #stages = new Map<string, StageReport>();
  readonly #warnings: BuildReport["warnings"] = [];
  #commit: BuildReport["commit"];

  onEvent(event: BuildEvent): void {
    switch (event.type) {
      case "step-start":
        this.#begin(event.step);
        return;
      case "step-done": {
        const step = this.#step(event.step);
        step.milliseconds = rounded(event.milliseconds);
        if (event.step.index === 1) step.outcome = "base";
        else if (event.cached) step.outcome = "cached";
        else step.outcome = step.miss === undefined ? "config" : "run";
        if (event.from !== undefined) step.from = event.from;
        if (event.sharedWith !== undefined)
          step.sharedWith = { stage: event.sharedWith.stage, number: event.sharedWith.index };
        return;
      }
      case "step-failed": {
        const step = this.#step(event.step);
        step.milliseconds = rounded(event.milliseconds);
        step.outcome = event.cancelled ? "unfinished" : "failed";
        return;
      }
      case "commit-start":
        this.#commit ??= { start: this.#now(), milliseconds: 0 };
        return;
      case "commit-done":
        if (this.#commit !== undefined) this.#commit.milliseconds = rounded(this.#now() - this.#commit.start);
        return;
      case "warning": {
        const { type: _, ...warning } = event;
        this.#warnings.push(warning);
        return;
      }
    }
  }

  onMiss(step: StepLabel, miss: StepMiss): void {
    this.#step(step).miss = miss;
  }

  /** The report, without the values of secrets; `error` is undefined where the build succeeded. */
  report(
    names: string[],
    images: ImageReport[],
    error: unknown,
    secrets: ReadonlyMap<string, Buffer>,
  ): BuildReport {
    const report: BuildReport = {
      kind: "build",
      version: 1,
      started: this.#started.toISOString(),
      milliseconds: this.#now(),
      names,
      stages: [...this.#stages.values()],
      ...(this.#commit === undefined ? {} : { commit: this.#commit }),
      warnings: this.#warnings,
      ...(error === undefined ? {} : { error: errorOf(error) }),
      images,
    };
    return redactedValue(new Needles(secrets), report);
  }

  #now(): number {
    return rounded(performance.now() - this.#zero);
  }

  /** A step that begins again (a remote cache had promised too much) takes the place of the first. */
  #begin(label: StepLabel): StepReport {
    const { stage: name, platform, index, text, location } = label;
    const stage = this.#stage(label) ?? { name, ...(platform === undefined ? {} : { platform }), steps: [] };
    this.#stages.set(keyOf(label), stage);
    const step: StepReport = {
      number: index,
      text,
      ...(location === undefined ? {} : { location }),
      start: this.#now(),
      milliseconds: 0,
      outcome: "unfinished",
    };
    const at = stage.steps.findIndex(({ number }) => number === index);
    if (at === -1) stage.steps.push(step);
    else stage.steps[at] = step;
    return step;
  }

  #step(label: StepLabel): StepReport {
    return this.#stage(label)?.steps.find(({ number }) => number === label.index) ?? this.#begin(label);
  }

  #stage(label: StepLabel): StageReport | undefined {
    return this.#stages.get(keyOf(label));
  }
}

const keyOf = ({ stage, platform = "" }: StepLabel) => `${stage} ${platform}`;

/** Finer is noise. */
const rounded = (milliseconds: number) => Math.round(milliseconds * 10) / 10;

function errorOf(error: unknown): NonNullable<BuildReport["error"]> {
  if (!(error instanceof CooperError)) return { code: "internal", message: messageOf(error) };
  const { code, message, hint, location, output } = error;
  return {
    code,
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(location === undefined ? {} : { location }),
    ...(output === undefined ? {} : { output }),
  };
}
