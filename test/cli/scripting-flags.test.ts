// Protects flags of the scripted commands: noted history, files of other containers and images, changes at commit time.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite } from "../support/cooper.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { startRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const scratch = scratchDirectory("scripting-flags");
const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];

function cooper(argv: string[], more: Record<string, string> = {}) {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: scratch.path,
    XDG_RUNTIME_DIR: scratch.file("run"),
    COOPER_ROOT: scratch.file("store"),
    COOPER_RUNROOT: scratch.file("run/cooper"),
    ...more,
  };
  const { exitCode, stdout, stderr } = Bun.spawnSync([...program, ...argv], { env, cwd: scratch.path });
  return { status: exitCode, stdout: stdout.toString().trim(), stderr: stderr.toString() };
}

function ok(...argv: string[]): string {
  const { status, stdout, stderr } = cooper(argv);
  if (status !== 0) throw new Error(`cooper ${argv.join(" ")}: ${stderr}`);
  return stdout;
}

beforeAll(() => {
  mkdirSync(scratch.file("run"));
  mkdirSync(scratch.file("tree/sub"), { recursive: true });
  writeFileSync(scratch.file("tree/file"), "content\n");
  writeFileSync(scratch.file("outside"), "outside\n");
  symlinkSync("../outside", scratch.file("tree/link"));
  ok("import", busyboxBase(), "localhost/busybox");
});
afterAll(() => {
  cooper(["rm", "--all"]);
  scratch[Symbol.dispose]();
});

interface Config {
  history: { created: string; created_by: string; empty_layer?: boolean; comment?: string }[];
  config: {
    Env?: string[];
    Labels?: Record<string, string>;
    Cmd?: string[];
    WorkingDir?: string;
    ArgsEscaped?: boolean;
  };
}
const configOf = (image: string) =>
  JSON.parse(ok("inspect", "--type", "image", "--format", "{{json .OCIv1}}", image)) as Config;
const scratchContainer = () => ok("from", "scratch");

describe("--add-history", () => {
  const nop = (step: string) => `/bin/sh -c #(nop) ${step}`;

  test("config, copy, add and run are told of, before the commit, as Buildah tells them", () => {
    const box = ok("from", "localhost/busybox");
    const given = [
      ["--env", "A=b", "--env", "C=d e", "--label", "x=y", "--label", "z=w", "-p", "80", "-p", "90"],
      ["--volume", "/v", "--volume", "/w", "--onbuild", "RUN x", "--cmd", '["a","b c"]', "--user", "0"],
      ["--healthcheck", "CMD x", "--healthcheck-interval", "10s", "--healthcheck-timeout", "5s"],
      ["--healthcheck-start-period", "3s", "--healthcheck-retries", "2", "--workingdir", "/"],
    ].flat();
    ok("config", "--add-history", ...given, box);
    const file = ok("copy", "--add-history", box, scratch.file("tree/file"), "/file");
    const tree = ok("add", "--add-history", box, scratch.file("tree"), "/tree");
    const both = ok(
      "copy",
      "--add-history",
      box,
      scratch.file("tree/file"),
      scratch.file("outside"),
      "/both/",
    );
    ok("run", "--add-history", box, "--", "sh", "-c", "echo a b");
    ok("config", "--created-by", "by hand", "--history-comment", "why", box);
    ok("commit", "-q", box, "localhost/noted");
    const { history } = configOf("localhost/noted");
    const own = history.slice(-15);
    expect(own.map(({ created_by }) => created_by)).toEqual([
      nop("USER 0"),
      nop("EXPOSE 80 90"),
      nop("ENV A=b C=d e"),
      nop('CMD ["a","b c"]'),
      nop("VOLUME /v"),
      nop("VOLUME /w"),
      nop("HEALTHCHECK --interval=10s --retries=2 --start-period=3s --timeout=5s CMD x"),
      nop("LABEL x=y z=w"),
      nop("WORKDIR /"),
      nop("ONBUILD RUN x"),
      nop(`COPY file:${file}`),
      nop(`ADD dir:${tree}`),
      nop(`COPY multi:${both}`),
      "/bin/sh -c sh -c echo a b",
      "by hand",
    ]);
    expect(own.map(({ empty_layer }) => empty_layer === true)).toEqual([...Array(14).fill(true), false]);
    expect(own.at(-1)!.comment).toBe("why");
    // What was noted stays for the next image of the container.
    ok("commit", "-q", box, "localhost/noted-again");
    expect(configOf("localhost/noted-again").history.length).toBe(history.length);
  });

  test("BUILDAH_HISTORY and COOPER_HISTORY ask for it; the flag is stronger", () => {
    const box = scratchContainer();
    cooper(["config", "--env", "A=1", box], { BUILDAH_HISTORY: "true" });
    cooper(["config", "--env", "B=1", box], { COOPER_HISTORY: "1" });
    cooper(["config", "--env", "C=1", "--add-history=false", box], { BUILDAH_HISTORY: "true" });
    ok("config", "--env", "D=1", box);
    ok("commit", "-q", box, "localhost/by-variable");
    const { history } = configOf("localhost/by-variable");
    expect(history.slice(0, -1).map(({ created_by }) => created_by)).toEqual([
      nop("ENV A=1"),
      nop("ENV B=1"),
    ]);
  });

  test("a reproducible image has one time, and a command that failed is not told of", () => {
    const box = ok("from", "localhost/busybox");
    ok("config", "--add-history", "--env", "A=1", box);
    expect(cooper(["run", "--add-history", box, "false"]).status).toBe(1);
    expect(cooper(["copy", "--add-history", box, "/nowhere", "/"]).status).toBe(125);
    ok("commit", "-q", "--timestamp", "1000", box, "localhost/timed");
    const own = configOf("localhost/timed").history.slice(-2);
    expect(own.map(({ created_by }) => created_by)).toEqual([nop("ENV A=1"), "cooper commit"]);
    expect(new Set(own.map(({ created }) => Date.parse(created)))).toEqual(new Set([1_000_000]));
  });
});

