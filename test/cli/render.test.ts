// Protects what people see: errors with their place in the Dockerfile, and a build's steps, output and commits.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CooperError } from "../../src/base/errors.ts";
import { renderError } from "../../src/cli/render-error.ts";
import { plainRenderer } from "../../src/cli/render-build.ts";
import type { BuildEvent, StepLabel } from "../../src/index.ts";

const directory = mkdtempSync(join(tmpdir(), "cooper-render-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("errors", () => {
  const file = join(directory, "Dockerfile");
  const lines = Array.from({ length: 12 }, (_, i) => `LINE ${i + 1}`);
  lines[8] = "RUN \x1b[31mred\tmake";
  writeFileSync(file, `${lines.join("\n")}\n`);

  const cases: { title: string; error: unknown; text: string }[] = [
    { title: "a message", error: new CooperError("usage", "Nope"), text: "Error: Nope\n" },
    {
      title: "a hint",
      error: new CooperError("usage", "Nope", { hint: "do it so" }),
      text: "Error: Nope\nHint: do it so\n",
    },
    { title: "any error", error: new TypeError("x is not y"), text: "Error: TypeError: x is not y\n" },
    { title: "any value", error: "thrown text", text: "Error: Thrown text\n" },
    {
      title: "an excerpt, without control characters",
      error: new CooperError("run-failed", "Failed", { location: { file, line: 9 }, hint: "h" }),
      text: `Error: Failed\n  ${file}:9\n     7 | LINE 7\n     8 | LINE 8\n  >  9 | RUN \ufffd[31mred    make\n    10 | LINE 10\n    11 | LINE 11\nHint: h\n`,
    },
    {
      title: "a message and a hint with a terminal's control characters",
      error: new CooperError("invalid", "Cannot unpack \x1b]0;owned\x07\r\x9b2J", { hint: "see\x1b[2K\tit" }),
      text: "Error: Cannot unpack \ufffd]0;owned\ufffd\ufffd\ufffd2J\nHint: see\ufffd[2K\tit\n",
    },
    {
      title: "an excerpt at the end, over two lines",
      error: new CooperError("invalid", "Bad", { location: { file, line: 11, endLine: 12 } }),
      text: `Error: Bad\n  ${file}:11\n     9 | RUN \ufffd[31mred    make\n    10 | LINE 10\n  > 11 | LINE 11\n  > 12 | LINE 12\n`,
    },
    {
      title: "an excerpt at the beginning",
      error: new CooperError("invalid", "Bad", { location: { file, line: 1 } }),
      text: `Error: Bad\n  ${file}:1\n  > 1 | LINE 1\n    2 | LINE 2\n    3 | LINE 3\n`,
    },
    {
      title: "a place beyond the file",
      error: new CooperError("invalid", "Bad", { location: { file, line: 99 } }),
      text: `Error: Bad\n  ${file}:99\n`,
    },
    {
      title: "a file that is gone",
      error: new CooperError("invalid", "Bad", { location: { file: "/no/such/Dockerfile", line: 3 } }),
      text: "Error: Bad\n  /no/such/Dockerfile:3\n",
    },
    {
      title: "standard input",
      error: new CooperError("invalid", "Bad", { location: { file: "-", line: 3 } }),
      text: "Error: Bad\n  <stdin>:3\n",
    },
  ];
  test.each(cases)("$title", ({ error, text }) => {
    expect(renderError(error)).toBe(text);
  });

  test("a long instruction is cut", () => {
    const long = join(directory, "Long");
    writeFileSync(long, Array.from({ length: 100 }, (_, i) => `${i}`).join("\n"));
    const text = renderError(
      new CooperError("invalid", "Bad", { location: { file: long, line: 5, endLine: 90 } }),
    );
    expect(text.split("\n").length).toBeLessThan(30);
  });

  test("colours only when asked", () => {
    const error = new CooperError("usage", "Nope", { hint: "h", location: { file, line: 2 } });
    expect(renderError(error)).not.toContain("\x1b");
    expect(renderError(error, { colour: true })).toContain("\x1b[31;1mError:\x1b[0m Nope");
  });

  test("verbose tells code, causes and stacks", () => {
    const cause = new Error("the deep cause");
    const text = renderError(new CooperError("system", "Top", { cause }), { verbose: true });
    expect(text).toContain("code system");
    expect(text).toContain("the deep cause");
    expect(text).toContain("render.test.ts");
  });

  test("a cause that is its own cause ends", () => {
    const error = new Error("loop");
    error.cause = error;
    expect(renderError(error, { verbose: true })).toContain("loop");
  });
});

