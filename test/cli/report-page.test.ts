// Protects the pages of reports: nothing from outside becomes markup, and a browser shows them at every width and in every light.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { groupFiles } from "../../src/cli/report/file-groups.ts";
import { imageText } from "../../src/cli/report/image-text.ts";
import { escapeText, html, Markup } from "../../src/cli/report/markup.ts";
import { reportPage } from "../../src/cli/report/report-page.ts";
import { treemap } from "../../src/cli/report/treemap.ts";
import type { BuildReport, ImageReport, LayerReport } from "../../src/index.ts";
import { type Browser, chromium, openBrowser } from "../support/browser.ts";
import { CommandLine } from "../support/command-line.ts";
import { scratchDirectory } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const EVIL = [
  `<script>window.hacked = 1</script>`,
  `"><img src=x onerror="window.hacked=1">`,
  `' onmouseover='window.hacked=1`,
  `</style></title></code><script>window.hacked=1</script>`,
  `&lt;b&gt; & "quotes"`,
  "turned\u202egnp.exe \u001b[2J \ud800 lone",
].join(" ");

const DIGEST = `sha256:${"a".repeat(64)}` as const;

function layer(files: LayerReport["files"], command = EVIL): LayerReport {
  const of = (kind: string) => files.filter((file) => file.kind === kind);
  const count = (kind: string) => ({
    files: of(kind).length,
    bytes: of(kind).reduce((sum, { size }) => sum + size, 0),
  });
  const [added, changed, removed] = [count("added"), count("changed"), count("removed")];
  const size = added.bytes + changed.bytes;
  return { diffId: DIGEST, size, createdBy: [command], wastedBytes: 5, added, changed, removed, files };
}

const many = Array.from({ length: 80 }, (_, i) => ({
  kind: "added" as const,
  path: `/usr/lib/${i}/${"long-name-".repeat(9)}`,
  size: 9000 - i,
}));

const IMAGE: ImageReport = {
  kind: "image",
  version: 1,
  id: "b".repeat(64),
  digest: DIGEST,
  names: [EVIL],
  created: "2026-01-01T00:00:00Z",
  platform: "linux/amd64",
  author: EVIL,
  size: 100_000,
  config: { Env: [`A=${EVIL}`], Labels: { [EVIL]: EVIL }, Cmd: [EVIL], ExposedPorts: { "80/tcp": {} } },
  layers: [
    layer(many),
    layer([
      { kind: "added", path: `/${EVIL}`, size: 500 },
      { kind: "changed", path: "/a", size: 400 },
      { kind: "removed", path: `/${EVIL}/x`, size: 5 },
    ]),
    layer([]),
  ],
  wastedBytes: 5,
  wastedFiles: [{ path: `/${EVIL}`, bytes: 5, layers: [0, 1] }],
};

const BUILD: BuildReport = {
  kind: "build",
  version: 1,
  started: "2026-01-01T00:00:00.000Z",
  milliseconds: 1000,
  names: [EVIL],
  stages: [
    {
      name: EVIL,
      steps: [
        { number: 1, text: `FROM ${EVIL}`, start: 0, milliseconds: 0, outcome: "base" },
        { number: 2, text: EVIL, start: 1, milliseconds: 9, outcome: "cached", from: EVIL },
        {
          number: 3,
          text: EVIL,
          start: 10,
          milliseconds: 900,
          outcome: "failed",
          miss: {
            reason: "changed",
            changes: [
              { input: "x", kind: "changed", step: 2 },
              { input: EVIL, kind: "changed", before: EVIL },
              { input: EVIL, kind: "added", files: [{ kind: "added", path: EVIL }], filesOmitted: 3 },
            ],
          },
        },
      ],
    },
  ],
  commit: { start: 950, milliseconds: 50 },
  warnings: [{ message: EVIL, rule: EVIL, location: { file: EVIL, line: 3 } }],
  error: { code: "run-failed", message: EVIL, hint: EVIL, location: { file: EVIL, line: 3 }, output: EVIL },
  images: [IMAGE, { ...IMAGE, platform: "linux/arm64" }],
};

