// Protects the reading of command lines: pflag's rules for values, lists, negatives, and where flags end.
import { describe, expect, test } from "bun:test";
import type { FlagTable } from "../../src/cli/command.ts";
import { parseFlags } from "../../src/cli/parse-flags.ts";

const flags = {
  quiet: { type: "bool", short: "q", help: "" },
  rm: { type: "bool", default: true, help: "", fixed: "always removed" },
  identity: { type: "bool", default: true, help: "" },
  name: { type: "string", short: "n", help: "" },
  pull: { type: "string", bare: "always", help: "" },
  jobs: { type: "int", short: "j", help: "" },
  label: { type: "list", short: "l", help: "" },
  cap: { type: "commaList", help: "" },
  isolation: { type: "string", help: "", env: ["TEST_FIRST", "TEST_SECOND"] },
  layers: { type: "bool", help: "", env: ["TEST_LAYERS"] },
  "very-special": { type: "bool", help: "" },
} as const satisfies FlagTable;

function parse(argv: string[], extra: { env?: Record<string, string>; stops?: boolean } = {}) {
  const line = parseFlags(argv, {
    flags,
    unsupported: ["sign-by"],
    env: extra.env ?? {},
    stopsAtFirstArgument: extra.stops ?? false,
  });
  const given: Record<string, unknown> = Object.fromEntries(
    [...line.given].map((name) => [name, line.values[name]]),
  );
  return { values: line.values, args: line.args, help: line.help, given };
}

describe("flags and values", () => {
  const cases: [argv: string[], given: Record<string, unknown>, args: string[]][] = [
    [[], {}, []],
    [["--quiet"], { quiet: true }, []],
    [["-q"], { quiet: true }, []],
    [["--quiet=false"], { quiet: false }, []],
    [["--quiet=T"], { quiet: true }, []],
    [["-q=0"], { quiet: false }, []],
    [["--quiet", "false"], { quiet: true }, ["false"]],
    [["--quiet", "--quiet=false"], { quiet: false }, []],
    [["--identity=false"], { identity: false }, []],
    [["--rm"], { rm: true }, []],
    [["--name", "x"], { name: "x" }, []],
    [["--name=x"], { name: "x" }, []],
    [["--name="], { name: "" }, []],
    [["--name", "", "y"], { name: "" }, ["y"]],
    [["--name", "--quiet"], { name: "--quiet" }, []],
    [["--name", "--"], { name: "--" }, []],
    [["-n", "x"], { name: "x" }, []],
    [["-nx"], { name: "x" }, []],
    [["-n=x=y"], { name: "x=y" }, []],
    [["-qnx"], { quiet: true, name: "x" }, []],
    [["-qn", "x"], { quiet: true, name: "x" }, []],
    [["--name", "a", "--name", "b"], { name: "b" }, []],
    [["--pull", "never"], { pull: "always" }, ["never"]],
    [["--pull=never"], { pull: "never" }, []],
    [["--jobs", "4"], { jobs: 4 }, []],
    [["-j-1"], { jobs: -1 }, []],
    [["--label", "a=b,c=d", "-l", "e"], { label: ["a=b,c=d", "e"] }, []],
    [["--cap", "a,b", "--cap=c"], { cap: ["a", "b", "c"] }, []],
    [["--cap", '"a,b",c""d'], { cap: ["a,b", 'c""d'] }, []],
    [["--cap", '"say ""hi""",b'], { cap: ['say "hi"', "b"] }, []],
    [["--cap="], { cap: [] }, []],
    [["--cap", "a,,b,"], { cap: ["a", "", "b", ""] }, []],
    [["-"], {}, ["-"]],
    [["-q", "-", "x"], { quiet: true }, ["-", "x"]],
    [["--", "--quiet", "-x"], {}, ["--quiet", "-x"]],
    [["-q", "--", "a"], { quiet: true }, ["a"]],
    [["a", "b"], {}, ["a", "b"]],
    [["a", "--", "-x"], {}, ["a", "-x"]],
  ];
  test.each(cases)("%j", (argv, given, args) => {
    const line = parse(argv);
    expect(line.given).toEqual(given);
    expect(line.args).toEqual(args);
  });

  test("defaults are there without having been given", () => {
    const { values, given } = parse([]);
    expect(values).toMatchObject({ quiet: false, rm: true, label: [], cap: [] });
    expect(values.name).toBeUndefined();
    expect(values.jobs).toBeUndefined();
    expect(given).toEqual({});
  });

  test("a list that is given starts from nothing each time", () => {
    parse(["--label", "first"]);
    expect(parse(["--label", "second"]).values.label).toEqual(["second"]);
  });

  test.each(["--help", "-h", "-qh"])("%s asks for help", (word) => {
    expect(parse([word]).help).toBe(true);
  });
});

