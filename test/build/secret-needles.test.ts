// Protects the search for leaked secrets: every form in which one may lie in a file is found, and nothing else is.
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { Needles, tooShort } from "../../src/build/secret-needles.ts";

const SECRET = "s3cr+t/väl?ue";
const needles = needlesFor(`${SECRET}\n`);
const bytes = Buffer.from(SECRET);
const shifted = (before: string, after: string) =>
  Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);

function needlesFor(value: string | Buffer): Needles {
  return new Needles(new Map([["token", Buffer.from(value as string)]]));
}

/** What a program makes of its input. */
function through(argv: [string, ...string[]], input: string | Buffer): Buffer {
  const { status, stdout } = spawnSync(argv[0], argv.slice(1), { input });
  expect(status).toBe(0);
  return stdout;
}

describe("found", () => {
  test.each([
    ["as it is", "raw", bytes],
    ["within other bytes", "raw", shifted("\0a", "b\xff")],
    ["in base64", "base64", Buffer.from(bytes.toString("base64"))],
    ["in base64 without padding", "base64", Buffer.from(bytes.toString("base64url"))],
    ["in base64 of a text that it ends", "base64", Buffer.from(shifted("user:", "").toString("base64"))],
    ["in base64 of a text that it stands in", "base64", Buffer.from(shifted("ab", "cd").toString("base64"))],
    ["in URL-safe base64", "base64", Buffer.from(shifted("a", "b").toString("base64url"))],
    ["in hexadecimal", "hexadecimal", Buffer.from(shifted("a", "b").toString("hex"))],
    ["in capital hexadecimal", "hexadecimal", Buffer.from(bytes.toString("hex").toUpperCase())],
    ["percent-encoded", "URL-encoded", Buffer.from(`https://u:${encodeURIComponent(SECRET)}@host/`)],
    [
      "percent-encoded by small letters",
      "URL-encoded",
      Buffer.from(encodeURIComponent(SECRET).replace(/%../g, (code) => code.toLowerCase())),
    ],
    ["in a form", "URL-encoded", Buffer.from(String(new URLSearchParams({ p: SECRET })))],
  ])("%s", (_title, form, haystack) => {
    expect(needles.in(haystack)).toMatchObject({ id: "token", form });
  });

  test("in JSON, with what has to be escaped there", () => {
    const quoted = `a"b\\c\nd\te`;
    expect(needlesFor(quoted).in(Buffer.from(JSON.stringify({ quoted })))).toMatchObject({ form: "JSON" });
  });

  // Of any length: what programs break into lines, and where in it the secret begins, is theirs.
  const long = Buffer.from(Array.from({ length: 400 }, (_, i) => (i * 89 + 41) % 251));
  const before = [0, 1, 2, 3, 17, 30, 45, 50];
  test.each<[string, [string, ...string[]]]>([
    ["base64", ["base64"]],
    ["base64 in lines of 64", ["base64", "-w", "64"]],
    ["base64 in one line", ["base64", "-w", "0"]],
    ["openssl's base64", ["openssl", "base64"]],
    ["a plain dump", ["xxd", "-p"]],
  ])("long and broken into lines: %s", (_title, argv) => {
    if (Bun.which(argv[0]) === null) return;
    for (const length of [40, 60, 100, 400]) {
      const secret = Buffer.concat([Buffer.from("<"), long.subarray(0, length), Buffer.from(">")]);
      for (const count of before) {
        const text = through(argv, Buffer.concat([Buffer.alloc(count, "x"), secret, Buffer.from("end")]));
        expect(needlesFor(secret).in(text), `${length} bytes after ${count}`).toBeDefined();
      }
    }
  });
});

describe("of several lines", () => {
  const pem = (kind: string, body: string) => `-----BEGIN ${kind}-----\n${body}\n-----END ${kind}-----\n`;
  const key = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\nq3Z9pLw8Xk2Jm5Tn7Rv4Bh6Yd1Fs0Gc3Aa";
  const cases: [string, string, string, boolean][] = [
    ["a line of a private key", pem("PRIVATE KEY", key), "q3Z9pLw8Xk2Jm5Tn7Rv4Bh6Yd1Fs0Gc3Aa", true],
    ["the frame of a private key", pem("PRIVATE KEY", key), "-----BEGIN PRIVATE KEY-----", false],
    [
      "a certificate beside a key",
      pem("CERTIFICATE", "CERTq3Z9pLw8Xk2Jm5Tn7") + pem("PRIVATE KEY", key),
      "CERTq3Z9pLw8Xk2Jm5Tn7",
      false,
    ],
    [
      "the token of an .npmrc",
      "registry=https://registry.example.com/\n//registry.example.com/:_authToken=npm_8fKq2Lw9XzT4bV7c\n",
      "npm_8fKq2Lw9XzT4bV7c",
      true,
    ],
    [
      "the registry of an .npmrc",
      "registry=https://registry.example.com/\n//registry.example.com/:_authToken=npm_8fKq2Lw9XzT4bV7c\n",
      "registry=https://registry.example.com/",
      false,
    ],
    ["a variable of an .env", "A=1\nKEY='0123456789abcdef01234567'\n", "0123456789abcdef01234567", true],
  ];
  test.each(cases)("%s", (_title, secret, haystack, found) => {
    expect(needlesFor(secret).in(Buffer.from(`x ${haystack} y`))?.form).toBe(found ? "in part" : undefined);
  });
});

test("nothing is found where nothing is", () => {
  expect(needles.in(Buffer.from(SECRET.slice(1)))).toBeUndefined();
  expect(needles.in(Buffer.from("dG9rZW4gb2Ygc29tZXRoaW5nIGVsc2U="))).toBeUndefined();
});

test("a secret too short to tell from chance is found where it stands alone, one still shorter nowhere", () => {
  const short = needlesFor("12345\n");
  expect([short.isEmpty, short.isBlind]).toEqual([true, false]);
  expect(short.alone(Buffer.from("12345"))).toMatchObject([{ needle: { id: "token" }, at: 0 }]);
  expect(short.alone(Buffer.from(" 12345\n"))).toMatchObject([{ at: 1 }]);
  expect(short.alone(Buffer.from("a12345"))).toEqual([]);
  expect(needlesFor("123\n").isBlind).toBe(true);
  expect(needlesFor("123456\n").isEmpty).toBe(false);
  expect(["123", "1234", "123456"].map((value) => tooShort(Buffer.from(value)))).toEqual([
    "nowhere",
    "only where it stands alone",
    undefined,
  ]);
});

test("the white space around a secret does not count", () => {
  expect(needlesFor("  abcdefgh \n\n").in(Buffer.from("xabcdefghx"))).toMatchObject({ form: "raw" });
});
