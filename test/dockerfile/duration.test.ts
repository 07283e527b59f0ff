// Protects the durations of HEALTHCHECK: Go's syntax, to the nanosecond.
import { expect, test } from "bun:test";
import { parseDuration } from "../../src/dockerfile/duration.ts";
import { goDuration } from "../../src/plan/go-text.ts";

test.each([
  ["0", 0, "0s"],
  ["30s", 30e9, "30s"],
  ["1m30s", 90e9, "1m30s"],
  ["1.5h", 5400e9, "1h30m0s"],
  ["500ms", 5e8, "500ms"],
  [".5s", 5e8, "500ms"],
  ["1.s", 1e9, "1s"],
  ["1h0.25s", 3600.25e9, "1h0m0.25s"],
  ["2us", 2000, "2µs"],
  ["3µs", 3000, "3µs"],
  ["+7ns", 7, "7ns"],
])("%s", (text, nanoseconds, shown) => {
  expect(parseDuration(text)).toBe(nanoseconds);
  expect(goDuration(nanoseconds)).toBe(shown);
});

test.each(["", "-", "30", "1x", "s", ".s", "1m 2s", "1,5s", "1m30", "1e3s", "9999999h"])(
  "%p is refused",
  (text) => {
    expect(() => parseDuration(text)).toThrow(/[Dd]uration/);
  },
);
