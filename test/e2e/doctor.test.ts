// Protects `cooper doctor` on real hosts: tiers as they are, faults made by real mounts, the cures that it names, nothing left behind.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { becoming, people, rootOnly } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { hasPodman, OuterContainers } from "../support/outer-container.ts";

setDefaultTimeout(60_000);

interface Diagnosis {
  tier: number;
  works: boolean;
  checks: { id: string; status: string; finding: string; consequence?: string; remedy?: string }[];
}

describe.each(people)("as $kind", (person) => {
  test("this host can build, and the doctor says how", async () => {
    await using site = openSite(person);
    const { exitCode, stdout } = await site.cooper("doctor", "--json");
    const diagnosis = JSON.parse(stdout) as Diagnosis;
    expect(diagnosis.checks.filter(({ status }) => status === "error")).toEqual([]);
    expect({ exitCode, tier: diagnosis.tier, works: diagnosis.works }).toEqual({
      exitCode: 0,
      tier: person.kind === "root" ? 0 : 1,
      works: true,
    });
    const text = await site.ok("doctor");
    expect(text).toContain(`Tier ${diagnosis.tier}, `);
    expect(text).toEndWith("Builds work here");
    expect(readdirSync(site.dir).filter((name) => name.startsWith(".cooper"))).toEqual([]);
  });
});

// The site's own may be hidden by what is done to its directory.
const PROGRAM = process.env.COOPER_BIN ?? join(import.meta.dir, "../../bin/cooper");

