// Protects what people see at a terminal: a live view that fits it at any size, colours or none, and a terminal left as it was.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { eventually, processesRunning } from "../support/leftovers.ts";
import { Terminal } from "../support/tmux.ts";

setDefaultTimeout(60_000);

/** Waits for a file in the context, so that a test decides how long a step runs. */
const WIDE = "日本語".repeat(60);
const SLOW = `FROM localhost/busybox AS one
RUN --mount=type=bind,target=/c i=0; while [ ! -e /c/go ]; do i=$((i+1)); echo "one $i ${WIDE}"; sleep 0.1; done
FROM localhost/busybox AS two
RUN --mount=type=bind,target=/c printf '\\033]0;evil\\007\\033[2J\\033[5;5Hsecond\\033[31m red\\n'; while [ ! -e /c/go ]; do sleep 0.1; done
FROM scratch
COPY --from=one /bin/busybox /1
COPY --from=two /bin/busybox /2
`;

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const open = (columns: number, rows: number) =>
    new Terminal(person, site.work, site.environment(), [columns, rows]);
  const widths = (text: string) => text.split("\n").map((line) => Bun.stringWidth(line));

  test("a build is shown live, within two widths and after a change of size; the id alone is on stdout", async () => {
    const context = site.files({ Dockerfile: SLOW });
    using terminal = open(100, 24);
    terminal.type(`cooper bud --no-cache -t localhost/slow ${context} >id; echo status $?`);
    const wide = await terminal.shows(
      /\[one 2\/2\][\s\S]*one \d+ 日本[\s\S]*\[two 2\/2\][\s\S]*second red[\s\S]*2 running/,
    );
    expect(Math.max(...widths(wide.text))).toBeLessThanOrEqual(100);
    expect(wide.styled).toContain("\x1b[32m✓");
    terminal.resize(50, 12);
    const narrow = await terminal.shows(/│ one \d+ .{5,30}…$/m);
    expect(Math.max(...widths(narrow.text))).toBeLessThanOrEqual(50);
    // One line for each step in flight and one for all: nothing was drawn twice.
    expect(narrow.text.match(/\[two 2\/2\]/g)?.length).toBe(1);
    expect(narrow.text.match(/2 running/g)?.length).toBe(1);
    terminal.resize(120, 30);
    await terminal.shows(/│ one \d+ .{50,}…$/m);
    await site.script(`touch ${context}/go`);
    const end = await terminal.shows(/status 0/);
    expect(end.text).toMatch(/✓ +\d+\.\ds +\[two 2\/2\] RUN/);
    expect(end.text).toMatch(/✓ +\d+\.\ds +commit [0-9a-f]{12} localhost\/slow:latest/);
    expect(end.text).not.toContain("running");
    expect(terminal.isUntouched()).toBe(true);
    expect(await site.script("cat id")).toMatch(/^[0-9a-f]{64}$/);
    await site.ok("bud", "-q", context);
    terminal.type(`clear; cooper bud -t localhost/slow ${context}`);
    await terminal.shows(/✓ +cached +\[two 2\/2\]/);
  });

  test("Ctrl-C ends the commands and gives the terminal back: status 130", async () => {
    const context = site.files({ Dockerfile: "FROM localhost/busybox\nRUN echo begun; sleep 31337\n" });
    using terminal = open(80, 24);
    terminal.type(`NO_COLOR=1 cooper bud ${context}; echo status $?; stty -a`);
    const { styled } = await terminal.shows(/│ begun/);
    expect(styled).not.toMatch(/\x1b\[[0-9;]*m/);
    expect(terminal.isUntouched()).toBe(false);
    terminal.press("C-c");
    const { text } = await terminal.shows(/status \d+[\s\S]*echo/);
    expect(text).toContain("status 130");
    expect(text).toMatch(/^Error: Stopped by SIGINT$/m);
    expect(text).toMatch(/ icanon[\s\S]* echo /);
    expect(terminal.isUntouched()).toBe(true);
    expect(await eventually(() => processesRunning("sleep 31337").length === 0)).toBe(true);
  });

  test("a failure leaves the end of the output, the excerpt, and the path of the whole log", async () => {
    const dockerfile = `FROM localhost/busybox\nRUN for i in $(seq 1 100); do echo "line $i"; done; exit 42\n`;
    using terminal = open(80, 50);
    terminal.type(`cooper bud ${site.files({ Dockerfile: dockerfile })}; echo status $?`);
    const { text } = await terminal.shows(/status 42/);
    expect(text).toMatch(/✗ +\d+\.\ds +\[2\/2\] RUN for i/);
    expect(text).toContain("  │ line 100");
    expect(text).not.toContain("line 50");
    expect(text).toMatch(/> 2 \| RUN for i/);
    expect(text).toContain("\nHint: --debug-shell opens a shell there");
    const log = /^Log: ((?:.*\n)*?.*\.log)$/m.exec(text)?.[1]?.replaceAll("\n", "") ?? "";
    expect(await site.script(`cat ${log}`)).toMatch(
      /STEP 2\/2: RUN[\s\S]*\nline 1\n[\s\S]*\nline 50\n[\s\S]*\nline 100/,
    );
  });

  test("push and commit are shown too, and leave one line for each thing", async () => {
    using terminal = open(80, 24);
    await site.script("c=$(cooper from --name work localhost/busybox); cooper run $c sh -c 'echo x > /x'");
    terminal.type(
      "cooper commit work localhost/committed && cooper push localhost/committed oci:out:x; echo status $?",
    );
    const { text } = await terminal.shows(/status 0/);
    expect(text).toMatch(/✓ +\d+\.\ds +commit [0-9a-f]{12} localhost\/committed:latest\n[0-9a-f]{64}/);
    expect(text).toMatch(/✓ +\d+\.\ds +push sha256:[0-9a-f]{12} +\d/);
  });

  test.each([
    ["CI=1", "STEP 1/2: FROM"],
    ["TERM=dumb", "STEP 1/2: FROM"],
    ["COOPER_PROGRESS=plain", "STEP 1/2: FROM"],
    ["COOPER_PROGRESS=quiet", ""],
  ])("%s: no live view", async (setting, shown) => {
    const context = site.files({ Dockerfile: "FROM localhost/busybox\nRUN echo hi\n" });
    using terminal = open(80, 24);
    terminal.type(`${setting} cooper bud ${context}; echo status $?`);
    const { text } = await terminal.shows(/status 0/);
    expect(text).not.toContain("✓");
    expect(text).toContain(shown);
    if (shown === "") expect(text).not.toContain("STEP");
  });
});
