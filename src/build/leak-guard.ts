/** Keeps secrets out of what leaves a build: the image, the caches of other machines, the cache of this store. */
import { CooperError } from "../base/errors.ts";
import { snapshotPath } from "../store/store.ts";
import type { LayerPlan } from "../container/commit.ts";
import type { Build } from "./build-image.ts";
import { type Leak, leaksInDirectory, leaksInValue } from "./find-leaks.ts";
import { redactedValue } from "./redact-output.ts";
import { Needles } from "./secret-needles.ts";
import type { StageState } from "./stage-state.ts";

/** Places that an error names. */
const MOST_NAMED = 10;

/**
 * Throws `denied` when the layers that the build adds to the target, its names, config, annotations or history hold a
 * secret that a step of this build used, with every place; what --allow-secret-leak names is told as warnings. Reads only
 * what the steps changed, in bounded memory.
 */
export async function refuseLeaks(build: Build, target: StageState, plan: LayerPlan[]): Promise<void> {
  const needles = new Needles(build.secrets);
  if (needles.isBlind) return;
  const { allowSecretLeaks, onEvent } = build.request;
  const refused: Leak[] = [];
  for await (const leak of leaksInImage(build, target, plan, needles)) {
    if (!allowSecretLeaks.includes(leak.id)) refused.push(leak);
    else onEvent({ type: "warning", message: `The image holds ${describe(leak)}` });
  }
  const [first] = refused;
  if (first === undefined) return;
  throw new CooperError("denied", `Refusing to commit: the image would hold ${describeAll(refused)}`, {
    hint: `Delete it in the RUN that mounts it, or copy what is wanted into a later stage; where it has to be in the image: --allow-secret-leak ${first.id}`,
  });
}

function describeAll(leaks: Leak[]): string {
  const lines = leaks.slice(0, MOST_NAMED).map(describe);
  if (leaks.length > MOST_NAMED) lines.push(`and ${leaks.length - MOST_NAMED} more`);
  return lines.join("\n  ");
}

/**
 * Throws `denied` when what a command of a script wrote, a directory, holds a secret that it was given; returns where those
 * are that it may leave, for people.
 */
export async function refuseWrittenLeaks(
  directory: string,
  secrets: ReadonlyMap<string, Buffer>,
  allowed: readonly string[],
): Promise<string[]> {
  const needles = new Needles(secrets);
  if (needles.isBlind) return [];
  const leaks: Leak[] = [];
  for await (const leak of leaksInDirectory(needles, directory)) leaks.push(leak);
  const refused = leaks.filter(({ id }) => !allowed.includes(id));
  const [first] = refused;
  if (first === undefined) return leaks.map(describe);
  throw new CooperError("denied", `The command left ${describeAll(refused)}`, {
    hint: `Delete it before anything is committed; where it has to be there: --allow-secret-leak ${first.id}`,
  });
}

function describe({ id, form, place }: Leak): string {
  return `the secret "${id}"${form === "raw" ? "" : ` (${form})`} in ${place}`;
}

async function* leaksInImage(
  build: Build,
  target: StageState,
  plan: LayerPlan[],
  needles: Needles,
): AsyncGenerator<Leak, void> {
  const { rootfs: _, history: __, ...config } = target.image;
  yield* leaksInValue(needles, build.request.names, "its names");
  yield* leaksInValue(needles, config, "the config");
  yield* leaksInValue(needles, target.annotations, "the annotations");
  const history = target.plan.flatMap((layer) => layer.history);
  yield* leaksInValue(needles, history, "the history");
  const steps = stepsBySnapshot(target.plan);
  let number = target.base.layers.length;
  const seen = new Set<string>();
  for (const { stack } of plan) {
    if (stack.length > 0) number++;
    for (const snapshot of stack) {
      if (seen.has(snapshot)) continue;
      seen.add(snapshot);
      const step = redactedValue(needles, shortened(steps.get(snapshot) ?? ""));
      const where = `layer ${number}${step === "" ? "" : ` (${step})`}`;
      for await (const leak of leaksInSnapshot(build, needles, snapshot))
        yield { ...leak, place: `${leak.place}, ${where}` };
    }
  }
}

/** What made each snapshot, as its line of history has it. */
function stepsBySnapshot(plan: LayerPlan[]): Map<string, string> {
  return new Map(
    plan.flatMap(({ stack, history }) =>
      stack.map((snapshot): [string, string] => [snapshot, history.at(-1)?.created_by ?? ""]),
    ),
  );
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}

/** A snapshot that was found clean of all secrets that are known by now is not read again. */
async function* leaksInSnapshot(
  build: Build,
  needles: Needles,
  snapshot: string,
): AsyncGenerator<Leak, void> {
  if (build.searched.get(snapshot) === build.secrets.size) return;
  const known = build.secrets.size;
  let clean = true;
  for await (const leak of leaksInDirectory(needles, snapshotPath(build.store, snapshot))) {
    clean = false;
    yield leak;
  }
  if (clean) build.searched.set(snapshot, known);
}

/** The first leak in a snapshot, of secrets that steps of this build used. */
export async function leakInSnapshot(build: Build, snapshot: string): Promise<Leak | undefined> {
  const needles = new Needles(build.secrets);
  if (needles.isBlind) return undefined;
  for await (const leak of leaksInSnapshot(build, needles, snapshot)) return leak;
  return undefined;
}

/** The same in any directory. */
export async function leakIn(build: Build, directory: string): Promise<Leak | undefined> {
  const needles = new Needles(build.secrets);
  if (needles.isBlind) return undefined;
  for await (const leak of leaksInDirectory(needles, directory)) return leak;
  return undefined;
}
