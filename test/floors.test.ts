// Protects the architecture: imports go strictly downward, and each library is imported only at its home.
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { floorViolations } from "./support/floors.ts";

test("src/ keeps its floors", () => {
  expect(floorViolations(join(import.meta.dir, "../src"))).toEqual([]);
});

describe("the checker bites", () => {
  const cases: { title: string; file: string; code: string; says: string | undefined }[] = [
    { title: "downward", file: "store/a.ts", code: `import { x } from "../base/x.ts";`, says: undefined },
    { title: "within a folder", file: "store/a.ts", code: `export { x } from "./x.ts";`, says: undefined },
    { title: "node", file: "oci/a.ts", code: `import fs from "node:fs";`, says: undefined },
    { title: "upward", file: "base/a.ts", code: `import { x } from "../store/x.ts";`, says: "above" },
    {
      title: "upward, types only",
      file: "plan/a.ts",
      code: `import type { X } from "../container/x.ts";`,
      says: "above",
    },
    { title: "upward, re-exported", file: "oci/a.ts", code: `export * from "../plan/x.ts";`, says: "above" },
    {
      title: "upward, over lines",
      file: "oci/a.ts",
      code: `import {\n  x,\n  y,\n} from\n  "../plan/x.ts";`,
      says: "above",
    },
    {
      title: "upward, late",
      file: "store/a.ts",
      code: `const x = () => import("../build/x.ts");`,
      says: "above",
    },
    { title: "upward, for effect", file: "store/a.ts", code: `import "../build/x.ts";`, says: "above" },
    {
      title: "upward to the API's types",
      file: "container/a.ts",
      code: `import type { X } from "../api-types.ts";`,
      says: "above",
    },
    {
      title: "sideways",
      file: "container/a.ts",
      code: `import { x } from "../image/x.ts";`,
      says: "same floor",
    },
    {
      title: "sideways, lower",
      file: "oci/a.ts",
      code: `import { x } from "../dockerfile/x.ts";`,
      says: "same floor",
    },
    {
      title: "the API below it",
      file: "index.ts",
      code: `import { x } from "./build/x.ts";`,
      says: undefined,
    },
    {
      title: "the API to itself",
      file: "index.ts",
      code: `export type * from "./api-types.ts";`,
      says: undefined,
    },
    { title: "cli to the API", file: "cli/a.ts", code: `import { x } from "../index.ts";`, says: undefined },
    {
      title: "cli past the API",
      file: "cli/a.ts",
      code: `import { x } from "../store/x.ts";`,
      says: "may see index.ts",
    },
    {
      title: "cli behind the API",
      file: "cli/a.ts",
      code: `import { x } from "../api/x.ts";`,
      says: "may see index.ts",
    },
    { title: "an unknown folder", file: "utils/a.ts", code: "export const x = 1;", says: "no known part" },
    {
      title: "to an unknown folder",
      file: "store/a.ts",
      code: `import { x } from "../utils/x.ts";`,
      says: "above",
    },
    {
      title: "out of src",
      file: "store/a.ts",
      code: `import { x } from "../../test/x.ts";`,
      says: "outside src/",
    },
    {
      title: "no extension",
      file: "store/a.ts",
      code: `import { x } from "./x";`,
      says: "without its extension",
    },
    {
      title: "a computed path",
      file: "cli/a.ts",
      code: "const x = (name: string) => import(name);",
      says: "computed",
    },
    {
      title: "a system call elsewhere",
      file: "store/a.ts",
      code: `import { dlopen } from "bun:ffi";`,
      says: "base/libc.ts",
    },
    {
      title: "a system call at home",
      file: "base/libc.ts",
      code: `import { dlopen } from "bun:ffi";`,
      says: undefined,
    },
    {
      title: "SQLite elsewhere",
      file: "container/a.ts",
      code: `import { Database } from "bun:sqlite";`,
      says: "store/",
    },
    {
      title: "a library elsewhere",
      file: "plan/a.ts",
      code: `import { Parser } from "dockerfile-ast/lib/parser";`,
      says: "dockerfile/parse.ts",
    },
    {
      title: "a library without a home",
      file: "base/a.ts",
      code: `import x from "@scope/left-pad";`,
      says: "without a home",
    },
    {
      title: "words in a comment",
      file: "base/a.ts",
      code: `/* import x from "../cli/x.ts" */\n// import "../cli/x.ts"\n`,
      says: undefined,
    },
  ];
  test.each(cases)("$title", ({ file, code, says }) => {
    const src = mkdtempSync(join(tmpdir(), "cooper-floors-"));
    try {
      mkdirSync(dirname(join(src, file)), { recursive: true });
      writeFileSync(join(src, file), code);
      const found = floorViolations(src);
      expect(found.length).toBe(says === undefined ? 0 : 1);
      if (says !== undefined) expect(found[0]).toContain(says);
    } finally {
      rmSync(src, { recursive: true });
    }
  });
});
