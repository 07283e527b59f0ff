// Protects the search for leaked secrets: every form in which one may lie in a file is found, and nothing else is.
import { describe, expect, test } from "bun:test";
import { Needles } from "../../src/build/secret-needles.ts";

const SECRET = "s3cr+t/väl?ue";
const needles = new Needles(new Map([["token", Buffer.from(`${SECRET}\n`)]]));
const bytes = Buffer.from(SECRET);
const shifted = (before: string, after: string) =>
  Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);

describe("found", () => {
  test.each([
    ["as it is", "raw", bytes],
    ["within other bytes", "raw", shifted("\0a", "b\xff")],
    ["in base64", "base64", Buffer.from(bytes.toString("base64"))],
    ["in base64 without padding", "base64", Buffer.from(bytes.toString("base64url"))],
    ["in base64 of a text that it ends", "base64", Buffer.from(shifted("user:", "").toString("base64"))],
    ["in base64 of a text that it stands in", "base64", Buffer.from(shifted("ab", "cd").toString("base64"))],
    ["in URL-safe base64", "base64", Buffer.from(shifted("a", "b").toString("base64url"))],
    ["percent-encoded", "URL-encoded", Buffer.from(`https://u:${encodeURIComponent(SECRET)}@host/`)],
  ])("%s", (_title, form, haystack) => {
    expect(needles.in(haystack)).toMatchObject({ id: "token", form });
  });
});

test("nothing is found where nothing is", () => {
  expect(needles.in(Buffer.from(SECRET.slice(1)))).toBeUndefined();
  expect(needles.in(Buffer.from("dG9rZW4gb2Ygc29tZXRoaW5nIGVsc2U="))).toBeUndefined();
});

test("a secret too short to tell from chance is not looked for", () => {
  expect(new Needles(new Map([["pin", Buffer.from("12345\n")]])).isEmpty).toBe(true);
  expect(new Needles(new Map([["pin", Buffer.from("123456\n")]])).isEmpty).toBe(false);
});

test("the white space around a secret does not count", () => {
  const padded = new Needles(new Map([["key", Buffer.from("  abcdefgh \n\n")]]));
  expect(padded.in(Buffer.from("xabcdefghx"))).toMatchObject({ form: "raw" });
});
