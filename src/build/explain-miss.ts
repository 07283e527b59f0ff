/** Why a step is run: what became different since it was run the last time, as the store noted it then. */
import { compareStacks } from "../archive/compare-stacks.ts";
import type { FileDifference, InputChange, StepLabel, StepMiss } from "../base/events.ts";
import { encodeName } from "../base/path-bytes.ts";
import { addFact, changedFacts, OF_THE_TEXT, opFacts, type StepFacts } from "../plan/step-facts.ts";
import type { Step } from "../plan/types.ts";
import { type StagePlace, type StepRecord, stepRecords } from "../store/step-records.ts";
import { holdSnapshots, snapshotPath } from "../store/store.ts";
import type { Build } from "./build-image.ts";
import type { Inputs } from "./step-inputs.ts";
import type { SteppedStage } from "./step-result.ts";

/** Names of parts that no instruction has. */
const BASE = "base of the stage";
const BEFORE = "files that the steps before left";

/** All that decides about a step's result, in parts. */
export function factsOf({ baseKey, state }: SteppedStage, step: Step, inputs: Inputs): StepFacts {
  const facts: StepFacts = {};
  addFact(facts, BASE, baseKey);
  addFact(facts, BEFORE, state.key);
  Object.assign(facts, opFacts(step.op));
  for (const [i, digest] of inputs.digests.entries()) addFact(facts, inputs.names[i]!, digest);
  return facts;
}

/** Where the records of a stage are. */
export function placeOf({ build, plan }: SteppedStage): StagePlace {
  const platform = plan.platform ?? build.request.platform ?? "";
  return { project: `${build.request.project} ${platform}`, stage: plan.name ?? String(plan.index) };
}

/** A miss, and the record that it was compared with. */
export interface Explanation {
  miss: StepMiss;
  record: StepRecord | undefined;
}

/** To be called before the step is run. `facts` are those of factsOf(). */
export function explainMiss(stage: SteppedStage, label: StepLabel, facts: StepFacts): Explanation {
  if (!stage.cacheAsked) return { miss: { reason: "asked", changes: [] }, record: undefined };
  stage.records ??= stepRecords(stage.build.store.db, placeOf(stage));
  const record = recordOf(stage, label);
  const changes: InputChange[] = [];
  if (stage.lastRun !== undefined) changes.push({ input: BEFORE, kind: "changed", step: stage.lastRun });
  if (record === undefined) return { miss: { reason: "new", changes }, record };
  const isSameText = record.text === label.text;
  if (!isSameText) changes.push({ input: "instruction", kind: "changed", before: record.text });
  const parts = changedFacts(JSON.parse(record.facts) as StepFacts, facts);
  const isOtherBase = parts.some(({ input }) => input === BASE);
  for (const change of parts) {
    if (!isSameText && OF_THE_TEXT.has(change.input)) continue;
    // What was run before says it already.
    if (stage.lastRun !== undefined && (change.input === BASE || change.input === BEFORE)) continue;
    if (change.input === BEFORE && isOtherBase) continue;
    changes.push(change);
  }
  return { miss: { reason: changes.length === 0 ? "forgotten" : "changed", changes }, record };
}

/** The nearest step of the same text, else what was in its place, unless that is still there elsewhere. */
function recordOf({ build, plan, records = [] }: SteppedStage, { index, text }: StepLabel) {
  const distance = (record: StepRecord) => Math.abs(record.number - index);
  const [nearest] = records
    .filter((record) => record.text === text)
    .sort((a, b) => distance(a) - distance(b));
  if (nearest !== undefined) return nearest;
  const inPlace = records.find((record) => record.number === index);
  const steps = build.resolved.get(plan.index)?.steps ?? [];
  return steps.some((step) => step.text === inPlace?.text) ? undefined : inPlace;
}

/** How many files a miss names. */
const NAMED = 20;

/** Names the files that made a COPY or ADD differ, by what it gave then and now. */
export function nameFiles(
  { store }: Build,
  step: Step,
  { miss, record }: Explanation,
  snapshot: string | null,
): StepMiss {
  const index = miss.changes.findIndex(({ input }) => input.startsWith("files of "));
  const before = record?.snapshot ?? null;
  if (step.op.kind !== "copy" || index === -1 || before === null || snapshot === null) return miss;
  if (!holdSnapshots(store, [before])) return miss;
  const files: FileDifference[] = [];
  let filesOmitted = 0;
  for (const { kind, path, type } of compareStacks(
    [snapshotPath(store, before)],
    [snapshotPath(store, snapshot)],
  )) {
    if (type === "directory") continue;
    if (files.length === NAMED) filesOmitted++;
    else files.push({ kind, path: encodeName(path).toString("utf8") });
  }
  const named = { ...miss.changes[index]!, files, filesOmitted };
  return { ...miss, changes: miss.changes.with(index, named) };
}
