/**
 * Mounts, runs, commits and kills in turns, and what is left of them on the host afterwards: it should be nothing.
 * bun scripts/leaks.ts [--count N] [--user] [--base ROOTFS]; as root. COOPER_BIN: the program.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { people, type Person } from "../test/support/as-users.ts";
import { busyboxBase } from "../test/support/bases.ts";
import { openSite, type Site } from "../test/support/cooper.ts";
import { eventually, mountsMentioning, processesMentioning } from "../test/support/leftovers.ts";

export interface LeakOptions {
  /** Operations in all, of the kinds in turns. */
  count: number;
  person: Person;
  /** A root file system with a shell, directory or tar. */
  base: string;
  log: (line: string) => void;
}

export interface LeakResult {
  /** Operations by kind. */
  done: Record<string, number>;
  processes: string[];
  mounts: string[];
  /** Namespaces of processes that had to do with the store, and are still there. */
  namespaces: string[];
  /** Entries of the store and of the runtime directory that were not there before. */
  files: string[];
  cgroups: string[];
}

type Operation = (site: Site, serial: number) => Promise<void>;

const OPERATIONS: Record<string, Operation> = {
  mount: async (site, serial) => {
    await site.script(`m=$(cooper mount work); echo ${serial} > "$m/mounted"; cooper umount work >/dev/null`);
  },
  run: async (site, serial) => {
    await site.ok("run", "work", "--", "sh", "-c", `echo ${serial} > /ran; sleep 1000 &`);
  },
  commit: async (site, serial) => {
    await site.ok("commit", "-q", "work", `localhost/leak${serial % 3}`);
  },
  "kill of a run": async (site) => {
    const started = site.start([
      "cooper",
      "run",
      "work",
      "--",
      "sh",
      "-c",
      "setsid sleep 1000 & echo up; sleep 1000",
    ]);
    const reader = started.stdout.getReader();
    await reader.read();
    started.kill("SIGKILL");
    await started.exited;
    await reader.cancel();
  },
  "mount that is left to rm": async (site) => {
    await site.script("c=$(cooper from localhost/base); cooper mount $c >/dev/null; cooper rm $c >/dev/null");
  },
  "kill of a mount's keeper": async (site) => {
    const text = await site.script("cooper mount work");
    const [, pid] = /^\/proc\/(\d+)\/root/.exec(text) ?? [];
    if (pid !== undefined) process.kill(Number(pid), "SIGKILL");
    await site.cooper("umount", "work");
  },
};

/** Does it in a store of its own. */
export async function findLeaks({ count, person, base, log }: LeakOptions): Promise<LeakResult> {
  await using site = openSite(person);
  await site.ok("import", base, "localhost/base");
  const before = filesOf(site);
  await site.ok("from", "--name", "work", "localhost/base");
  const done: Record<string, number> = {};
  const kinds = Object.entries(OPERATIONS);
  for (let serial = 0; serial < count; serial++) {
    const [kind, operation] = kinds[serial % kinds.length]!;
    await operation(site, serial);
    done[kind] = (done[kind] ?? 0) + 1;
    if ((serial + 1) % 50 === 0) log(`${serial + 1} of ${count}`);
  }
  await site.ok("rm", "--all");
  const names = (await site.ok("images", "-q", "--no-trunc")).split("\n").length;
  for (let index = 0; index < 3; index++) await site.cooper("rmi", "--force", `localhost/leak${index}`);
  await site.ok("prune");
  log(`${names} images were there in the end`);
  // What was killed may take a moment to be gone.
  await eventually(() => processesMentioning(site.dir).length === 0, 5000);
  const processes = processesMentioning(site.dir);
  return {
    done,
    processes: processes.map(({ pid, command, because }) => `${pid} ${command} (${because})`),
    mounts: mountsMentioning(site.dir),
    namespaces: [...new Set(processes.flatMap(({ pid }) => namespacesOf(pid)))],
    files: [...filesOf(site)].filter((path) => !before.has(path)),
    cgroups: cgroups(),
  };
}

/** Directories in which every entry is a thing. */
function filesOf({ root, runRoot }: Site): Set<string> {
  const places = [
    root,
    runRoot,
    ...["layers", "containers", "tmp", "blobs/sha256"].map((name) => join(root, name)),
  ];
  places.push(join(runRoot, "keepers"));
  return new Set(places.flatMap((place) => entries(place).map((name) => `${place}/${name}`)).filter(isThing));
}

/** The places themselves, the database and its log come and go by themselves. */
const isThing = (path: string): boolean =>
  !/\/(?:cooper\.db.*|[a-z]+\.lock|keepers|containers|tmp|layers|logs|blobs)$/.test(path);

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function namespacesOf(pid: number): string[] {
  return entries(`/proc/${pid}/ns`).map((name) => `${pid} ${name}`);
}

/** Of limited runs, on either version; those of processes that live are somebody else's. */
function cgroups(): string[] {
  const top = "/sys/fs/cgroup";
  return ["", ...entries(top)].flatMap((name) =>
    entries(join(top, name))
      .filter((entry) => new RegExp(`^cooper-(?!${process.pid}-)\\d+-`).test(entry))
      .filter((entry) => entries(`/proc/${entry.split("-")[1]}`).length === 0)
      .map((entry) => join(top, name, entry)),
  );
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      count: { type: "string", default: "500" },
      user: { type: "boolean", default: false },
      base: { type: "string" },
    },
  });
  const person = people.find(({ kind }) => kind === (values.user ? "user" : "root"));
  if (person === undefined) throw new Error("Without root only --user can be had");
  const log = (line: string) => process.stderr.write(`${line}\n`);
  const result = await findLeaks({
    count: Number(values.count),
    person,
    base: values.base ?? busyboxBase(),
    log,
  });
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  const left = [result.processes, result.mounts, result.namespaces, result.files, result.cgroups].flat();
  process.exitCode = left.length === 0 ? 0 : 1;
}
