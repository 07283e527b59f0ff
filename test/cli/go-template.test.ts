// Protects --format: Go's text/template as scripts use it, with Go's way of printing values.
import { describe, expect, test } from "bun:test";
import { renderTemplate } from "../../src/cli/go-template.ts";
import { type GoStruct, GoTime, goJson, goMap } from "../../src/cli/go-value.ts";

const data: GoStruct = {
  Name: "hello",
  Count: 3,
  Big: 1234567890123,
  Ratio: 2.5,
  Yes: true,
  No: false,
  Empty: "",
  Nothing: null,
  List: ["a", "b c", "d"],
  None: [],
  Labels: goMap({ z: "1", a: "2", "with.dot": "3" }),
  NoLabels: goMap({}),
  OCIv1: {
    os: "linux",
    config: { Env: ["A=1", "B=2"] },
    rootfs: { type: "layers", diff_ids: ["x"] },
    "os.version": "10",
  },
  Items: [
    { Name: "one", Tags: ["t1", "t2"] },
    { Name: "two", Tags: [] },
  ],
};

/** Expected results are those of Go 1.19's text/template (with the functions of Podman's and Docker's --format). */
const CASES: [template: string, expected: string][] = [
  ["plain text", "plain text"],
  ["{{.Name}}", "hello"],
  ["{{ .Name }} {{.Count}} {{.Yes}} {{.Ratio}} {{.Big}}", "hello 3 true 2.5 1234567890123"],
  ["{{.List}}|{{.None}}|{{.Labels}}|{{.NoLabels}}", "[a b c d]|[]|map[a:2 with.dot:3 z:1]|map[]"],
  ["{{.Nothing}}|{{.Empty}}|", "<nil>||"],
  [
    "{{.OCIv1.OS}} {{.OCIv1.Config.Env}} {{.OCIv1.RootFS.DiffIDs}} {{.OCIv1.OSVersion}}",
    "linux [A=1 B=2] [x] 10",
  ],
  ["{{(index .Items 0).Name}}", "one"],
  ["{{.Labels.a}}|{{.Labels.missing}}", "2|<no value>"],
  ['{{index .Labels "with.dot"}}|{{index .Labels "missing"}}|', "3||"],
  ["{{index .List 1}}", "b c"],
  ["{{index .OCIv1.Config.Env 0}}", "A=1"],
  ["{{len .List}} {{len .Labels}} {{len .Name}} {{.List | len}}", "3 3 5 3"],
  [
    "{{json .List}}|{{json .Labels}}|{{.Name | json}}",
    '["a","b c","d"]|{"a":"2","with.dot":"3","z":"1"}|"hello"',
  ],
  ["{{range .List}}<{{.}}>{{end}}", "<a><b c><d>"],
  ["{{range $i, $v := .List}}{{$i}}={{$v}};{{end}}", "0=a;1=b c;2=d;"],
  ["{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=2;with.dot=3;z=1;"],
  ["{{range $v := .List}}{{$v}},{{end}}", "a,b c,d,"],
  ["{{range .None}}x{{else}}none{{end}}", "none"],
  [
    "{{range .Items}}{{.Name}}{{range .Tags}} {{.}} of {{$.Name}}{{end}};{{end}}",
    "one t1 of hello t2 of hello;two;",
  ],
  ['{{range .List}}{{if eq . "d"}}{{break}}{{end}}{{.}}{{end}}', "ab c"],
  ['{{range .List}}{{if eq . "a"}}{{continue}}{{end}}{{.}};{{end}}', "b c;d;"],
  // As Go has them.
  [String.raw`{{html "<a>&\"'"}}`, "&lt;a&gt;&amp;&#34;&#39;"],
  [String.raw`{{js "it's <a> \"=&\n\\"}}`, String.raw`it\'s \u003Ca\u003E \"\u003D\u0026\u000A\\`],
  ["{{if .Yes}}yes{{end}}{{if .No}}no{{end}}", "yes"],
  ["{{if .No}}1{{else if .Empty}}2{{else}}3{{end}}", "3"],
  ["{{if and .Yes .List}}both{{end}}{{if or .No .Empty}}either{{end}}{{if not .No}}not{{end}}", "bothnot"],
  ['{{and .Yes "last"}} {{or .Empty "other"}}', "last other"],
  ["{{if and .Nothing .Nothing.Field}}x{{else}}stops early{{end}}", "stops early"],
  ['{{if eq .Name "hello"}}e{{end}}{{if ne .Name "x"}}n{{end}}{{if eq .Name "a" "hello"}}m{{end}}', "enm"],
  ["{{if lt 1 2}}<{{end}}{{if ge .Count 3}}>={{end}}{{if gt 1 2}}>{{end}}{{if le 2 2}}<={{end}}", "<>=<="],
  ["{{with .Labels}}{{.a}}{{end}}{{with .Empty}}x{{else}}empty{{end}}", "2empty"],
  ["{{with $x := .Name}}{{$x}}{{end}}", "hello"],
  ['{{$x := .Name}}{{$x}} {{$x = "b"}}{{$x}}', "hello b"],
  ["{{$n := 0}}{{range .List}}{{$n = .}}{{end}}{{$n}}", "d"],
  [
    '{{printf "%q %s %d %v %5d|%-5s|%05d|%t" .Name .Name .Count .List 42 "ab" 42 .Yes}}',
    '"hello" hello 3 [a b c d]    42|ab   |00042|true',
  ],
  ['{{printf "%q" .List}}', '["a" "b c" "d"]'],
  ['{{printf "%x %X %o %.2f %+d %c %%" 255 255 8 2.5 7 65}}', "ff FF 10 2.50 +7 A %"],
  [
    '{{printf "%d" .Name}}|{{printf "%s"}}|{{printf "x" 1}}',
    "%!d(string=hello)|%!s(MISSING)|x%!(EXTRA int=1)",
  ],
  ['{{.Name | printf "%s-%s" "x"}}', "x-hello"],
  ['{{print "a" "b"}} {{print 1 2}} {{println "x"}}', "ab 1 2 x\n"],
  [
    '{{join .List ", "}}|{{split "a,b" ","}}|{{upper .Name}}|{{lower "ABC"}}|{{title "ab cd"}}',
    "a, b c, d|[a b]|HELLO|abc|Ab Cd",
  ],
  ["{{slice .Name 1 3}} {{slice .List 1}}", "el [b c d]"],
  ["{{truncate .Name 2}}|{{pad .Name 1 2}}|", "he| hello  |"],
  ["a {{- .Name -}} b", "ahellob"],
  ["a\n  {{- /* gone */ -}}\n b", "ab"],
  ["a {{/* gone }} */}} b", "a  b"],
  ['{{"}}"}} {{`raw\\n`}} {{"tab\\t\\u00e9\\x41"}}', "}} raw\\n tab\té" + "A"],
  ["{{1}} {{-1}} {{1.5}} {{0x10}} {{true}} {{'a'}}", "1 -1 1.5 16 true 97"],
  ['{{(printf "%s!" .Name) | upper}}', "HELLO!"],
  ["{{.}}", ""],
];

