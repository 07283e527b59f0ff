// Protects `cooper doctor` on real hosts: tiers as they are, faults made by real mounts, exit statuses, nothing left behind.
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { becoming, people, rootOnly } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";

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

/** Runs the doctor of a person in a mount namespace of root's in which a script has done its harm. */
async function harmed(
  site: Site,
  script: string,
  before: string[] = [],
): Promise<Diagnosis & { exitCode: number }> {
  const inner = [...becoming(site.person), ...before, `${site.dir}/bin/cooper`, "doctor", "--json"];
  const child = Bun.spawn(["unshare", "--mount", "sh", "-ec", `${script}\nexec "$@"`, "sh", ...inner], {
    env: {
      PATH: process.env.PATH,
      HOME: `${site.dir}/home`,
      XDG_RUNTIME_DIR: `${site.dir}/run`,
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
  script: (site: Site) => string;
  before?: string[];
  id: string;
  finding: RegExp;
  tier: number;
  exitCode: number;
}

const HARMS: Harm[] = [
  {
    name: "newuidmap hidden",
    script: () => 'mount --bind /dev/null "$(command -v newuidmap)"',
    id: "newuidmap",
    finding: /not installed/,
    tier: 2,
    exitCode: 0,
  },
  {
    name: "newuidmap without set-uid bit",
    script: (site) =>
      `cp "$(command -v newuidmap)" ${site.dir}/plain; chmod 755 ${site.dir}/plain; mount --bind ${site.dir}/plain "$(command -v newuidmap)"`,
    id: "newuidmap",
    finding: /neither the set-uid bit/,
    tier: 2,
    exitCode: 0,
  },
  {
    name: "no ranges",
    script: () => "mount --bind /dev/null /etc/subuid",
    id: "subuid",
    finding: /no range of ids/,
    tier: 2,
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
    script: (site) =>
      `mount -t tmpfs -o size=1m,nr_inodes=100,mode=777 none ${site.dir} && mkdir ${site.dir}/home ${site.dir}/run ${site.dir}/bin && chmod 777 ${site.dir}/*`,
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
      // The tree below is hidden by one of the harms: the program's path must not be.
      const { readFileSync } = await import("node:fs");
      const wrapper = readFileSync(`${site.dir}/bin/cooper`, "utf8");
      const script = `${harm.script(site)}\n[ -e ${site.dir}/bin/cooper ] || { cat > ${site.dir}/bin/cooper <<'END'\n${wrapper}END\nchmod 755 ${site.dir}/bin/cooper; }`;
      const diagnosis = await harmed(site, script, harm.before);
      const check = diagnosis.checks.find(({ id, status }) => id === harm.id && status !== "ok");
      expect(check).toMatchObject({
        finding: expect.stringMatching(harm.finding),
        consequence: expect.any(String),
        remedy: expect.any(String),
      });
      expect({ tier: diagnosis.tier, exitCode: diagnosis.exitCode }).toEqual({
        tier: harm.tier,
        exitCode: harm.exitCode,
      });
    });
  }
});
