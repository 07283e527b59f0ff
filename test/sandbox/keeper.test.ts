// Protects rootless `mount`: the keeper's overlay is written from outside its namespace, and only through it.
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Keeper,
  keeperAlive,
  processStartTime,
  startKeeper,
  stopKeeper,
} from "../../src/sandbox/keeper.ts";
import { eventually } from "../support/leftovers.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { asRunner, canRunAs, environment, USER } from "./stage.ts";

const keepers: Keeper[] = [];
afterEach(() => {
  for (const keeper of keepers.splice(0)) stopKeeper(keeper);
});

const scratch = scratchDirectory("keeper");
afterAll(() => scratch[Symbol.dispose]());
const file = scratch.file("file");

const started = (): Keeper => {
  writeFileSync(file, "");
  const keeper = startKeeper(file);
  keepers.push(keeper);
  return keeper;
};

describe("a keeper", () => {
  test("is alive by PID and start time, and ends when stopped", async () => {
    const keeper = started();
    expect(keeperAlive(keeper)).toBe(true);
    expect(keeperAlive({ ...keeper, startTime: keeper.startTime - 1 })).toBe(false);
    stopKeeper({ ...keeper, startTime: keeper.startTime - 1 });
    expect(keeperAlive(keeper)).toBe(true);
    stopKeeper(keeper);
    for (let i = 0; i < 100 && keeperAlive(keeper); i++) await Bun.sleep(5);
    expect(keeperAlive(keeper)).toBe(false);
    stopKeeper(keeper);
  });

  test("has a session of its own and holds nothing of ours", async () => {
    const { pid } = started();
    const open = () => readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    expect(await eventually(() => open().includes(file))).toBe(true);
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    expect(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3]).toBe(String(pid));
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
    expect(readFileSync(`/proc/${pid}/environ`).length).toBe(0);
    expect(open().filter((path) => !["/dev/null", "anon_inode:inotify", file].includes(path))).toEqual([]);
    expect(readFileSync(`/proc/${pid}/cmdline`, "latin1")).toStartWith("cooper-keeper\0");
  });

  test("ends when its file is deleted, as with the runtime directory at the end of a login", async () => {
    const keeper = started();
    writeFileSync(file, JSON.stringify(keeper));
    expect(keeperAlive(keeper)).toBe(true);
    rmSync(file);
    expect(await eventually(() => !keeperAlive(keeper))).toBe(true);
  });

  test("is not alive when there is no such process", () => {
    expect(processStartTime(2 ** 22 + 1)).toBeUndefined();
    expect(processStartTime(process.pid)).toBeGreaterThan(0);
  });
});

describe.skipIf(!canRunAs("user"))("an overlay held for the user", () => {
  test("is used from outside, joined later, survives SIGHUP, and refuses the plain path", async () => {
    const directory = mkdtempSync(join(tmpdir(), "cooper-keeper-"));
    const sh = (script: string, env: Record<string, string> = {}) => {
      const { stdout, stderr, exitCode } = Bun.spawnSync([...asRunner("user"), "sh", "-c", script], {
        cwd: directory,
        env: { ...environment("user"), ...env },
      });
      return { out: stdout.toString(), err: stderr.toString(), exitCode };
    };
    try {
      for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(directory, name));
      writeFileSync(join(directory, "lower/old"), "old\n");
      Bun.spawnSync(["chown", "-R", `${USER}:${USER}`, directory]);
      sh("chmod 000 merged");
      const keepOne = `${process.execPath} ${join(import.meta.dir, "keep-one.ts")} ${directory}`;
      // The shell that started it is the session's leader and ends: the keeper gets no SIGHUP.
      const mounted = sh(`setsid --wait sh -c '${keepOne}'`);
      expect(mounted.err).toBe("");
      const keeper = JSON.parse(mounted.out) as Keeper;
      keepers.push(keeper);
      expect(keeperAlive(keeper)).toBe(true);
      const merged = `/proc/${keeper.pid}/root${directory}/merged`;

      expect(
        sh(
          `cat ${merged}/old; echo new >${merged}/new; install -D /bin/ls ${merged}/usr/bin/ls; rm ${merged}/old; ls ${merged}`,
        ),
      ).toEqual({ out: "old\nnew\nusr\n", err: "", exitCode: 0 });
      expect(sh(`chown 100005 ${merged}/new`).exitCode).not.toBe(0);
      expect(lstatSync(join(directory, "upper/usr/bin/ls")).uid).toBe(USER);
      expect(lstatSync(join(directory, "upper/old")).isCharacterDevice()).toBe(true);

      expect(sh("echo beside >merged/oops").err).toMatch(/permission denied/i);
      expect(existsSync(join(directory, "merged/oops"))).toBe(false);

      const joined = sh(`cd lower; ${keepOne}`, { COOPER_TEST_JOIN: String(keeper.pid) });
      expect(joined.err).toBe("");
      expect(JSON.parse(joined.out)).toEqual({
        state: { kind: "mapped", uid: USER },
        cwd: join(directory, "lower"),
        names: ["new", "usr"],
        marks: [],
      });
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(directory);
    } finally {
      for (const keeper of keepers.splice(0)) stopKeeper(keeper);
      await Bun.sleep(50);
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
