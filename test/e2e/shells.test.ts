// Protects who looks for the reason of a failure: a shell where the RUN failed, with all that it had, and one in any container.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { mountsMentioning } from "../support/leftovers.ts";
import { Terminal } from "../support/tmux.ts";

setDefaultTimeout(60_000);

const FAILING = `FROM localhost/busybox AS failing
ENV COLOUR=green
WORKDIR /srv
RUN echo kept > kept
RUN --mount=type=secret,id=token --mount=type=tmpfs,target=/scratch touch broken; rm kept; echo last words; exit 9
FROM localhost/busybox AS other
RUN sleep 31339
FROM scratch
COPY --from=failing /bin/busybox /1
COPY --from=other /bin/busybox /2
`;
const WITHOUT = 'FROM scratch\nENV COLOUR=green\nCOPY Dockerfile /srv/\nRUN ["/no/such/program"]\n';

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const open = () => new Terminal(person, site.work, site.environment(), [100, 40]);

  test.each([["crun"], ["chroot"]])(
    "a RUN that fails under %s: its files, mounts, environment and secrets",
    async (isolation) => {
      const context = site.files({ Dockerfile: FAILING, token: "s3cr3t-value" });
      using terminal = open();
      const flags = `--isolation ${isolation} --debug-shell --secret id=token,src=${context}/token`;
      terminal.type(`cooper bud ${flags} ${context}; echo status $?`);
      const { text } = await terminal.shows(/Leave it to end the build[\s\S]*[#$]$/m);
      expect(text).toMatch(/✗ .*RUN --mount=type=secret[\s\S]*│ last words/);
      terminal.type(
        "echo $(ls) $COLOUR $(pwd) $(cat /run/secrets/token) $(grep -c ' /scratch ' /proc/mounts)",
      );
      await terminal.shows(/^kept green \/srv s3cr3t-value 1$/m);
      // Ctrl-C is the shell's: what it ends is the shell's command, or the line that is being typed.
      terminal.type("clear; echo began; sleep 31341");
      await terminal.shows(/^began$/m);
      terminal.press("C-c");
      terminal.type("echo ended by $(($? - 128))");
      await terminal.shows(/^ended by 2$/m);
      terminal.press("C-c");
      terminal.type("clear; touch gone; exit 77");
      const end = (await terminal.shows(/status \d/)).text;
      expect(end).toContain("status 9");
      expect(end).toMatch(/Error: The command .* failed: exit status 9/);
      expect(terminal.isUntouched()).toBe(true);
      terminal.type("clear; stty -a");
      expect((await terminal.shows(/^-?isig /m)).text).toMatch(/^isig icanon .* echo /m);
      expect(mountsMentioning(site.dir)).toEqual([]);
    },
  );

  test.each([["crun"], ["chroot"]])(
    "an image without a shell is lent the host's busybox under %s",
    async (isolation) => {
      using terminal = open();
      const flags = `--isolation ${isolation} --progress=plain --debug-shell`;
      terminal.type(`cooper bud ${flags} ${site.files({ Dockerfile: WITHOUT })}; echo status $?`);
      await terminal.shows(/Leave it to end the build[\s\S]*#$/m);
      terminal.press("C-c");
      terminal.type("echo $COLOUR; ls -d /srv/* /bin; exit");
      const { text } = await terminal.shows(/status \d/);
      expect(text).toMatch(/^green$/m);
      expect(text).toContain("/srv/Dockerfile");
      expect(text).toMatch(/\/bin: No such file/);
      expect(text).toContain("status 127");
    },
  );

  test("without a terminal it is refused before anything runs", async () => {
    const { exitCode, stderr } = await site.cooper(
      "bud",
      "--debug-shell",
      site.files({ Dockerfile: FAILING }),
    );
    expect(exitCode).toBe(125);
    expect(stderr).toMatch(/^Error: --debug-shell needs a terminal/);
    expect(stderr).not.toContain("STEP");
  });

  test("enter: a shell in a container, on a terminal and fed by a script; what it changes stays, what it was lent goes", async () => {
    await site.ok("from", "--name", "work", "localhost/busybox");
    await site.ok("from", "--name", "bare", "scratch");
    await site.ok("config", "--workingdir", "/tmp", "--env", "SIZE=7", "work");
    const fed = await site.run(["cooper", "enter", "work"], {
      stdin: "echo $SIZE $(pwd); echo x > /left; exit 5\n",
    });
    expect(fed).toMatchObject({ exitCode: 5, stdout: "7 /tmp\n" });
    using terminal = open();
    terminal.type("cooper enter --workingdir / work; echo status $?");
    await terminal.shows(/#$/m);
    terminal.type("test -t 0 && cat /left && pwd; exit");
    expect((await terminal.shows(/status 0/)).text).toMatch(/^x\n\/$/m);
    expect((await site.run(["cooper", "enter", "bare"], { stdin: "mkdir /made; ls /\n" })).stdout).toContain(
      "made",
    );
    const root = await site.ok("mount", "bare");
    expect(await site.script(`ls -A '${root}'`)).not.toContain(".cooper");
    await site.ok("umount", "bare");
  });
});
