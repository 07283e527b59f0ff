// Protects the expansion of variables and quotes, position by position as BuildKit's shell lexer does it.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are those of Dockerfiles
import { describe, expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import { type ExpandMode, expandWord, expandWords } from "../../src/dockerfile/expand.ts";

const VALUES: Record<string, string> = {
  V: "value",
  E: "",
  P: "/a/b.c/d.tar.gz",
  S: "foo.bar.baz",
  BL: "two words",
  Ü: "umlaut",
  STAR: "x*y?z",
};
const lookup = (name: string) => (Object.hasOwn(VALUES, name) ? VALUES[name] : undefined);
const BACKSLASH: ExpandMode = { escapeToken: "\\" };

describe("one word", () => {
  const cases: [input: string, output: string][] = [
    ["plain", "plain"],
    ["", ""],
    ["$V ${V}", "value value"],
    ["$Vx ${V}x", " valuex"],
    ["$1$12x$V", "xvalue"],
    ["$", "$"],
    ["a$ b", "a$ b"],
    ["$$V", "V"],
    ["$-x$?y$*z", "xyz"],
    ["${Ü}$Ü.", "umlautumlaut."],
    ["\\$V", "$V"],
    ["\\\\$V", "\\value"],
    ["a\\b\\ c", "ab c"],
    ["end\\", "end"],
    ["'$V \\'", "$V \\"],
    ['"$V \\"q\\" \\$V \\\\ \\n"', 'value "q" $V \\ \\n'],
    ["a'b'\"c\"d", "abcd"],
    ["'\"'\"'\"", "\"'"],
    ["${V:-d}${E:-d}${U:-d}", "valuedd"],
    ["${V-d}${E-d}${U-d}", "valued"],
    ["${V:+a}${E:+a}${U:+a}", "a"],
    ["${V+a}${E+a}${U+a}", "aa"],
    ["${V:?no}${V?no}${E?no}", "valuevalue"],
    ["${U:-${E:-${V}}}", "value"],
    ["${U:-'$V'}${U:-\"$V\"}", "$Vvalue"],
    ["${U:-a b}", "a b"],
    ["${U:-}}", "}"],
    ["${U:-\\}}", "}"],
    ["${U:-'}'}", "}"],
    ["${P#*/}|${P##*/}", "a/b.c/d.tar.gz|d.tar.gz"],
    ["${P%.*}|${P%%.*}", "/a/b.c/d.tar|/a/b"],
    ["${P#nope}|${P%nope}|${P#}|${P%}", `${VALUES.P}|${VALUES.P}|${VALUES.P}|${VALUES.P}`],
    ["${P##*}|${P%%*}|${P#*}|${P%*}", `||${VALUES.P}|${VALUES.P}`],
    ["${P%/?.*}", "/a/b.c"],
    ["${STAR#x\\*}|${STAR%\\?z}", "y?z|x*y"],
    ["${V#$E}|${V#v$U}", "value|alue"],
    ["${S/o/0}|${S//o/0}|${S//./-}", "f0o.bar.baz|f00.bar.baz|foo-bar-baz"],
    ["${S/b?r/X}|${S/.*/}|${S//b*z/}", "foo.X.baz|foo|foo."],
    ["${S//o/}|${S/nope/x}|${S//[ab]/x}", `f.bar.baz|${VALUES.S}|${VALUES.S}`],
    ["${P//\\//:}", ":a:b.c:d.tar.gz"],
    ["${S//o/[\\$0]}", "f[\\o][\\o].bar.baz"],
    ["${E//x/y}|${E//*/y}|${V//*/y}|${V//?/.}", "|y|y|....."],
    ["${E//x/y}${U/x/y}", ""],
    ["a < b << c <<< d", "a < b << c <<< d"],
  ];
  for (const [input, output] of cases)
    test(input, () => expect(expandWord(input, lookup, BACKSLASH)).toBe(output));
});

describe("errors", () => {
  const cases: [input: string, says: string][] = [
    ["${", "missing '}'"],
    ["${V", "missing '}'"],
    ["${V:-x", "missing '}'"],
    ["${}", "bad substitution"],
    ["${:x}", "bad substitution"],
    ["${{V}}", "bad substitution"],
    ["${V^^}", "unsupported modifier (^)"],
    ["${V=x}", "unsupported modifier (=)"],
    ["${V:=x}", "unsupported modifier (:=)"],
    ["${V:#x}", "unsupported modifier (:#)"],
    ["${V:0:1}", "unsupported modifier (:0)"],
    ["${U:?}", "U: is not allowed to be unset"],
    ["${E:?}", "E: is not allowed to be empty"],
    ["${U?say $V}", "U: say value"],
    ["${V/x}", "missing '/'"],
    ["${V/x/y", "missing '}'"],
    ["${V#\\x}", "invalid escape"],
    ["${U:-".repeat(5000), "nested"],
    ["'open", "single quote"],
    ['"open', "double quote"],
  ];
  for (const [input, says] of cases) {
    test(input, () => {
      const run = () => expandWord(input, lookup, BACKSLASH);
      expect(run).toThrow(CooperError);
      expect(run).toThrow(says);
    });
  }
});

describe("modes", () => {
  test("backtick escapes and backslash does not", () => {
    expect(expandWord("a`$V \\$V `` c:\\d", lookup, { escapeToken: "`" })).toBe("a$V \\value ` c:\\d");
  });
  test("bodies of here-documents keep their quotes", () => {
    expect(expandWord(`'$V' "$V" \\$V it's`, lookup, { ...BACKSLASH, ignoreQuotes: true })).toBe(
      `'value' "value" $V it's`,
    );
  });
  test("what is not set stays when asked for", () => {
    const mode = { ...BACKSLASH, keepUnset: true };
    expect(expandWord("$U ${U} ${U:-d} ${U/a/b} $V", lookup, mode)).toBe("$U ${U} ${U:-d} ${U/a/b} value");
  });
  test("quotes and escapes stay when asked for", () => {
    expect(expandWord(`"a b" 'c' d\\ e`, lookup, { ...BACKSLASH, keepQuotes: true, keepEscapes: true })).toBe(
      `"a b" 'c' d\\ e`,
    );
  });
});

describe("several words", () => {
  const cases: [input: string, output: string[]][] = [
    ["a b\tc", ["a", "b", "c"]],
    ["  a  ", ["a"]],
    ["", []],
    ["'' \"\"", []],
    ["$BL", ["two", "words"]],
    ['"$BL"', ["two words"]],
    ["x${BL}y", ["xtwo", "wordsy"]],
    ["a\\ b c", ["a b", "c"]],
    ["a\u00a0b", ["a", "b"]],
    ["<< EOF", ["<< EOF"]],
    ["cat <<EOF >o", ["cat", "<<EOF", ">o"]],
  ];
  for (const [input, output] of cases) {
    test(JSON.stringify(input), () => expect(expandWords(input, lookup, BACKSLASH)).toEqual(output));
  }
});
