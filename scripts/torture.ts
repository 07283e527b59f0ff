/**
 * Mixed work on one store, of which each command is killed with SIGKILL at a random moment, and `cooper check` after each:
 * bun scripts/torture.ts [--kills N] [--seconds N] [--seed N] [--user] [--base ROOTFS]; as root. COOPER_BIN: the program.
 */
import { Random } from "../test/fuzz/mutate.ts";
import type { Person } from "../test/support/as-users.ts";
import { finished, type Result } from "../test/support/cooper.ts";
import { mountsMentioning } from "../test/support/leftovers.ts";
import { BASE, type Command, MixedWork, outputOf, workOptions } from "./mixed-work.ts";

export interface TortureOptions {
  kills: number;
  /** Ends sooner when they have passed. */
  seconds: number;
  seed: number;
  person: Person;
  /** A root file system, directory or tar, with a shell. */
  base: string;
  log: (line: string) => void;
}

export interface TortureResult {
  /** Commands that were killed before they ended, by kind. */
  killed: Record<string, number>;
  /** Commands that had ended already. */
  finished: number;
  /** What `cooper check` printed, and what else went wrong; empty when all is well. */
  failures: string[];
  /** Entries below the store that the last `prune --all` left. */
  left: string[];
}

const SUBJECTS = {
  images: [0, 1, 2, 3].map((number) => `localhost/i${number}`),
  containers: [0, 1, 2].map((number) => `work${number}`),
};

/** Does it in a store of its own. */
export async function torture(options: TortureOptions): Promise<TortureResult> {
  await using work = await MixedWork.open(options.person, options.base, options.log);
  const random = new Random(options.seed);
  const durations = new Map<string, number>();
  const killed: Record<string, number> = {};
  const end = Date.now() + options.seconds * 1000;
  let kills = 0;
  let round = 0;
  for (; kills < options.kills && Date.now() < end; round++) {
    const command = work.command(random, SUBJECTS);
    await provide(work, command);
    const { result, isKilled } = await strike(work, command, random, durations);
    if (isKilled) killed[command.kind] = (killed[command.kind] ?? 0) + 1;
    if (isKilled) kills++;
    else if (result.exitCode !== 0 && !work.isExpected(result))
      work.fail(`${command.args.join(" ")}: ${outputOf(result)}`);
    const after = `${command.kind}${isKilled ? " (killed)" : ""}`;
    await work.check(after);
    for (const mount of mountsMentioning(work.site.dir)) work.fail(`a mount was left by ${after}: ${mount}`);
    if (round % 50 === 49)
      options.log(`${round + 1} commands, ${kills} killed, ${work.failures.length} failures`);
  }
  const left = await work.empty();
  return { killed, finished: round - kills, failures: work.failures, left };
}

/** What most commands work on is there again, so that few of them end before they have begun. */
async function provide(work: MixedWork, { args }: Command): Promise<void> {
  const container = SUBJECTS.containers.find((name) => args.includes(name));
  if (container !== undefined && args[0] !== "from") await work.ended(["from", "--name", container, BASE]);
}

/**
 * Starts a command and kills it, alone or with its process group, at some moment of the time that it usually takes;
 * `durations` holds a moving average of that, in milliseconds, for each kind.
 */
async function strike(
  work: MixedWork,
  { kind, args }: Command,
  random: Random,
  durations: Map<string, number>,
): Promise<{ result: Result; isKilled: boolean }> {
  const usual = durations.get(kind) ?? 400;
  const begun = performance.now();
  const child = work.start(args);
  const target = random.below(2) === 0 ? -child.pid : child.pid;
  const timer = setTimeout(() => kill(target), 5 + random.below(usual * 0.6));
  const result = await finished(child);
  clearTimeout(timer);
  const isKilled = child.signalCode === "SIGKILL";
  if (!isKilled) durations.set(kind, (usual * 3 + performance.now() - begun) / 4);
  return { result, isKilled };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It was quicker.
  }
}

if (import.meta.main) {
  const result = await torture(workOptions({ kills: 1000, seconds: 86400 }));
  console.log(JSON.stringify(result, undefined, 2));
  process.exit(result.failures.length + result.left.length === 0 ? 0 : 1);
}
