// Protects the reading of Dockerfile text: directives, lines, here-documents, flags, forms, and their places.
import { describe, expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import { encodeName } from "../../src/base/path-bytes.ts";
import type { Instruction } from "../../src/dockerfile/instruction.ts";
import { parseDockerfile, parseTrigger } from "../../src/dockerfile/parse.ts";

const parse = (text: string | Uint8Array) => parseDockerfile(text, "Dockerfile");
const only = (text: string): Instruction => parse(text).instructions[0]!;
const refusal = (text: string): CooperError => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof CooperError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(text)} was accepted`);
};

describe("directives", () => {
  const cases: [title: string, text: string, expected: object][] = [
    ["none", "FROM a", { escapeToken: "\\", syntax: undefined, check: undefined }],
    [
      "all, in any case, with blanks",
      "#Syntax = x/y:1 \n# ESCAPE=`\n#check=skip=all\nFROM a",
      { escapeToken: "`", syntax: "x/y:1", check: "skip=all" },
    ],
    ["a comment ends them", "# words\n# escape=`\nFROM a", { escapeToken: "\\" }],
    ["an empty line ends them", "\n# escape=`\nFROM a", { escapeToken: "\\" }],
    ["an unknown one ends them", "# other=1\n# escape=`\nFROM a", { escapeToken: "\\" }],
    [
      "syntax and check below #!",
      "#!/usr/bin/env cooper\n# syntax=s\n# escape=`\nFROM a",
      { escapeToken: "\\", syntax: "s" },
    ],
    ["behind a BOM", "\ufeff# escape=`\r\nFROM a\r\n", { escapeToken: "`" }],
  ];
  for (const [title, text, expected] of cases)
    test(title, () => expect(parse(text).directives).toMatchObject(expected));
});

describe("places", () => {
  const text = "# c\nFROM a\n\nRUN x \\\n# c\n\n  y\nCOPY <<A <<B /\n1\nA\n2\nB\nCMD z";
  test("lines are counted from 1 to the end of the instruction", () => {
    const places = parse(text).instructions.map(({ kind, location }) => [
      kind,
      location.line,
      location.endLine,
    ]);
    expect(places).toEqual([
      ["from", 2, 2],
      ["run", 4, 7],
      ["copy", 8, 12],
      ["cmd", 13, 13],
    ]);
  });
  test("errors have them, too", () => {
    const { location, code } = refusal("FROM a\nRUN \\\n y\nCOPY \\\n x\n");
    expect({ location, code }).toEqual({
      location: { file: "Dockerfile", line: 4, endLine: 5 },
      code: "invalid",
    });
  });
});

describe("flags", () => {
  test("quotes and escapes in them are resolved, `--` ends them", () => {
    expect(only(`COPY --chown="a b" --chmod=7\\55 --link=FALSE -- --x /d`)).toMatchObject({
      chown: "a b",
      chmod: "755",
      link: false,
      sources: ["--x"],
    });
  });
  test("an empty value is none", () =>
    expect(only("COPY --from= --chown= a b")).toMatchObject({ from: undefined, chown: undefined }));
  const wrong = [
    "FROM --x a",
    "COPY --link= a b",
    "ADD --checksum a b",
    "ENV --x a=b",
    "ADD --parents a b",
    "RUN --mount x",
    "ONBUILD --x RUN y",
    "WORKDIR --x /y",
  ];
  for (const text of wrong) test(`${text} is refused`, () => expect(refusal(text).message).toMatch(/flag/i));
});

describe("forms", () => {
  const cases: [text: string, expected: object][] = [
    ['CMD ["a", "b c"]', { command: { form: "exec", argv: ["a", "b c"] } }],
    ["CMD []", { command: { form: "exec", argv: [] } }],
    ["CMD ['a']", { command: { form: "shell", text: "['a']" } }],
    ['CMD ["a",]', { command: { form: "shell", text: '["a",]' } }],
    ['CMD ["a"] b', { command: { form: "shell" } }],
    ['CMD ["\\ud800"]', { command: { form: "exec", argv: ["\ufffd"] } }],
    ['VOLUME ["/a b"]', { paths: ["/a b"] }],
    ["VOLUME /a /b", { paths: ["/a", "/b"] }],
    ["ENV a b=c", { pairs: [{ name: "a", value: "b=c", legacy: true }] }],
    [
      "ENV a=b=c d='e f'",
      {
        pairs: [
          { name: "a", value: "b=c" },
          { name: "d", value: "'e f'" },
        ],
      },
    ],
    [
      "ARG a b=1 c=",
      {
        args: [
          { name: "a", value: undefined },
          { name: "b", value: "1" },
          { name: "c", value: "" },
        ],
      },
    ],
    ["EXPOSE b a", { ports: ["a", "b"] }],
    ["FROM a as B.c-d_e", { base: "a", name: "b.c-d_e" }],
    ["WORKDIR a b", { path: "a b" }],
    ["HEALTHCHECK none", { test: ["NONE"] }],
    ["HEALTHCHECK --timeout=0 CMD x  y", { test: ["CMD-SHELL", "x  y"], timeout: 0 }],
    [
      'HEALTHCHECK --retries=3 --start-interval=1m cmd ["x"]',
      { test: ["CMD", "x"], retries: 3, startInterval: 60e9 },
    ],
    ["onbuild   run x", { trigger: "run x" }],
    ["ONBUILD NONSENSE", { trigger: "NONSENSE" }],
    ["STOPSIGNAL --x 9", { signal: "9" }],
  ];
  for (const [text, expected] of cases) test(text, () => expect(only(text)).toMatchObject(expected));
});