describe("copy --from", () => {
  test("another container, as it is now", () => {
    const [source, target] = [ok("from", "localhost/busybox"), scratchContainer()];
    ok("run", source, "sh", "-c", "mkdir /made && echo inside > /made/here && chown 7:8 /made/here");
    const digest = ok("copy", "--from", source, target, "/made", "/got");
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    ok("copy", "-q", "--from", "localhost/busybox", target, "/bin", "/bin");
    expect(ok("run", target, "/bin/busybox", "stat", "-c", "%u:%g %n", "/got/here")).toBe("7:8 /got/here");
    expect(ok("run", target, "/bin/busybox", "cat", "/got/here")).toBe("inside");
  });

  test("an image that is still to be brought; nothing of it stays but the image", async () => {
    using registry = await startRegistry();
    const place = `${registry.host}/team/busybox`;
    ok("push", "--tls-verify=false", "localhost/busybox", `docker://${place}`);
    const target = scratchContainer();
    expect(cooper(["copy", "--from", place, target, "/bin", "/bin"]).status).toBe(125);
    const containers = ok("containers", "-q");
    ok("copy", "-q", "--tls-verify=false", "--from", place, target, "/bin", "/bin");
    expect(ok("run", target, "/bin/busybox", "echo", "there")).toBe("there");
    expect(ok("containers", "-q")).toBe(containers);
  });

  test("itself", () => {
    const box = ok("from", "localhost/busybox");
    ok("copy", "-q", "--from", box, box, "/bin/busybox", "/second/busybox");
    expect(ok("run", box, "/second/busybox", "echo", "yes")).toBe("yes");
  });

  test("both ways at once ends", async () => {
    const [a, b] = [ok("from", "localhost/busybox"), ok("from", "localhost/busybox")];
    const env = {
      ...process.env,
      COOPER_ROOT: scratch.file("store"),
      COOPER_RUNROOT: scratch.file("run/cooper"),
    };
    const start = (from: string, to: string) =>
      Bun.spawn([...program, "copy", "-q", "--from", from, to, "/bin/busybox", `/of-${from}`], { env })
        .exited;
    const pairs = Array.from({ length: 4 }, () => [start(a, b), start(b, a)]).flat();
    expect(await Promise.all(pairs)).toEqual(Array(8).fill(0));
  });

  test.each(people)("one that is mounted, as $kind: its files, or what to do", async (person) => {
    await using site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    const [source, target] = [await site.ok("from", "localhost/busybox"), await site.ok("from", "scratch")];
    const path = await site.ok("mount", source);
    await site.script(`echo by the path > ${path}/new`);
    await site.ok("copy", "-q", "--from", source, target, "/bin", "/bin");
    await site.ok("copy", "-q", "--from", source, target, "/new", "/new");
    expect(await site.ok("run", target, "/bin/busybox", "cat", "/new")).toBe("by the path");
    expect(await site.ok("mount", source)).toBe(path);
    const other = await site.ok("from", "localhost/busybox");
    await site.ok("mount", other);
    const both = await site.cooper("copy", "-q", "--from", source, other, "/new", "/new");
    if (person.kind === "root") expect([both.exitCode, both.stderr]).toEqual([0, ""]);
    else
      expect([both.exitCode, both.stderr]).toEqual([125, expect.stringContaining(`cooper umount ${source}`)]);
    await site.ok("umount", source);
    await site.ok("copy", "-q", "--from", source, other, "/new", "/new");
    expect(await site.ok("run", other, "cat", "/new")).toBe("by the path");
  });

  test("never the host's files, whatever leads out of the source", () => {
    const [source, target] = [ok("from", "localhost/busybox"), scratchContainer()];
    ok("run", source, "ln", "-s", scratch.file("outside"), "/way");
    for (const path of [scratch.file("outside"), "../../../../etc/hostname", "/way"]) {
      expect([path, cooper(["copy", "--from", source, target, path, "/stolen"]).status]).toEqual([path, 125]);
    }
  });

  test("what is neither, and a context directory with it, are refused", () => {
    const target = scratchContainer();
    expect(cooper(["copy", "--from", "localhost/nothing", target, "/a", "/b"]).stderr).toContain(
      "localhost/nothing",
    );
    expect(cooper(["copy", "--from", "a", "--contextdir", ".", target, "/a", "/b"]).stderr).toContain(
      "Only one of",
    );
  });
});

