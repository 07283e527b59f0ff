// Protects the language of --chmod: octal and symbolic modes mean what BuildKit's setmode(3) makes of them.
import { describe, expect, test } from "bun:test";
import { applyChmod, parseChmod } from "../../src/archive/copy-chmod.ts";
import { CooperError } from "../../src/base/errors.ts";

/** mode argument, mode of a file before, what a file gets, what a directory gets. */
const cases: [text: string, before: number, file: number, directory: number][] = [
  ["0644", 0o777, 0o644, 0o644],
  ["755", 0o600, 0o755, 0o755],
  ["0", 0o777, 0, 0],
  ["00000755", 0, 0o755, 0o755],
  ["7777", 0, 0o7777, 0o7777],
  ["go-w", 0o666, 0o644, 0o644],
  ["u=rw,g=r,o=r", 0o777, 0o644, 0o644],
  ["u=rwX,go=rX", 0o600, 0o644, 0o755],
  ["u=rwX,go=rX", 0o711, 0o755, 0o755],
  ["u=rwX,go=rX", 0o610, 0o755, 0o755],
  ["a+X", 0o666, 0o666, 0o777],
  ["a+X", 0o124, 0o135, 0o135],
  ["u+rw,g+r,o-x,o+w", 0o124, 0o766, 0o766],
  ["+x", 0o644, 0o755, 0o755],
  ["-x", 0o755, 0o644, 0o644],
  ["=", 0o6755, 0, 0],
  ["=", 0o1755, 0o1000, 0o1000],
  ["=rw,+X", 0o711, 0o777, 0o777],
  ["=rw,+X", 0o600, 0o666, 0o777],
  ["a=rX", 0o644, 0o444, 0o555],
  ["u=", 0o4755, 0o055, 0o055],
  ["g=", 0o2755, 0o705, 0o705],
  ["o=", 0o6755, 0o6750, 0o6750],
  ["g=u", 0o740, 0o770, 0o770],
  ["go=u-w", 0o700, 0o755, 0o755],
  ["u+g", 0o470, 0o770, 0o770],
  ["o-u", 0o407, 0o403, 0o403],
  ["=u", 0o751, 0o777, 0o777],
  ["u=rg", 0o070, 0o770, 0o770],
  ["u+s", 0o755, 0o4755, 0o4755],
  ["g+s", 0o755, 0o2755, 0o2755],
  ["+s", 0o755, 0o6755, 0o6755],
  ["ug+s", 0o755, 0o6755, 0o6755],
  ["o+s", 0o755, 0o755, 0o755],
  ["a-s", 0o6755, 0o755, 0o755],
  ["+t", 0o755, 0o1755, 0o1755],
  ["u+t", 0o755, 0o1755, 0o1755],
  ["o+t", 0o755, 0o755, 0o755],
  ["a=t", 0o4755, 0o1000, 0o1000],
  ["+xt", 0o644, 0o1644, 0o1644],
  ["a-X", 0o755, 0o644, 0o644],
  ["u+w+x-r", 0o444, 0o344, 0o344],
  ["ugoa=r", 0o6777, 0o444, 0o444],
];

describe("a mode", () => {
  test.each(cases)("%s of %o", (text, before, file, directory) => {
    const spec = parseChmod(text);
    const got = [applyChmod(spec, before, false), applyChmod(spec, before, true)];
    expect(got.map((mode) => mode.toString(8))).toEqual([file.toString(8), directory.toString(8)]);
  });

  test.each([
    "",
    "8",
    "10000",
    "64a",
    "0o644",
    "rwx",
    "u",
    "u=rw,",
    ",u=r",
    "u=q",
    "u:r",
    "x+u",
    "u =r",
    "-644",
    "u=644",
  ])("%p is refused", (text) => {
    expect(() => parseChmod(text)).toThrow(CooperError);
  });
});
