// Protects the flags of a build that change how RUN runs: its input, volumes that it leaves alone, hooks, what is hidden from it.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { people } from "../support/as-users.ts";
import { at, type BuildSite, openBuildSite } from "./site.ts";

setDefaultTimeout(120_000);
const FROM = "FROM localhost/busybox\n";

describe.each(people)("as $kind", (person) => {
  let it: BuildSite;
  beforeAll(async () => {
    it = await openBuildSite(person);
  });
  afterAll(() => it[Symbol.asyncDispose]());

  test("bud --stdin: each RUN reads on from there, every time; without it there is nothing to read", async () => {
    const context = it.site.files({
      Dockerfile: `${FROM}RUN read a; echo "1=$a"\nRUN read b; echo "2=$b"\n`,
    });
    const build = async (...flags: string[]) => {
      const settings = { stdin: "one\ntwo\n" };
      const result = await it.site.run(["cooper", "bud", ...flags, context], settings);
      expect(result.exitCode).toBe(0);
      return result.stderr.split("\n").filter((line) => /^[12]=/.test(line));
    };
    expect(await build("--stdin")).toEqual(["1=one", "2=two"]);
    expect(await build("--stdin")).toEqual(["1=one", "2=two"]);
    expect(await build()).toEqual(["1=", "2="]);
  });

  test("bud --compat-volumes: of a VOLUME what COPY put there stays, and nothing of what RUN did", async () => {
    const dockerfile = [
      `${FROM}RUN mkdir -p /v/sub && echo before > /v/old && echo out > /w`,
      'VOLUME ["/v", "/v/sub", "/new"]',
      "RUN echo changed > /v/old; echo b > /v/b; echo n > /new/n; rmdir /v/sub; ls /v /new; echo more >> /w",
      "COPY Dockerfile /v/copied",
      "RUN test -e /v/copied && test ! -e /v/b && chmod 700 /v && rm /v/copied",
      "FROM localhost/one",
      "RUN echo inherited > /v/i",
    ].join("\n");
    const [first, second] = dockerfile.split(/(?=FROM localhost\/one)/) as [string, string];
    await it.shows("true", first, ["--compat-volumes", "-t", "localhost/one"]);
    const list = "cd /; find v new | sort; cat v/old w; stat -c %a v";
    const kept = "new\nv\nv/copied\nv/old\nv/sub\nbefore\nout\nmore\n755";
    expect(await it.shows(list, second, ["--compat-volumes"])).toBe(kept);
    expect(await it.shows("cat /v/i", second)).toBe("inherited");
  });

  test("bud --hooks-dir: programs of the host around each RUN, by their conditions; not without a runtime", async () => {
    const { work } = it.site;
    const log = at(work, "hooks.log");
    writeFileSync(at(work, "hook.sh"), `#!/bin/sh\ncat > /dev/null\necho "$1" >> '${log}'\n`);
    chmodSync(at(work, "hook.sh"), 0o755);
    const hook = (name: string, when: object, stage: string) =>
      JSON.stringify({
        version: "1.0.0",
        hook: { path: at(work, "hook.sh"), args: ["hook.sh", name] },
        when,
        stages: [stage],
      });
    const hooks = it.site.files({
      "a.json": hook("start", { always: true }, "prestart"),
      "b.json": hook("shell", { commands: ["^/bin/sh$"] }, "createRuntime"),
      "c.json": hook("stop", { always: true }, "poststop"),
      "d.json": hook("volume", { hasBindMounts: true }, "createRuntime"),
    });
    const dockerfile = `${FROM}RUN true\nRUN ["true"]`;
    const ran = async (...flags: string[]) => {
      rmSync(log, { force: true });
      const { exitCode, stderr } = await it.build(dockerfile, ["--no-cache", ...flags]);
      return { exitCode, stderr, log: existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [] };
    };
    const plain = ["start", "shell", "stop", "start", "stop"];
    expect(await ran("--hooks-dir", hooks)).toMatchObject({ exitCode: 0, log: plain });
    expect((await ran("--hooks-dir", hooks, "-v", `${work}:/x`)).log).toEqual([
      "start",
      "shell",
      "volume",
      "stop",
      "start",
      "volume",
      "stop",
    ]);
    const without = await ran("--hooks-dir", hooks, "--isolation", "chroot");
    expect(without).toMatchObject({ exitCode: 125, log: [] });
    expect(without.stderr).toContain("hooks of an OCI runtime");
    writeFileSync(at(it.site.dir, "home/containers.conf"), `[engine]\nhooks_dir = ["${hooks}"]\n`);
    const env = { CONTAINERS_CONF: at(it.site.dir, "home/containers.conf") };
    rmSync(log, { force: true });
    const { exitCode } = await it.site.run(
      ["cooper", "bud", "--no-cache", it.site.files({ Dockerfile: dockerfile })],
      { env },
    );
    expect({ exitCode, log: readFileSync(log, "utf8").trim().split("\n") }).toEqual({
      exitCode: 0,
      log: plain,
    });
  });

  test("--security-opt of bud and from: mask, unmask, label=disable and AppArmor", async () => {
    const look = "wc -c < /etc/passwd; wc -c < /proc/version; ls /sys/firmware | wc -l";
    const flags = ["mask=/etc/passwd:/proc/version", "unmask=/sys/*", "label=disable", "apparmor=unconfined"];
    const options = flags.flatMap((flag) => ["--security-opt", flag]);
    const { stderr } = await it.build(`${FROM}RUN ${look}`, options);
    expect(stderr).toMatch(/\n0\n0\n[1-9]\d*\n/);
    const box = await it.site.ok("from", ...options, "localhost/busybox");
    for (const isolation of ["oci", "chroot"])
      expect(await it.site.ok("run", "--isolation", isolation, box, "sh", "-c", look)).toMatch(
        /^0\n0\n[1-9]\d*$/,
      );
    if (existsSync("/sys/module/apparmor")) return;
    const confined = await it.build(`${FROM}RUN true`, [
      "--no-cache",
      "--security-opt",
      "apparmor=docker-default",
    ]);
    expect(confined).toMatchObject({ exitCode: 125 });
    expect(confined.stderr).toContain("AppArmor is not enabled on this host");
  });

  test("bud and from --group-add keep-groups: the groups of who builds, with crun", async () => {
    const dockerfile = `${FROM}RUN id -G > /groups`;
    const context = it.site.files({ Dockerfile: dockerfile });
    const keep = ["--group-add", "keep-groups"];
    // As root the test gives itself groups; a user's own are what they are, and have no names in the namespace.
    const groups = person.kind === "root" ? "setpriv --groups 4001,4002 " : "";
    const box = await it.site.ok("from", ...keep, "localhost/busybox");
    const shown = await it.site.script(`${groups}cooper run --isolation crun ${box} id -G`);
    await it.site.script(
      `${groups}cooper bud -q ${keep.join(" ")} --isolation crun -t localhost/kept ${context}`,
    );
    expect(await it.inImage("localhost/kept", "cat /groups")).toBe(shown);
    if (person.kind === "root") expect(shown).toBe("0 4001 4002");
    const refused = await it.site.cooper("run", "--isolation", "runc", box, "true");
    expect(refused).toMatchObject({ exitCode: 125 });
    expect(refused.stderr).toContain("keep-groups");
  });
});

test("bud --skip-unused-stages=false: every stage above the target, and none below", async () => {
  await using it = await openBuildSite(people[0]!);
  const dockerfile = `${FROM.trim()} AS a\nRUN echo in-a\n${FROM.trim()} AS b\nRUN echo in-b\n${FROM.trim()} AS c\nRUN echo in-c`;
  const ran = async (...flags: string[]) => {
    const { stderr } = await it.build(dockerfile, ["--no-cache", ...flags]);
    return ["a", "b", "c"].filter((name) => new RegExp(`^(?:\\[${name}\\] )?in-${name}$`, "m").test(stderr));
  };
  expect(await ran()).toEqual(["c"]);
  expect(await ran("--skip-unused-stages=false")).toEqual(["a", "b", "c"]);
  expect(await ran("--skip-unused-stages=false", "--target", "b")).toEqual(["a", "b"]);
});