/** Runs the doctor of a person in a mount namespace of root's in which a script has done its harm. */
async function harmed(
  site: Site,
  script: string,
  before: string[] = [],
): Promise<Diagnosis & { exitCode: number }> {
  const inner = [...becoming(site.person), ...before, PROGRAM, "doctor", "--json"];
  const child = Bun.spawn(["unshare", "--mount", "sh", "-ec", `${script}\nexec "$@"`, "sh", ...inner], {
    env: {
      PATH: process.env.PATH,
      HOME: `${site.dir}/home`,
      XDG_RUNTIME_DIR: `${site.dir}/run`,
      COOPER_ROOT: site.root,
      COOPER_RUNROOT: site.runRoot,
    },
    cwd: "/",
    stdout: "pipe",
    stderr: "pipe",
    stdin: "ignore",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (out === "") throw new Error(err);
  return { ...(JSON.parse(out) as Diagnosis), exitCode: child.exitCode ?? -1 };
}

interface Harm {
  name: string;
  /** Does the harm and, after it, what is to mend it; or goes on by itself to the command in "$@". */
  script: (site: Site, cure: string) => string;
  /** The command line in what the doctor said, where it can be run here: afterwards the check has nothing to say. */
  cure?: (remedy: string, elsewhere: string) => string;
  before?: string[];
  id: string;
  finding: RegExp;
  tier: number;
  exitCode: number;
}

/** Puts an overlay on a directory, so that what is written there stays in this mount namespace. */
const overlaid = (directory: string): string => `mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work
  mount -t overlay overlay -o lowerdir=${directory},upperdir=/mnt/upper,workdir=/mnt/work ${directory}`;

const HARMS: Harm[] = [
  {
    name: "newuidmap hidden",
    script: () => `mount --bind /dev/null "$(command -v newuidmap)"`,
    id: "newuidmap",
    finding: /not installed/,
    tier: 2,
    exitCode: 0,
  },
  {
    name: "newuidmap without set-uid bit",
    script: (site, cure) =>
      `cp "$(command -v newuidmap)" ${site.dir}/plain; chmod 755 ${site.dir}/plain; mount --bind ${site.dir}/plain "$(command -v newuidmap)"\n${cure}`,
    cure: (remedy) => remedy.replace(/ \(or: .*/, ""),
    id: "newuidmap",
    finding: /neither the set-uid bit/,
    tier: 2,
    exitCode: 0,
  },
  ...(["subuid", "subgid"] as const).map((id) => ({
    name: `no line in /etc/${id}`,
    script: (site: Site, cure: string) =>
      `${overlaid("/etc")}\nsed -i /^${site.person.name}:/d /etc/${id}\n${cure}`,
    cure: (remedy: string) => remedy,
    id,
    finding: /no range of ids/,
    tier: 2,
    exitCode: 0,
  })),
  {
    name: "no more user namespaces",
    // In a namespace of its own, which has root's ids and a limit of its own.
    script: (_, cure) => `
      unshare --user sh -ec 'kill -STOP $$; sysctl -qw user.max_user_namespaces=0; ${cure} >&2; exec "$@"' sh "$@" & pid=$!
      until grep -q '^State:.T' /proc/$pid/status; do sleep 0.02; done
      for map in uid_map gid_map; do echo 0 0 4294967295 > /proc/$pid/$map; done
      kill -CONT $pid; wait $pid && exit 0 || exit $?`,
    cure: (remedy) => remedy,
    id: "user-namespaces",
    finding: /max_user_namespaces is 0/,
    tier: 4,
    exitCode: 1,
  },
  {
    name: "a network device that is root's",
    script: (site, cure) =>
      `rm -f ${site.dir}/tun; mknod -m 600 ${site.dir}/tun c 10 200; mount --bind ${site.dir}/tun /dev/net/tun\n${cure}`,
    cure: (remedy) => remedy.replace(/^modprobe tun;/, ""),
    id: "pasta",
    finding: /\/dev\/net\/tun cannot be opened/,
    tier: 1,
    exitCode: 0,
  },
  {
    name: "a store on an overlay",
    script: (site, cure) => `${overlaid(site.dir)}\nchown ${site.person.uid} ${site.dir}\n${cure}`,
    // The other way is to let the copy driver be taken.
    cure: (_, elsewhere) => `export COOPER_ROOT=${elsewhere}`,
    id: "overlay",
    finding: /an overlay itself/,
    tier: 1,
    exitCode: 0,
  },
  {
    name: "no_new_privs",
    script: () => ":",
    before: ["setpriv", "--no-new-privs", "--"],
    id: "no-new-privs",
    finding: /may not gain privileges/,
    tier: 2,
    exitCode: 0,
  },
  {
    name: "a masked /proc",
    script: () =>
      "mount -t tmpfs -o ro,size=0 none /proc/scsi 2>/dev/null || mount -t tmpfs -o ro none /proc/irq",
    id: "proc",
    finding: /hides parts of \/proc/,
    tier: 1,
    exitCode: 0,
  },
  {
    name: "a store on a full little disk",
    script: (site, cure) =>
      `mount -t tmpfs -o size=1m,nr_inodes=100,mode=777 none ${site.dir} && mkdir ${site.dir}/home ${site.dir}/run && chmod 777 ${site.dir}/*\n${cure}`,
    // "…or a store on a larger disk"
    cure: (_, elsewhere) => `export COOPER_ROOT=${elsewhere}`,
    id: "disk",
    finding: /^[01] MiB free/,
    tier: 1,
    exitCode: 1,
  },
];

describe.if(rootOnly.length > 0)("faults made for real", () => {
  const user = people.find(({ kind }) => kind === "user")!;
  for (const harm of HARMS) {
    test(harm.name, async () => {
      await using site = openSite(user);
      const diagnosis = await harmed(site, harm.script(site, ""), harm.before);
      const check = diagnosis.checks.find(({ id, status }) => id === harm.id && status !== "ok");
      const remedy = check?.remedy ?? "";
      expect(check).toMatchObject({
        finding: expect.stringMatching(harm.finding),
        consequence: expect.any(String),
        remedy: expect.any(String),
      });
      expect({ tier: diagnosis.tier, exitCode: diagnosis.exitCode }).toEqual({
        tier: harm.tier,
        exitCode: harm.exitCode,
      });
      if (harm.cure === undefined) return;
      await using elsewhere = openSite(user);
      const cure = harm.cure(remedy, elsewhere.root);
      const cured = await harmed(site, harm.script(site, cure), harm.before);
      const left = cured.checks.filter(({ id, status }) => id === harm.id && status !== "ok");
      expect({ cure, left, tier: cured.tier }).toEqual({ cure, left: [], tier: 1 });
    });
  }
});

describe.if(hasPodman)("faults of a container, and the flags that mend them", () => {
  let outer: OuterContainers;
  beforeAll(() => {
    outer = new OuterContainers();
  });
  afterAll(() => outer[Symbol.dispose]());

  const USER = ["--user", "1000", "-e", "HOME=/tmp"];
  const FAULTS: [id: string, faulty: () => string[], mended: string[], tier: number][] = [
    ["namespaces", () => [], ["--cap-add", "SYS_ADMIN"], 0],
    ["proc", () => USER, [...USER, "--security-opt", "unmask=ALL"], 2],
    ["user-namespaces", () => [...USER, ...outer.withoutNamespaces()], USER, 2],
  ];
  test.each(FAULTS)("%s", (id, faulty, mended, tier) => {
    const look = (flags: string[]) =>
      JSON.parse(outer.run("cooper doctor --json", flags).stdout) as Diagnosis;
    const said = (diagnosis: Diagnosis) =>
      diagnosis.checks.filter((check) => check.id === id && check.status !== "ok");
    expect(said(look(faulty()))).toHaveLength(1);
    const after = look(mended);
    expect({ said: said(after), tier: after.tier }).toEqual({ said: [], tier });
  });
});