describe("config", () => {
  test("--unsetlabel, --unsetannotation, --healthcheck-start-interval", () => {
    const box = scratchContainer();
    ok("config", "--label", "a=1", "--label", "b=2", "--annotation", "c=3", "--annotation", "d=4", box);
    ok("config", "--unsetlabel", "a", "--unsetannotation", "c", box);
    ok("config", "--healthcheck", "CMD true", "--healthcheck-start-interval", "2s", box);
    ok("commit", "-q", "--identity-label=false", "--format", "docker", box, "localhost/unset");
    expect(configOf("localhost/unset").config.Labels).toEqual({ b: "2" });
    const docker = ok(
      "inspect",
      "--type",
      "image",
      "--format",
      "{{json .Docker.config.Healthcheck}}",
      "localhost/unset",
    );
    expect(JSON.parse(docker)).toMatchObject({ Test: ["CMD", "true"], StartInterval: 2e9 });
    const annotations = ok("inspect", "--type", "container", "--format", "{{json .ImageAnnotations}}", box);
    expect(JSON.parse(annotations)).toEqual({ d: "4" });
  });
});

describe("commit", () => {
  test("--change, --unsetenv, --unsetannotation: the image's, not the container's", () => {
    const box = scratchContainer();
    ok("config", "--env", "A=1", "--env", "B=2", "--annotation", "c=3", "--annotation", "d=4", box);
    const changes = ["--change", "ENV C=$A", "-c", 'CMD ["x", "y"]', "-c", "LABEL l=m"];
    ok(
      "commit",
      "-q",
      "--identity-label=false",
      ...changes,
      "--unsetenv",
      "A",
      "--unsetannotation",
      "c",
      box,
      "localhost/changed",
    );
    const { config } = configOf("localhost/changed");
    const wanted = { Env: ["B=2", "C=1"], Cmd: ["x", "y"], Labels: { l: "m" } };
    expect({ ...config }).toEqual({ ...wanted, WorkingDir: "/", ArgsEscaped: true });
    ok("commit", "-q", "--identity-label=false", box, "localhost/unchanged");
    expect(configOf("localhost/unchanged").config).toEqual({ Env: ["A=1", "B=2"], WorkingDir: "/" });
    expect(cooper(["commit", "--change", "RUN true", box]).stderr).toContain("change");
    expect(cooper(["commit", "--change", "NONSENSE", box]).status).toBe(125);
  });

  test("--source-date-epoch and SOURCE_DATE_EPOCH: the same bytes at any time", () => {
    const make = (flags: string[], env: Record<string, string> = {}) => {
      const box = scratchContainer();
      ok("copy", "-q", box, scratch.file("tree"), "/tree");
      const made = cooper(["commit", "-q", "--rm", ...flags, box], env);
      expect(made.stderr).toBe("");
      return made.stdout;
    };
    const first = make(["--source-date-epoch", "1700000000"]);
    expect(make([], { SOURCE_DATE_EPOCH: "1700000000" })).toBe(first);
    expect(make(["--source-date-epoch", "1700000001"])).not.toBe(first);
    expect(configOf(first)).toMatchObject({ created: expect.stringMatching(/^2023-11-14T22:13:20/) });
    // Files of this year are newer than that: without the rewriting they keep their own time.
    expect(make(["--source-date-epoch", "1700000000", "--rewrite-timestamp=false"])).not.toBe(first);
  });
});

describe("run", () => {
  test("--contextdir: where relative sources of mounts are, and nothing beside it", () => {
    const box = ok("from", "localhost/busybox");
    const run = (source: string) =>
      cooper([
        "run",
        "--contextdir",
        scratch.file("tree"),
        "--mount",
        `type=bind,src=${source},target=/m`,
        box,
        "cat",
        "/m",
      ]);
    expect(run("file").stdout).toBe("content");
    for (const source of ["../outside", "link"]) {
      expect(run(source).stderr).toContain("leaves the context directory");
    }
    const absolute = ["--mount", `type=bind,src=${scratch.file("outside")},target=/m`];
    expect(ok("run", "--contextdir", scratch.file("tree"), ...absolute, box, "cat", "/m")).toBe("outside");
  });
});

test("from --format checks its value and leaves the decision to commit", () => {
  const box = ok("from", "--format", "docker", "scratch");
  ok("commit", "-q", box, "localhost/format");
  const type = ok("inspect", "--type", "image", "--format", "{{.Manifest}}", "localhost/format");
  expect(type).toContain("application/vnd.oci.image.manifest.v1+json");
  expect(cooper(["from", "--format", "tar", "scratch"]).status).toBe(125);
  expect(readFileSync(scratch.file("outside"), "utf8")).toBe("outside\n");
});
