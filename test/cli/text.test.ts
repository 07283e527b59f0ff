// Protects the small notations: sizes, ages, durations, byte counts, words of a command line, tables, near names.
import { describe, expect, test } from "bun:test";
import { jsonWords, splitWords } from "../../src/cli/shell-words.ts";
import { editDistance, nearestName } from "../../src/cli/suggest.ts";
import { renderTable } from "../../src/cli/table.ts";
import {
  formatAge,
  formatSize,
  formatUptime,
  parseBytes,
  parseDuration,
  parseMoment,
} from "../../src/cli/units.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1 KB"],
  [1_992_192, "1.99 MB"],
  [12_345_678, "12.3 MB"],
  [999_600, "1 MB"],
  [5_000_000_000, "5 GB"],
  [7e15, "7000 TB"],
])("size %d is %s", (bytes, shown) => {
  expect(formatSize(bytes)).toBe(shown);
});

const MINUTE = 60;
const DAY = 86_400;
test.each([
  [0, "Less than a second ago"],
  [-5, "Less than a second ago"],
  [1, "1 second ago"],
  [59, "59 seconds ago"],
  [MINUTE, "About a minute ago"],
  [2 * MINUTE, "2 minutes ago"],
  [60 * MINUTE, "About an hour ago"],
  [47 * 60 * MINUTE, "47 hours ago"],
  [48 * 60 * MINUTE, "2 days ago"],
  [14 * DAY, "2 weeks ago"],
  [60 * DAY, "2 months ago"],
  [730 * DAY, "2 years ago"],
  [56.9 * 365 * DAY, "56 years ago"],
])("%d seconds are %s", (seconds, shown) => {
  expect(formatAge(1_000_000, 1_000_000 + seconds * 1000)).toBe(shown);
});

test("uptime", () => {
  expect(formatUptime(1584.71)).toBe("26m 24.71s");
  expect(formatUptime(3.5)).toBe("3.5s");
  expect(formatUptime(91 * 3600 + 30 * 60 + 59.9)).toBe("91h 30m 59.9s (Approximately 3.81 days)");
});

test.each([
  ["0", 0],
  ["30s", 30e9],
  ["1m30s", 90e9],
  ["1.5h", 5400e9],
  ["500ms", 500e6],
  ["10us", 10e3],
  ["-1s", -1e9],
  [".5s", 5e8],
])("duration %s", (text, nanoseconds) => {
  expect(parseDuration(text, "--x")).toBe(nanoseconds);
});

test.each(["", "30", "s", "1 s", "abc", "1s2", "1d"])("no duration: %j", (text) => {
  expect(() => parseDuration(text, "--x")).toThrow(/duration .* for --x/);
});

test.each([
  ["65536k", 67_108_864],
  ["64m", 67_108_864],
  ["1g", 1024 ** 3],
  ["1GB", 1024 ** 3],
  ["1MiB", 1024 ** 2],
  ["100", 100],
  ["100b", 100],
  ["1.5k", 1536],
])("bytes %s", (text, bytes) => {
  expect(parseBytes(text, "--x")).toBe(bytes);
});

test.each(["", "m", "-1k", "1x", "1 k b"])("no bytes: %j", (text) => {
  expect(() => parseBytes(text, "--x")).toThrow(/size/);
});

describe("words", () => {
  const cases: [text: string, words: string[]][] = [
    ["", []],
    ["  a   b\tc\n", ["a", "b", "c"]],
    ["a 'b c' d", ["a", "b c", "d"]],
    ["a \"b c\"d'e f'", ["a", "b cde f"]],
    [`"" ''`, ["", ""]],
    ['a\\ b \\"c', ["a b", '"c']],
    ['"a \\" \\$ \\n"', ['a " $ \\n']],
    ["'a\\b'", ["a\\b"]],
    ["a;b | c > d $HOME `x`", ["a;b", "|", "c", ">", "d", "$HOME", "`x`"]],
  ];
  test.each(cases)("%j", (text, words) => {
    expect(splitWords(text, "--cmd")).toEqual(words);
  });

  test.each(["'a", '"a', "a\\", '"a\\"'])("open: %j", (text) => {
    expect(() => splitWords(text, "--cmd")).toThrow(/--cmd .* left open/);
  });

  test("a JSON array of strings and nothing else", () => {
    expect(jsonWords('["a", "b c"]')).toEqual(["a", "b c"]);
    expect(jsonWords(" []")).toEqual([]);
    for (const text of ["[a", "[1]", '{"a":1}', "a", '"a"', "[[]]"]) expect(jsonWords(text)).toBeUndefined();
  });
});

test("tables have columns three blanks apart, and nothing after the last cell", () => {
  expect(
    renderTable([
      ["A", "LONG", "C"],
      ["xxxx", "y", "z"],
    ]),
  ).toBe("A      LONG   C\nxxxx   y      z\n");
  expect(renderTable([])).toBe("");
});

test("near names", () => {
  expect(editDistance("label", "lable")).toBe(1);
  expect(editDistance("", "abc")).toBe(3);
  const names = ["build-arg", "build-context", "label", "layers", "no-cache"];
  expect(nearestName("nocache", names)).toBe("no-cache");
  expect(nearestName("no", names)).toBe("no-cache");
  expect(nearestName("layer", names)).toBe("layers");
  expect(nearestName("build", names)).toBeUndefined();
  expect(nearestName("zzzzzz", names)).toBeUndefined();
});

test.each([
  ["24h", 1_000_000_000_000 - 86_400_000],
  ["1m30s", 1_000_000_000_000 - 90_000],
  ["1700000000", 1_700_000_000_000],
  ["1700000000.5", 1_700_000_000_500],
  ["2026-01-31T10:00:00Z", Date.UTC(2026, 0, 31, 10)],
  ["2026-01-31T10:00:00+02:00", Date.UTC(2026, 0, 31, 8)],
  ["2026-01-31", new Date(2026, 0, 31).getTime()],
])("the moment %s", (text, moment) => {
  expect(parseMoment(text, "--x", 1_000_000_000_000)).toBe(moment);
});

test.each(["", "yesterday", "2026-13-41", "h24", "-5"])("no moment: %j", (text) => {
  expect(() => parseMoment(text, "--x")).toThrow(/time .* for --x/);
});
