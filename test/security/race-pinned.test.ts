// Protects the host from a process in a root that puts links in the way while Cooper copies into, out of, or unpacks in it.
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { copyFiles } from "../../src/archive/copy-tree.ts";
import { atOnce } from "../../src/base/turns.ts";
import { extractArchive } from "../../src/archive/extract-archive.ts";
import { canPinRoots } from "../../src/archive/pinned-root.ts";
import { makeDirectories } from "../../src/archive/rooted-path.ts";
import { CooperError } from "../../src/base/errors.ts";
import { lookupUser } from "../../src/container/user.ts";
import { MountPointNotes, removeNotedMountPoints } from "../../src/sandbox/mountpoint-notes.ts";
import { prepareMountPoints, removeMountPoints } from "../../src/sandbox/mountpoints.ts";

setDefaultTimeout(60_000);

const ROUNDS = 200;
const root = process.geteuid!() === 0;

let work: string;
let container: string;
let canary: string;
let tree: string;
let swapping: Bun.Subprocess | undefined;

beforeEach(() => {
  work = mkdtempSync("/var/tmp/cooper-race-");
  container = join(work, "root");
  canary = join(work, "canary");
  tree = join(work, "tree");
  mkdirSync(join(container, "d/x/a/b"), { recursive: true });
  // What a link leads to outside looks like what it replaces.
  mkdirSync(join(canary, "a/b"), { recursive: true, mode: 0o700 });
  for (const at of ["passwd", "a/b/secret"])
    writeFileSync(join(canary, at), "canary:x:4711:4711::/:\n", { mode: 0o600 });
  for (let i = 0; i < 10; i++) {
    mkdirSync(join(tree, "a/b", `d${i}`), { recursive: true });
    writeFileSync(join(tree, "a/b", `d${i}`, "file"), "evil");
  }
});
afterEach(async () => {
  swapping?.kill("SIGKILL");
  await swapping?.exited;
  rmSync(work, { recursive: true, force: true });
});

/** A process whose root is the container's: /d/x is a directory and a link to the canary in turns, as fast as can be. */
async function swap(): Promise<void> {
  const worker = join(import.meta.dir, "../support/swap-worker.ts");
  swapping = Bun.spawn([process.execPath, worker, container, canary], { stderr: "inherit" });
  while (!existsSync(join(container, "started"))) await Bun.sleep(5);
}

const shapeOf = (path: string): string => {
  const { mode, uid, mtimeMs } = statSync(path);
  return `${path} ${mode.toString(8)} ${uid} ${mtimeMs}`;
};
const outside = () => [
  ...(readdirSync(canary, { recursive: true }) as string[]).sort().map((name) => shapeOf(join(canary, name))),
  shapeOf(canary),
  readFileSync(join(canary, "a/b/secret"), "utf8"),
];

/** Does something again and again beside the swapping; it may fail, but as an error of Cooper's. Returns how often it was done. */
async function race(once: (round: number) => unknown): Promise<number> {
  await swap();
  const before = outside();
  let done = 0;
  for (let round = 0; round < ROUNDS; round++) {
    try {
      await once(round);
      done++;
    } catch (error) {
      if (!(error instanceof CooperError) && (error as { code?: string }).code === undefined) throw error;
    }
    expect(outside()).toEqual(before);
  }
  expect(swapping!.exitCode).toBeNull();
  return done;
}

const copy = (from: string, source: string, to: string, destination: string) =>
  atOnce(
    copyFiles(
      {
        sourceRoot: from,
        sources: [source],
        wildcards: false,
        parents: false,
        destinationRoot: to,
        destination,
      },
      { chmod: { kind: "octal", mode: 0o777 } },
    ),
  );

/** Files with an owner and a mode of their own, below a directory of the tree. */
function archive(): Uint8Array {
  const { stdout } = Bun.spawnSync(["tar", "-C", tree, "--mode=0777", "-c", "."]);
  return stdout;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const RACES: [what: string, body: () => Promise<number>][] = [
  ["CVE-2018-15664: copying into it", () => race(() => copy(tree, ".", container, "/d/x"))],
  [
    "CVE-2018-15664: copying out of it",
    () =>
      race((round) => {
        const into = join(work, `out-${round}`);
        mkdirSync(into);
        try {
          copy(container, "/d/x/a", into, "/");
        } finally {
          const names = readdirSync(into, { recursive: true }) as string[];
          expect(names.filter((name) => name.includes("secret"))).toEqual([]);
          rmSync(into, { recursive: true });
        }
      }),
  ],
  [
    "unpacking in it",
    () => {
      const tar = archive();
      return race(() => extractArchive(once(tar), container, "/d/x", { owner: { uid: 7, gid: 7 } }));
    },
  ],
  [
    "making directories in it",
    () => race((round) => makeDirectories(container, `/d/x/n${round}/m`, { uid: 5, gid: 5, mode: 0o777 })),
  ],
  [
    "making mount points in it, and taking them away",
    () =>
      race((round) => {
        const target = `/d/x/m${round}`;
        const points = [
          { target: `${target}/sub`, kind: "directory" as const, covers: true, mode: 0o777 },
          { target: `${target}.file`, kind: "file" as const, covers: false },
          // A name that is there outside, and an empty directory as one that was made.
          { target: "/d/x/a/b/new", kind: "file" as const, covers: false },
        ];
        const notes = join(work, "notes");
        const made = prepareMountPoints(container, points, new MountPointNotes(notes, container));
        if (round % 2 === 0) removeMountPoints(made);
        else removeNotedMountPoints(notes, container); // as after a kill
      }),
  ],
  [
    "looking users up in it",
    () => {
      Bun.spawnSync(["ln", "-s", "/d/x", join(container, "etc")]);
      return race(() => expect(() => lookupUser(container, "canary")).toThrow("no user"));
    },
  ],
];

test.skipIf(!root).each(RACES)("%s never leads outside (needs root)", async (_, body) => {
  expect(canPinRoots()).toBe(true);
  expect(await body(), "some rounds worked").toBeGreaterThan(0);
});
