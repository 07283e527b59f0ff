// Protects what reports tell: of each step whether it was run and which input made it so, of each layer what it holds and wastes.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BuildReport, ImageReport, StepReport } from "../../src/index.ts";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(120_000);

const DOCKERFILE = `FROM localhost/busybox AS tools
RUN echo tool > /tool

FROM localhost/busybox
ARG VERSION=1
ENV LANGUAGE=en
COPY one.txt two.txt /app/
RUN echo "$VERSION" > /version
COPY --from=tools /tool /tool
`;

describe.each(people)("as $name", (person) => {
  let site: Site;
  let context = "";
  let number = 0;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    context = site.files({ Dockerfile: DOCKERFILE, "one.txt": "1", "two.txt": "2" });
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const write = (name: string, text: string) => {
    writeFileSync(join(context, name), text);
    site.give(join(context, name));
  };

  const build = async (...flags: string[]): Promise<BuildReport> => {
    const file = join(site.work, `report-${number++}.json`);
    await site.cooper("bud", "-q", "--layers", ...flags, "--report", file, context);
    return JSON.parse(readFileSync(file, "utf8")) as BuildReport;
  };

  const step = ({ stages }: BuildReport, text: string): StepReport =>
    stages.flatMap(({ steps }) => steps).find((one) => one.text.startsWith(text))!;

  /** Steps that were run, with the reason and the names of what changed. */
  const runs = (report: BuildReport) =>
    report.stages.flatMap(({ steps }) =>
      steps
        .filter(({ miss }) => miss !== undefined)
        .map(({ text, miss }) =>
          `${text}: ${miss!.reason} ${miss!.changes.map(({ input }) => input).join(", ")}`.trim(),
        ),
    );

  test("a first build: every step is new, and the document has its shape", async () => {
    const report = await build("-t", "localhost/app");
    expect(report).toMatchObject({
      kind: "build",
      version: 1,
      names: ["localhost/app:latest"],
      warnings: [],
    });
    expect(Date.parse(report.started)).toBeGreaterThan(0);
    expect(report.stages.map(({ name }) => name).sort()).toEqual(["1", "tools"]);
    for (const { steps } of report.stages) {
      expect(steps.map((one) => one.number)).toEqual(steps.map((_, i) => i + 1));
      expect(steps[0]!.outcome).toBe("base");
      for (const { start, milliseconds } of steps)
        expect(start + milliseconds).toBeLessThanOrEqual(report.milliseconds + 1);
    }
    expect(step(report, "ENV")).toMatchObject({ outcome: "config", location: { line: 6 } });
    expect(step(report, "COPY one")).toMatchObject({ outcome: "run", miss: { reason: "new", changes: [] } });
    expect(step(report, "COPY --from").miss).toMatchObject({ reason: "new", changes: [{ step: 5 }] });
    expect(report.commit!.milliseconds).toBeGreaterThanOrEqual(0);
    expect(report.error).toBeUndefined();
    expect(report.images[0]!.config.Env).toContain("LANGUAGE=en");
    expect(report.images[0]!.layers.map((layer) => layer.files.map(({ path }) => path)).slice(1)).toEqual([
      ["/app/one.txt", "/app/two.txt"],
      ["/version"],
      ["/tool"],
    ]);
  });

  test("nothing changed: all is cached, and nothing is explained", async () => {
    const report = await build();
    expect(runs(report)).toEqual([]);
    expect(step(report, "COPY one").outcome).toBe("cached");
  });

  test("a changed file is named, and what follows it follows from it", async () => {
    write("two.txt", "other");
    const report = await build();
    expect(step(report, "COPY one").miss).toEqual({
      reason: "changed",
      changes: [
        {
          input: "files of the context",
          kind: "changed",
          files: [{ kind: "changed", path: "/app/two.txt" }],
          filesOmitted: 0,
        },
      ],
    });
    expect(step(report, 'RUN echo "$V').miss).toEqual({
      reason: "changed",
      changes: [{ input: "files that the steps before left", kind: "changed", step: 4 }],
    });
    expect(step(report, "RUN echo tool").outcome).toBe("cached");
  });

  const CHANGES: [title: string, flags: string[], edit: (() => void) | undefined, expected: string[]][] = [
    [
      "a build arg",
      ["--build-arg", "VERSION=2"],
      undefined,
      [
        'RUN echo "$VERSION" > /version: changed build arg VERSION',
        "COPY --from=tools /tool /tool: changed files that the steps before left",
      ],
    ],
    ["the cache is not asked", ["--no-cache-filter", "tools"], undefined, ["RUN echo tool > /tool: asked"]],
    [
      "an instruction",
      [],
      () => write("Dockerfile", DOCKERFILE.replace("echo tool", "echo hammer")),
      [
        "RUN echo hammer > /tool: changed instruction",
        // It was last run with the other build arg.
        "COPY --from=tools /tool /tool: changed files that the steps before left, files of stage tools",
      ],
    ],
    [
      "a variable",
      [],
      () => write("Dockerfile", DOCKERFILE.replace("LANGUAGE=en", "LANGUAGE=de")),
      [
        'RUN echo "$VERSION" > /version: changed build arg VERSION, variable LANGUAGE',
        "COPY --from=tools /tool /tool: changed files that the steps before left, files of stage tools",
      ],
    ],
    [
      "a flag of the build",
      ["--shm-size", "1m"],
      () => write("Dockerfile", DOCKERFILE),
      [
        "RUN echo tool > /tool: changed instruction, flags of the build",
        'RUN echo "$VERSION" > /version: changed variable LANGUAGE, flags of the build',
        "COPY --from=tools /tool /tool: changed files that the steps before left",
      ],
    ],
    [
      "a step that was put in",
      [],
      () => write("Dockerfile", DOCKERFILE.replace("COPY one", "RUN true\nCOPY one")),
      ["RUN true: new", "COPY one.txt two.txt /app/: changed files that the steps before left"],
    ],
  ];
  // What a key is made of is the same for everybody.
  for (const [title, flags, edit, expected] of person === people[0] ? CHANGES : []) {
    test(`what changed: ${title}`, async () => {
      edit?.();
      const found = runs(await build(...flags));
      for (const line of expected) expect(found).toContain(line);
    });
  }

  test("what the cache has forgotten", async () => {
    write("Dockerfile", DOCKERFILE);
    await build("--no-cache");
    expect(runs(await build("--cache-ttl", "0"))[0]).toEndWith(": asked");
    await Bun.sleep(1100);
    expect(runs(await build("--cache-ttl", "1s"))[0]).toEndWith(": forgotten");
  });

  test("a build that fails is reported, without the values of secrets", async () => {
    write(
      "Dockerfile",
      "FROM localhost/busybox\nRUN --mount=type=secret,id=key cat /run/secrets/key; echo sesame-open >&2; exit 3\n",
    );
    write("key", "sesame-open");
    const report = await build("--secret", `id=key,src=${join(context, "key")}`);
    expect(report.images).toEqual([]);
    expect(report.error).toMatchObject({ code: "run-failed", location: { line: 2 } });
    expect(report.error!.output).toContain("[secret key]");
    expect(step(report, "RUN")).toMatchObject({ outcome: "failed", miss: { reason: "new" } });
    expect(step(report, "RUN").text).toContain("echo [secret key] >&2");
    expect(JSON.stringify(report)).not.toContain("sesame-open");
  });

  test("a step that two stages have is run once, and explained for both", async () => {
    const stages = ["one", "two"].map(
      (name) => `FROM localhost/busybox AS ${name}\nCOPY two.txt /\nRUN echo ${name}`,
    );
    const result = "FROM scratch\nCOPY --from=one /two.txt /a\nCOPY --from=two /two.txt /b\n";
    write("Dockerfile", `${stages.join("\n")}\n${result}`);
    await build();
    write("two.txt", "for both");
    const report = await build();
    const copies = report.stages.flatMap(({ name, steps }) => steps.map((one) => ({ ...one, stage: name })));
    const [ran, shared] = ["run", "cached"].map((outcome) =>
      copies.find((one) => one.text.startsWith("COPY two") && one.outcome === outcome),
    );
    expect(ran!.miss!.changes).toMatchObject([
      { input: "files of the context", files: [{ path: "/two.txt" }] },
    ]);
    expect(shared!.sharedWith).toEqual({ stage: ran!.stage, number: 2 });
    for (const name of ["one", "two"])
      expect(step(report, `RUN echo ${name}`).miss).toMatchObject({
        reason: "changed",
        changes: [{ step: 2 }],
      });
  });

  test("for several platforms: stages of each, and an image of each", async () => {
    write(
      "Dockerfile",
      "FROM --platform=$BUILDPLATFORM scratch AS shared\nCOPY one.txt /\nFROM scratch\nCOPY --from=shared / /\n",
    );
    const platforms = ["linux/amd64", "linux/arm64"];
    const report = await build("--platform", platforms.join(","), "-t", "localhost/both");
    expect(report.images.map(({ platform }) => platform).sort()).toEqual(platforms);
    const last = report.stages.filter(({ name }) => name === "1");
    expect(last.map(({ platform }) => platform).sort()).toEqual(platforms);
    for (const { steps } of last) expect(steps.map(({ number: at }) => at)).toEqual([1, 2]);
  });

  test("explore counts what later layers overwrite or delete, to the byte", async () => {
    write(
      "Dockerfile",
      [
        "FROM localhost/busybox",
        "RUN mkdir -p /d/sub && head -c 1000 /dev/zero > /d/a && head -c 300 /dev/zero > /d/sub/b && head -c 50 /dev/zero > /same",
        "RUN head -c 70 /dev/zero > /same && head -c 7 /dev/zero > /kept",
        "RUN rm -r /d && chmod 600 /same",
        "RUN mkdir /d && head -c 11 /dev/zero > /d/new",
      ].join("\n"),
    );
    await build("-t", "localhost/waste");
    const report = JSON.parse(await site.ok("explore", "--json", "localhost/waste")) as ImageReport;
    const [base, first, second, third, fourth] = report.layers;
    expect(base!.wastedBytes).toBe(0);
    expect(first).toMatchObject({ added: { files: 3, bytes: 1350 }, wastedBytes: 1350 });
    expect(second).toMatchObject({
      added: { files: 1, bytes: 7 },
      changed: { files: 1, bytes: 70 },
      wastedBytes: 70,
    });
    expect(third).toMatchObject({
      removed: { files: 1, bytes: 1300 },
      changed: { files: 1, bytes: 70 },
      wastedBytes: 0,
    });
    expect(third!.files).toContainEqual({ kind: "removed", path: "/d", size: 1300 });
    expect(fourth!.files).toEqual([{ kind: "added", path: "/d/new", size: 11 }]);
    expect(report.wastedBytes).toBe(1420);
    expect(report.wastedFiles).toEqual([
      { path: "/d", bytes: 1300, layers: [1, 3] },
      { path: "/same", bytes: 120, layers: [1, 2, 3] },
    ]);
    expect(report.layers[3]!.createdBy.at(-1)).toContain("rm -r /d");
    const text = await site.ok("explore", "localhost/waste");
    expect(text).toContain("in 5 layers, 1.42 KB of it wasted");
    expect(text).toMatch(/^1\.3 KB +2, 4 +\/d$/m);
  });
});