describe("a command that takes a command line", () => {
  const cases: [argv: string[], quiet: boolean, args: string[]][] = [
    [["c", "ls", "-q", "--name"], false, ["c", "ls", "-q", "--name"]],
    [["-q", "c", "--", "ls", "-l"], true, ["c", "--", "ls", "-l"]],
    [["--", "c", "--help"], false, ["c", "--help"]],
    [["c", "-h"], false, ["c", "-h"]],
  ];
  test.each(cases)("%j", (argv, quiet, args) => {
    const line = parse(argv, { stops: true });
    expect(line.values.quiet).toBe(quiet);
    expect(line.args).toEqual(args);
    expect(line.help).toBe(false);
  });
});

describe("environment", () => {
  test("stands in for a flag, the first variable that is set", () => {
    expect(parse([], { env: { TEST_SECOND: "chroot" } }).values.isolation).toBe("chroot");
    expect(parse([], { env: { TEST_FIRST: "oci", TEST_SECOND: "chroot" } }).values.isolation).toBe("oci");
    expect(parse([], { env: { TEST_FIRST: "" } }).values.isolation).toBeUndefined();
    expect(parse([], { env: { TEST_LAYERS: "true" } }).values.layers).toBe(true);
  });

  test("gives way to the flag, and is checked as one", () => {
    expect(parse(["--layers=false"], { env: { TEST_LAYERS: "1" } }).values.layers).toBe(false);
    expect(() => parse([], { env: { TEST_LAYERS: "perhaps" } })).toThrow(/TEST_LAYERS/);
  });
});

describe("refusals", () => {
  const cases: [argv: string[], message: RegExp, hint?: RegExp][] = [
    [["--quite"], /Unknown flag: --quite/, /--quiet\?/],
    [["--lable=x"], /Unknown flag: --lable/, /--label\?/],
    [["--very"], /Unknown flag: --very/, /--very-special\?/],
    [["--constructor"], /Unknown flag: --constructor/],
    [["--xyzzy"], /Unknown flag: --xyzzy/],
    [["--=x"], /Unknown flag/],
    [["-x"], /'x' in -x/],
    [["-qx"], /'x' in -qx/],
    [["--name"], /needs an argument: --name/],
    [["-n"], /needs an argument: -n/],
    [["--quiet=maybe"], /"maybe" for --quiet/],
    [["--jobs=many"], /"many" for --jobs/],
    [["--jobs=1.5"], /"1.5"/],
    [["--jobs="], /""/],
    [["--cap", '"open'], /quoted field/],
    [["--cap", '"a"b'], /quoted field/],
    [["--sign-by=x"], /--sign-by is not supported: .*skopeo/],
    [["--rm=false"], /always removed/],
    [["c", "--quiet"], /--quiet.*after the first argument/, /before/],
    [["c", "d", "-q"], /-q/],
  ];
  // A loop: bun:test would give a callback in place of a hint that is missing.
  for (const [argv, message, hint] of cases) {
    test(argv.join(" "), () => refused(argv, message, hint));
  }

  function refused(argv: string[], message: RegExp, hint: RegExp | undefined): void {
    let caught: unknown;
    try {
      parse(argv);
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ name: "CooperError", message: expect.stringMatching(message) });
    if (hint !== undefined) expect((caught as { hint?: string }).hint).toMatch(hint);
  }
});