describe("here-documents", () => {
  test("an announcement needs its own word, outside quotes", () => {
    for (const text of [
      "RUN a<<EOF",
      'RUN "<<EOF"',
      "RUN <<<x",
      "RUN echo 'open <<EOF",
      "CMD <<EOF",
      'RUN ["<<EOF"]',
    ]) {
      expect(parse(text).instructions).toHaveLength(1);
    }
  });
  test("quotes in the name stop the expansion", () => {
    const { inline } = only("COPY <<a <<'b' <<\"c\" <<d'' /\n$\na\n$\nb\n$\nc\n$\nd\n") as Extract<
      Instruction,
      { kind: "copy" }
    >;
    expect(inline.map(({ name, expand }) => [name, expand])).toEqual([
      ["a", true],
      ["b", false],
      ["c", false],
      ["d", false],
    ]);
  });
  test("the end may be indented by tabs with <<- only", () => {
    const { inline } = only("COPY <<-a <<b /\n\t\tx\n\ta\n\tb\nb\n") as Extract<
      Instruction,
      { kind: "copy" }
    >;
    expect(inline.map(({ content }) => content)).toEqual(["x\n", "\tb\n"]);
  });
  test("ONBUILD keeps them in the trigger, and the trigger is read again", () => {
    const onbuild = only("ONBUILD COPY <<A /a\nx $Y\nA\n") as Extract<Instruction, { kind: "onbuild" }>;
    expect(onbuild.trigger).toBe("COPY <<A /a\nx $Y\nA");
    const location = { file: "f", line: 7 };
    expect(parseTrigger(onbuild.trigger, location)).toMatchObject({
      inline: [{ name: "A", content: "x $Y\n" }],
      location,
    });
  });
  test("lines that look like comments, directives or continuations are content", () => {
    const { inline } = only("COPY <<A /\n# c\nx \\\n\n# checkpoint\nA\n") as Extract<
      Instruction,
      { kind: "copy" }
    >;
    expect(inline[0]!.content).toBe("# c\nx \\\n\n# checkpoint\n");
  });
});

test("bytes that are not UTF-8 survive in quoted here-documents", () => {
  const bytes = Buffer.from("FROM a\nCOPY <<'X' /x\n\xff\xfe\nX\n", "latin1");
  const copy = parse(bytes).instructions[1] as Extract<Instruction, { kind: "copy" }>;
  expect(encodeName(copy.inline[0]!.content)).toEqual(Buffer.from([0xff, 0xfe, 0x0a]));
});

test("checkpoint comments mark the instruction before them", () => {
  const { instructions } = parse(
    "FROM a\nRUN 1\n# CHECKPOINT\nRUN 2\n# checkpoint here?\nRUN 3 \\\n# checkpoint\n4\n\n# words\n  #checkpoint  \n",
  );
  expect(instructions.map((instruction) => instruction.checkpoint)).toEqual([false, true, false, true]);
});

test("comments above an instruction are kept, an empty one starts anew", () => {
  expect(parse("# a\n#\n# b\n# c\nFROM x").instructions[0]!.comments).toEqual(["b", "c"]);
});

describe("hostile input", () => {
  test("a line of 64 KiB is the longest, as in BuildKit", () => {
    expect(parse(`FROM a\nRUN ${"x".repeat(65531)}\n`).instructions).toHaveLength(2);
    expect(refusal(`FROM a\nRUN ${"x".repeat(65533)}\n`)).toMatchObject({ location: { line: 2 } });
  });
  test("pathological input takes no more than moments", () => {
    const inputs = [
      `FROM a\n${"RUN x \\\n".repeat(20000)}`,
      `FROM a\nENV ${"a=${".repeat(10000)}`,
      `FROM a\n${"# c\n".repeat(100000)}RUN x`,
      `FROM a\nRUN ${"<<A ".repeat(2000)}\n`,
      `FROM a\nCMD ${"[".repeat(30000)}`,
      `FROM a\nLABEL ${'"'.repeat(60001)}`,
    ];
    for (const input of inputs) {
      const start = performance.now();
      try {
        parse(input);
      } catch (error) {
        expect(error).toBeInstanceOf(CooperError);
      }
      expect(performance.now() - start).toBeLessThan(2000);
    }
  });
  test("names of Object's own are no instructions, flags or variables", () => {
    expect(refusal("constructor x").message).toContain("Unknown instruction");
    expect(refusal("RUN --constructor x").message).toContain("Unknown flag");
  });
});