describe("renders", () => {
  test.each(CASES.filter(([template]) => template !== "{{.}}"))("%s", (template, expected) => {
    expect(renderTemplate(template, data)).toBe(expected);
  });

  test("structs print in braces, in the order of their fields", () => {
    expect(renderTemplate("{{.}}", { A: 1, B: { C: "x" } })).toBe("{1 {x}}");
    expect(renderTemplate("{{.}}", goMap({ k: goMap({ n: 1 }) }))).toBe("map[k:map[n:1]]");
  });
});

describe("refuses", () => {
  const cases: [template: string, message: RegExp][] = [
    ["{{.Nope}}", /field Nope/],
    ["{{.OCIv1.Nope}}", /field Nope/],
    ["{{.Name.Inner}}", /field Inner/],
    ["{{.Nothing.Inner}}", /nil/],
    ["{{break}}", /outside {{range}}/],
    ["{{range .List}}{{end}}{{if .Yes}}{{continue}}{{end}}", /outside {{range}}/],
    ["{{", /not closed/],
    ["{{.Name", /not closed/],
    ['{{"open}}', /string is not closed/],
    ["{{if .Yes}}", /\{\{end\}\}/],
    ["{{end}}", /without a block/],
    ["{{else}}", /without a block/],
    ["{{if .Yes}}{{else}}{{else}}{{end}}", /two/],
    ["{{}}", /command is missing/],
    ["{{.Name | }}", /command is missing/],
    ["{{(.Name}}", /parenthesis/],
    ["{{.Name)}}", /unexpected/],
    ["{{nosuch .Name}}", /"nosuch" not defined/],
    ["{{constructor}}", /"constructor" not defined/],
    ["{{$nope}}", /undefined variable/],
    ["{{.Name .Count}}", /only a function/],
    ["{{index .List 9}}", /out of range/],
    ['{{index .Name "x"}}', /out of range/],
    ["{{range .Name}}{{end}}", /range cannot/],
    ["{{if eq .Name 1}}{{end}}", /incompatible/],
    ['{{template "x"}}', /not supported/],
    ["{{.Name ? }}", /unexpected/],
  ];
  test.each(cases)("%s", (template, message) => {
    expect(() => renderTemplate(template, data)).toThrow(message);
  });
});

test("JSON has maps sorted, structs in their order", () => {
  expect(goJson({ b: goMap({ z: 1, a: [goMap({ y: 1, x: 2 })] }), a: null })).toBe(
    '{"b":{"a":[{"x":2,"y":1}],"z":1},"a":null}',
  );
  expect(goJson(goMap({}), 4)).toBe("{}");
});

test.each([
  ["2026-11-21T09:26:19.196288796Z", "2026-11-21 09:26:19.196288796 +0000 UTC"],
  ["2026-11-21T09:26:19.500Z", "2026-11-21 09:26:19.5 +0000 UTC"],
  ["2026-11-21T09:26:19.000Z", "2026-11-21 09:26:19 +0000 UTC"],
  ["2026-11-21T09:26:19+00:00", "2026-11-21 09:26:19 +0000 UTC"],
  ["2026-11-21T09:26:19-05:30", "2026-11-21 09:26:19 -0530 -0530"],
  ["yesterday", "yesterday"],
])("the time %s is printed as Go prints one, and kept in JSON", (written, printed) => {
  const show = (template: string) => renderTemplate(template, { At: new GoTime(written) });
  expect(show("{{.At}}")).toBe(printed);
  expect(show('{{printf "%s %v %T" .At .At .At}}')).toBe(`${printed} ${printed} time.Time`);
  expect(show("{{json .At}} {{json .}}")).toBe(`"${written}" {"At":"${written}"}`);
});