describe("a build", () => {
  const step = (index: number, text: string, stage = "0", total = 3): StepLabel => ({
    stage,
    index,
    total,
    text,
  });
  const out = (
    label: StepLabel | undefined,
    data: string,
    stream: "stdout" | "stderr" = "stdout",
  ): BuildEvent => ({
    type: "output",
    ...(label === undefined ? {} : { step: label }),
    stream,
    data: Buffer.from(data),
  });
  const start = (label: StepLabel): BuildEvent => ({ type: "step-start", step: label });
  const done = (label: StepLabel, cached = false): BuildEvent => ({
    type: "step-done",
    step: label,
    cached,
    milliseconds: 1,
  });

  function render(events: BuildEvent[], options = { warnings: true }): string {
    const chunks: Buffer[] = [];
    const renderer = plainRenderer((data) => chunks.push(Buffer.from(data)), options);
    for (const event of events) renderer.onEvent(event);
    renderer.end();
    return Buffer.concat(chunks).toString();
  }

  const from = step(1, "FROM scratch");
  const copy = step(2, "COPY a /");
  const run = step(3, "RUN make");
  const inA = step(1, "RUN a", "a");
  const inB = step(2, "RUN b", "b");

  const forArm = { ...inA, platform: "linux/arm64" };
  const forAmd = { ...inA, platform: "linux/amd64" };
  const cases: { title: string; events: BuildEvent[]; text: string }[] = [
    {
      title: "one stage for two platforms",
      events: [
        start(forArm),
        start(forAmd),
        out(forArm, "arm\n"),
        out(forAmd, "amd\n"),
        done(forArm),
        done(forAmd, true),
        { type: "commit-start", name: undefined, platform: "linux/arm64" },
        { type: "commit-done", name: undefined, platform: "linux/arm64", imageId: "0123456789abcdef" },
      ],
      text: [
        "[linux/arm64] [a] STEP 1/3: RUN a",
        "[linux/amd64] [a] STEP 1/3: RUN a",
        "[linux/arm64] [a] arm",
        "[linux/amd64] [a] amd",
        "[linux/amd64] [a] --> Using cache",
        "[linux/arm64] COMMIT",
        "[linux/arm64] --> 0123456789ab\n",
      ].join("\n"),
    },
    {
      title: "steps, cache, commit",
      events: [
        start(from),
        done(from),
        start(copy),
        done(copy, true),
        { type: "commit-start", name: "localhost/x" },
        { type: "commit-done", name: "localhost/x", imageId: "0123456789abcdef" },
      ],
      text: "STEP 1/3: FROM scratch\nSTEP 2/3: COPY a /\n--> Using cache\nCOMMIT localhost/x\n--> 0123456789ab\n",
    },
    {
      title: "a commit without a name",
      events: [{ type: "commit-start", name: undefined }],
      text: "COMMIT\n",
    },
    {
      title: "output as it comes, and a fresh line after one without an end",
      events: [start(run), out(run, "par"), out(run, "tial\nlast"), done(run), start(copy), done(copy)],
      text: "STEP 3/3: RUN make\npartial\nlast\nSTEP 2/3: COPY a /\n",
    },
    {
      title: "a build that ends in the middle of a line",
      events: [start(run), out(run, "Segmentation")],
      text: "STEP 3/3: RUN make\nSegmentation\n",
    },
    {
      title: "stages that run at once: whole lines with the stage's name",
      events: [
        start(inA),
        start(inB),
        out(inA, "one\ntw"),
        out(inB, "B1\n"),
        out(inA, "o\n"),
        out(inB, "rest", "stderr"),
        done(inA),
        done(inB),
      ],
      text: "[a] STEP 1/3: RUN a\n[b] STEP 2/3: RUN b\n[a] one\n[b] B1\n[a] two\n[b] rest\n",
    },
    {
      title: "a stage left alone goes on without the name",
      events: [start(inA), start(inB), out(inB, "half"), done(inA), out(inB, " line\n"), done(inB)],
      text: "[a] STEP 1/3: RUN a\n[b] STEP 2/3: RUN b\n[b] half line\n",
    },
    {
      title: "an instruction of several lines is shown by its first",
      events: [start(step(1, "RUN <<EOF\nls\nEOF"))],
      text: "STEP 1/3: RUN <<EOF …\n",
    },
    {
      title: "blobs once each, warnings with their place",
      events: [
        { type: "blob", action: "pull", digest: "sha256:aa", done: 0, total: 9 },
        { type: "blob", action: "pull", digest: "sha256:aa", done: 9, total: 9 },
        { type: "blob", action: "pull", digest: "sha256:bb", done: 0, total: 9, skipped: true },
        { type: "warning", message: "Mind this", location: { file: "Dockerfile", line: 4 } },
        { type: "warning", message: "And this" },
      ],
      text: "Copying blob sha256:aa\nCopying blob sha256:bb skipped: already exists\nWarning: Mind this (Dockerfile:4)\nWarning: And this\n",
    },
  ];
  test.each(cases)("$title", ({ events, text }) => {
    expect(render(events)).toBe(text);
  });

  test("warnings can be left out", () => {
    expect(render([{ type: "warning", message: "Mind this" }], { warnings: false })).toBe("");
  });

  test("bytes that are no text pass unchanged", () => {
    const chunks: Uint8Array[] = [];
    const renderer = plainRenderer((data) => chunks.push(Buffer.from(data)), { warnings: true });
    const bytes = Uint8Array.of(0xff, 0xfe, 0, 10);
    renderer.onEvent({ type: "output", stream: "stdout", data: bytes });
    expect(Buffer.concat(chunks)).toEqual(Buffer.from(bytes));
  });
});