/** Names of the elements, and all their attributes. */
function elementsOf(page: string): { elements: Set<string>; attributes: [name: string, value: string][] } {
  const elements = new Set<string>();
  const attributes: [string, string][] = [];
  new HTMLRewriter()
    .on("*", {
      element(element) {
        elements.add(element.tagName);
        attributes.push(...(element.attributes as Iterable<[string, string]>));
      },
    })
    .transform(page);
  return { elements, attributes };
}

describe("markup", () => {
  test("values are text, in content and in attributes; markup is markup; undefined is nothing", () => {
    const inner = html`<b>${"<"}</b>`;
    expect(html`<p title="${`"'&`}">${[inner, "a", 1]}${undefined}</p>`.text).toBe(
      `<p title="&quot;&#39;&amp;"><b>&lt;</b>a1</p>`,
    );
    expect(inner).toBeInstanceOf(Markup);
  });
  test("what a terminal or a reader of bidirectional text would obey is replaced", () => {
    expect(escapeText("a\u202eb\u0000c\u001bd\n\te\ud800")).toBe("a\ufffdb\ufffdc\ufffdd\n\te\ufffd");
  });
});

describe("treemap", () => {
  const area = { left: 0, top: 0, width: 100, height: 30 };
  test.each([
    [[1]],
    [[6, 6, 4, 3, 2, 2, 1]],
    [[1e12, 1, 1]],
    [Array.from({ length: 300 }, (_, i) => 300 - i)],
  ])("%j fills its area, each in proportion, none over another", (values) => {
    const places = treemap(values, area);
    const total = values.reduce((sum, value) => sum + value, 0);
    for (const [i, { left, top, width, height }] of places.entries()) {
      expect(width * height).toBeCloseTo((values[i]! / total) * 3000, 3);
      expect(left + width).toBeLessThan(100.001);
      expect(top + height).toBeLessThan(30.001);
    }
    for (const [i, a] of places.slice(0, 20).entries())
      for (const b of places.slice(i + 1, 20)) {
        const apart = a.left + a.width <= b.left + 1e-6 || b.left + b.width <= a.left + 1e-6;
        const below = a.top + a.height <= b.top + 1e-6 || b.top + b.height <= a.top + 1e-6;
        expect(apart || below).toBe(true);
      }
  });
  test("nothing, and only zeros", () => {
    expect(treemap([], area)).toEqual([]);
    expect(treemap([0, 0], area).every(({ width, height }) => width * height === 0)).toBe(true);
  });
});

describe("the files that a map has no room for", () => {
  const files = [
    "/usr/lib/a/1 40",
    "/usr/lib/a/2 30",
    "/usr/lib/b/3 20",
    "/usr/share/4 9",
    "/etc/5 2",
    "/6 1",
  ].map((line) => {
    const [path, size] = line.split(" ") as [string, string];
    return { kind: "added" as const, path, size: Number(size) };
  });
  const groups = (most: number) =>
    groupFiles(files, most).map(({ directory, files: those, size }) => [directory, those.length, size]);
  test("are in groups by directory, the largest directories on their own, each file once", () => {
    expect(groups(1)).toEqual([["/", 6, 102]]);
    expect(groups(2)).toEqual([
      ["/usr/", 4, 99],
      ["/", 2, 3],
    ]);
    expect(groups(4)).toEqual([
      ["/usr/lib/a/", 2, 70],
      ["/usr/lib/b/", 1, 20],
      ["/usr/share/", 1, 9],
      ["/", 2, 3],
    ]);
    expect(groups(99).map(([directory]) => directory)).toEqual([
      "/usr/lib/a/",
      "/usr/lib/b/",
      "/usr/share/",
      "/etc/",
      "/",
    ]);
    expect(groupFiles([], 5)).toEqual([]);
  });
  test("have their labels on the page", () => {
    const cell = 'title="27 more in /usr/lib/, 241 KB"><span>usr/lib/ (27)</span><span>241 KB</span>';
    expect(reportPage(IMAGE).includes(cell)).toBe(true);
  });
});

test.each([
  [2800, "0, 1.0 s, 2.0 s"],
  [224, "0, 100 ms, 200 ms"],
  [3, "0, 1 ms, 2 ms"],
  [200_000, "0, 1 m 0 s, 2 m 0 s, 3 m 0 s"],
  [86_400_000, "0, 360 m 0 s, 720 m 0 s, 1080 m 0 s"],
  [0, "0"],
])("a timeline of %d ms has its ticks at %s", (milliseconds, expected) => {
  const [, ticks = ""] = /<span class="ticks">(.*)<\/span><\/div>/.exec(
    reportPage({ ...BUILD, milliseconds }),
  )!;
  expect([...ticks.matchAll(/>([^<]+)</g)].map(([, label]) => label).join(", ")).toBe(expected);
});

test.each([
  ["build", BUILD],
  ["image", IMAGE],
] as const)("hostile names stay text in the page of a %s", (_, report) => {
  const page = reportPage(report);
  const { elements, attributes } = elementsOf(page);
  const known =
    "html head meta title style body header nav main footer section h1 h2 h3 p dl div dt dd ol ul li span code b a time details summary table caption thead tbody tr th td pre br";
  expect([...elements].filter((name) => !known.split(" ").includes(name))).toEqual([]);
  expect(attributes.filter(([name]) => name.startsWith("on") || name === "src")).toEqual([]);
  for (const [name, value] of attributes)
    if (name === "style") expect(value).toMatch(/^(?:(?:left|top|width|height|--tick):[\d.]+%;?)+$/);
  for (const [name, value] of attributes) if (name === "href") expect(value).toMatch(/^#[a-z0-9-]+$/);
  const ids = attributes.filter(([name]) => name === "id").map(([, value]) => value);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [name, value] of attributes) if (name === "href") expect(ids).toContain(value.slice(1));
  expect(page).not.toMatch(/[\u202e\u001b]|<script|<img/);
  expect(page).toContain("&lt;script&gt;window.hacked = 1&lt;/script&gt;");
});

test("the text form obeys nobody either", () => {
  expect(imageText(IMAGE)).not.toMatch(/[\u001b\u202e]/);
});

test("what is no report's name, or cannot be written, is refused before anything is built", async () => {
  using command = new CommandLine("report");
  command.file("context/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
  const context = command.path("context");
  const build = (file: string, ...more: string[]) =>
    command.run(["bud", "-q", ...more, "--report", file, context]);
  expect(await build("report.txt")).toMatchObject({
    status: 125,
    stderr: 'Error: --report takes a file that ends in .html or .json, not "report.txt"',
  });
  expect((await build(command.path("none/r.html"))).stderr).toStartWith(
    `Error: Cannot write ${command.path("none/r.html")}`,
  );
  expect((await build(command.path("r.html"), "--check")).stderr).toContain("--check");
  expect(await command.ok("images", "-q")).toBe("");
  // While it is built, there is nothing in the context that was not there before.
  const inside = command.path("context/inside.json");
  command.file("context/Dockerfile", "FROM scratch\nCOPY . /\n");
  expect((await build(inside)).status).toBe(0);
  expect(((await Bun.file(inside).json()) as BuildReport).images[0]!.layers[0]!.files).toHaveLength(1);
  expect((await build(command.path("r.html"), "-t", "localhost/x")).status).toBe(0);
  expect(await Bun.file(command.path("r.html")).text()).toStartWith("<!doctype html>");
  await command.ok("explore", "-o", command.path("x.json"), "localhost/x");
  expect(await Bun.file(command.path("x.json")).json()).toMatchObject({ kind: "image", version: 1 });
  expect((await command.run(["explore", "localhost/none"])).status).toBe(125);
  expect(readdirSync(command.path(".")).filter((name) => name.includes("r.html"))).toEqual(["r.html"]);
});

const where = chromium === undefined ? " (skipped: there is no chromium; apt-get install chromium)" : "";
describe.skipIf(chromium === undefined)(`in a browser${where}`, () => {
  const scratch = scratchDirectory("page");
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser(scratch.file("profile"));
    writeFileSync(scratch.file("build.html"), reportPage(BUILD));
  });
  afterAll(async () => {
    await browser?.close();
    scratch[Symbol.dispose]();
  });

  const GROUNDS = { light: "rgb(255, 255, 255)", dark: "rgb(20, 23, 27)" };
  for (const width of [1280, 390, 320]) {
    for (const scheme of ["light", "dark"] as const) {
      test(`${width} pixels, ${scheme}`, async () => {
        const page = await browser.open(`file://${scratch.file("build.html")}`, {
          width,
          height: 900,
          scheme,
        });
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
        expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe(GROUNDS[scheme]);
        expect(await page.evaluate("typeof window.hacked")).toBe("undefined");
        expect(await page.evaluate("document.scripts.length + document.images.length")).toBe(0);
        // Layers open without a script.
        const layers = "[...document.querySelectorAll('details')].map((one) => one.open)";
        expect(await page.evaluate(layers)).toEqual([false, false, true, false, false, true]);
        await page.evaluate("document.querySelector('summary').click()");
        expect(await page.evaluate(layers)).toEqual([true, false, true, false, false, true]);
        expect(
          await page.evaluate("document.querySelector('details .map').getBoundingClientRect().height"),
        ).toBeGreaterThan(100);
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
        await page.evaluate("document.querySelector('.why a').click()");
        expect(await page.evaluate("document.querySelector(':target code').textContent")).toContain(
          "<script>window.hacked = 1</script>",
        );
        await page.close();
      });
    }
  }
  test("the keyboard reaches the parts of the page, and opens a layer", async () => {
    const page = await browser.open(`file://${scratch.file("build.html")}`, {
      width: 1280,
      height: 900,
      scheme: "light",
    });
    const focused = "document.activeElement.tagName + ' ' + document.activeElement.textContent";
    await page.press("Tab");
    expect(await page.evaluate(focused)).toBe("A Timeline");
    await page.press("Enter");
    expect(await page.evaluate("location.hash")).toBe("#timeline");
    for (let i = 0; i < 30 && (await page.evaluate("document.activeElement.tagName")) !== "SUMMARY"; i++)
      await page.press("Tab");
    expect(await page.evaluate("document.activeElement.parentElement.open")).toBe(false);
    await page.press("Enter");
    expect(await page.evaluate("document.activeElement.parentElement.open")).toBe(true);
    await page.close();
  });
  test("all text has a contrast of 4.5 or more on its ground", async () => {
    for (const scheme of ["light", "dark"] as const) {
      const page = await browser.open(`file://${scratch.file("build.html")}`, {
        width: 1280,
        height: 900,
        scheme,
      });
      expect(await page.evaluate(WORST_CONTRAST)).toBeGreaterThanOrEqual(4.5);
      await page.close();
    }
  });
});

/** WCAG 2's contrast of each element with text of its own on the first ground behind it that is not transparent; the least. */
const WORST_CONTRAST = `(() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => { const [r, g, b] = parts(color).slice(0, 3).map((c) => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (node) => { for (let at = node; at; at = at.parentElement) { const color = getComputedStyle(at).backgroundColor; if (parts(color)[3] !== 0) return color; } return "rgb(255, 255, 255)"; };
  let worst = 21;
  for (const node of document.body.querySelectorAll("*")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== "")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
    worst = Math.min(worst, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
  }
  return worst;
})()`;

test("reviewed screenshots are there", () => {
  for (const name of [
    "report-1280-light",
    "report-1280-dark",
    "report-390-light",
    "report-390-dark",
    "report-failed-1280-light",
    "report-failed-390-dark",
  ])
    expect(existsSync(`${import.meta.dir}/../../docs/screens/${name}.png`)).toBe(true);
});
