// Protects secrets from what is shown and logged: a command that prints one, whole or in pieces or encoded, shows its name.
import { expect, test } from "bun:test";
import { RedactedStream } from "../../src/build/redact-output.ts";
import { Needles } from "../../src/build/secret-needles.ts";

const SECRET = "hunter2-hunter3";
const needles = new Needles(new Map([["pw", Buffer.from(`${SECRET}\n`)]]));

/** What is written in the end, and after each piece. */
function through(pieces: (string | Uint8Array)[], using = needles): { all: string; steps: string[] } {
  let all = "";
  const steps: string[] = [];
  const stream = new RedactedStream(using, (data) => {
    all += Buffer.from(data).toString("latin1");
  });
  for (const piece of pieces) {
    stream.add(Buffer.from(piece as string));
    steps.push(all);
  }
  stream.end();
  return { all, steps };
}

test.each([
  ["in a line", `a ${SECRET} b\n`, "a [secret pw] b\n"],
  ["twice", `${SECRET}${SECRET}`, "[secret pw][secret pw]"],
  ["in base64", `x${Buffer.from(`user:${SECRET}`).toString("base64")}`, /^x.{4,9}\[secret pw\].{0,4}$/],
  ["not at all", "hunter2-hunter4 \xff\n", "hunter2-hunter4 \xff\n"],
  ["almost, at the end", "hunter2-", "hunter2-"],
])("%s, in one piece and byte by byte", (_how, text, expected) => {
  const bytes = Buffer.from(text, "latin1");
  const shown = through([bytes]).all;
  if (typeof expected === "string") expect(shown).toBe(expected);
  else expect(shown).toMatch(expected);
  expect(through([...bytes].map((byte) => Uint8Array.of(byte))).all).toBe(shown);
});

test("nothing but what may become a secret waits", () => {
  expect(through(["make: done\n", "x hunt", "ing\n"]).steps).toEqual([
    "make: done\n",
    "make: done\nx ",
    "make: done\nx hunting\n",
  ]);
});

test("without secrets everything passes", () => {
  expect(through([SECRET], new Needles(new Map())).all).toBe(SECRET);
});
