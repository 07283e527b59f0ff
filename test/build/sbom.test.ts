// Protects --sbom of bud and commit: which scanner runs on what, how its accounts become one, and where they go.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mergeSboms } from "../../src/oci/merge-sboms.ts";
import { sbomOptions } from "../../src/cli/sbom-flags.ts";
import { parseFlags } from "../../src/cli/parse-flags.ts";
import { SBOM_FLAGS } from "../../src/cli/sbom-flags.ts";
import { people } from "../support/as-users.ts";
import { at, type BuildSite, openBuildSite } from "./site.ts";

setDefaultTimeout(120_000);

const SCANNER_IMAGE = "localhost/scanner";
const CYCLONEDX = "merge-cyclonedx-by-component-name-and-version";
const SPDX = "merge-spdx-by-package-name-and-versioninfo";

describe("the flags", () => {
  const options = (...argv: string[]) =>
    sbomOptions(parseFlags(argv, { flags: SBOM_FLAGS, env: {} }).values as never);

  test("none ask for nothing, an output alone for syft", () => {
    expect(options()).toBeUndefined();
    expect(options("--sbom-output", "o")).toEqual(options("--sbom", "syft-cyclonedx", "--sbom-output", "o"));
  });

  test.each([
    [
      "syft",
      "ghcr.io/anchore/syft",
      "/syft scan -q dir:{ROOTFS} --output cyclonedx-json={OUTPUT}",
      CYCLONEDX,
    ],
    ["syft-spdx", "ghcr.io/anchore/syft", "/syft scan -q dir:{ROOTFS} --output spdx-json={OUTPUT}", SPDX],
    [
      "trivy",
      "ghcr.io/aquasecurity/trivy",
      "trivy filesystem -q {ROOTFS} --format cyclonedx --output {OUTPUT}",
      CYCLONEDX,
    ],
    [
      "trivy-spdx",
      "ghcr.io/aquasecurity/trivy",
      "trivy filesystem -q {ROOTFS} --format spdx-json --output {OUTPUT}",
      SPDX,
    ],
  ])("--sbom %s is Buildah's", (preset, image, command, merge) => {
    const found = options("--sbom", preset, "--sbom-image-output", "/s");
    expect(found).toMatchObject({ image, merge, imageOutput: "/s" });
    const context = command.replace("{ROOTFS}", "{CONTEXT}");
    expect(found!.commands).toEqual([command.split(" "), context.split(" ")]);
  });

  test("a scanner of one's own: words, or a line for a shell where it redirects", () => {
    const own = ["--sbom-scanner-image", "i", "--sbom-merge-strategy", "cat", "--sbom-purl-output", "p"];
    const commands = ["--sbom-scanner-command", "a 'b c' {ROOTFS}", "--sbom-scanner-command", "a > {OUTPUT}"];
    expect(options(...own, ...commands)).toEqual({
      image: "i",
      commands: [["a", "b c", "{ROOTFS}"], "a > {OUTPUT}"],
      merge: "cat",
      purlOutput: "p",
    });
  });

  test.each([
    [["--sbom", "syft"], /place/],
    [["--sbom", "grype", "--sbom-output", "o"], /preset "grype"/],
    [["--sbom-scanner-image", "i", "--sbom-output", "o"], /image and a command/],
    [["--sbom-scanner-command", "c", "--sbom-output", "o"], /image and a command/],
    [
      ["--sbom-scanner-image", "i", "--sbom-scanner-command", "c", "--sbom-output", "o"],
      /--sbom-merge-strategy/,
    ],
    [
      [
        "--sbom-scanner-image",
        "i",
        "--sbom-scanner-command",
        "c",
        "--sbom-merge-strategy",
        "x",
        "--sbom-output",
        "o",
      ],
      /"x"/,
    ],
  ] as [string[], RegExp][])("refuses %j", (argv, message) => {
    expect(() => options(...argv)).toThrow(message);
  });
});

describe("merging", () => {
  const merge = (strategy: Parameters<typeof mergeSboms>[0], ...scans: unknown[]) => {
    const { sbom, purls } = mergeSboms(
      strategy,
      scans.map((scan) => Buffer.from(typeof scan === "string" ? scan : JSON.stringify(scan))),
    );
    return { sbom: sbom.toString(), purls: purls.toString() };
  };

  // The bytes are those of Buildah 1.43.2 for the same scans.
  test("CycloneDX: by name and version, keys in order, nothing of HTML's", () => {
    const first = {
      specVersion: "1.5",
      components: [{ version: "1", name: "a", purl: "pkg:g/a?x=1&y=<2>" }],
    };
    const second = {
      components: [
        { name: "a", version: "1", purl: "pkg:g/other" },
        { name: "a", version: "2" },
        { name: "b" },
        { name: "b", later: true },
      ],
      more: 1,
    };
    expect(merge(CYCLONEDX, first, second)).toEqual({
      sbom: '{"components":[{"name":"a","purl":"pkg:g/a?x=1\\u0026y=\\u003c2\\u003e","version":"1"},{"name":"a","version":"2"},{"name":"b"}],"specVersion":"1.5"}\n',
      purls: '{"image_contents":{"dependencies":["pkg:g/a?x=1\\u0026y=\\u003c2\\u003e","pkg:g/other"]}}\n',
    });
  });

  test("SPDX: packages by name and versionInfo, licences by their id; package managers' URLs alone", () => {
    const reference = (referenceCategory: string, referenceLocator: string) => ({
      referenceCategory,
      referenceType: "purl",
      referenceLocator,
    });
    const first = {
      packages: [{ name: "a", versionInfo: "1", externalRefs: [reference("PACKAGE-MANAGER", "pkg:a")] }],
      hasExtractedLicensingInfos: [{ licenseId: "L" }],
    };
    const second = {
      packages: [
        { name: "a", versionInfo: "1" },
        { name: "c", externalRefs: [reference("OTHER", "pkg:c")] },
      ],
      hasExtractedLicensingInfos: [{ licenseId: "L" }, { licenseId: "M" }],
    };
    const { sbom, purls } = merge(SPDX, first, second);
    const { packages, hasExtractedLicensingInfos } = JSON.parse(sbom) as {
      packages: { name: string }[];
      hasExtractedLicensingInfos: object[];
    };
    expect(packages.map(({ name }) => name)).toEqual(["a", "c"]);
    expect(hasExtractedLicensingInfos).toEqual([{ licenseId: "L" }, { licenseId: "M" }]);
    expect(purls).toBe('{"image_contents":{"dependencies":["pkg:a"]}}\n');
  });

  test("one alone stays as it is; cat reads nothing", () => {
    const text = '{ "components": [ {"name":"a","purl":"p"} ] }\n';
    expect(merge(CYCLONEDX, text)).toEqual({
      sbom: text,
      purls: '{"image_contents":{"dependencies":["p"]}}\n',
    });
    expect(merge("cat", "not JSON\n", "at all")).toEqual({
      sbom: "not JSON\nat all",
      purls: '{"image_contents":{}}\n',
    });
  });

  test.each([["no JSON"], [[1]], [{ components: [{ version: "1" }] }], [{ components: [7] }]])(
    "refuses %j",
    (scan) => {
      expect(() => merge(CYCLONEDX, scan, { components: [] })).toThrow("Cannot merge what the scanner wrote");
    },
  );
});

/** Lists the files /pk-NAME of a directory: scan DIRECTORY OUTPUT. */
const SCANNER = `#!/bin/sh
ls "$1" | sed -n 's/^pk-//p' | {
  printf '{"components":['
  while read -r name; do
    printf '%s{"name":"%s","purl":"pkg:g/%s"}' "$separator" "$name" "$name"
    separator=,
  done
  printf ']}'
} > "$2"
touch "$1/written" 2> /dev/null && echo "$1 can be written" >&2
exit $((0$FAIL))
`;

describe.each(people)("as $kind", (person) => {
  let it: BuildSite;
  beforeAll(async () => {
    it = await openBuildSite(person);
    const context = it.site.files({
      Dockerfile: "FROM localhost/busybox\nCOPY --chmod=755 scan /bin/\n",
      scan: SCANNER,
    });
    await it.site.ok("bud", "-t", SCANNER_IMAGE, context);
  });
  afterAll(() => it[Symbol.asyncDispose]());

  const out = (name: string) => at(it.site.work, name);

  test("bud: the image's files and each context are scanned; the results are in files, and in the image on top", async () => {
    const other = it.site.files({ "pk-other": "" });
    const flags = [
      ...["--sbom-scanner-image", SCANNER_IMAGE, "--sbom-merge-strategy", CYCLONEDX],
      ...["--sbom-scanner-command", "scan {CONTEXT} {OUTPUT}"],
      ...["--sbom-scanner-command", "scan {ROOTFS} {OUTPUT}"],
      ...["--sbom-output", out("sbom"), "--sbom-purl-output", out("purls")],
      ...["--sbom-image-output", "/told/sbom", "--sbom-image-purl-output", "told/purls"],
      ...["--build-context", `other=${other}`, "--layers"],
    ];
    const dockerfile = "FROM localhost/busybox\nRUN touch /pk-in-image";
    const shown = await it.shows("stat -c %a:%u /told/sbom; cat /told/*", dockerfile, flags, {
      "pk-main": "",
    });
    const sbom = readFileSync(out("sbom"), "utf8");
    const purls = readFileSync(out("purls"), "utf8");
    expect(JSON.parse(sbom)).toEqual({
      components: ["main", "other", "in-image"].map((name) => ({ name, purl: `pkg:g/${name}` })),
    });
    expect(JSON.parse(purls)).toEqual({
      image_contents: { dependencies: ["pkg:g/in-image", "pkg:g/main", "pkg:g/other"] },
    });
    expect(shown).toBe(`644:0\n${purls}${sbom}`.trimEnd());
    const { history } = (await it.config("localhost/case")) as { history: { created_by: string }[] };
    expect(history.slice(-2).map(({ created_by }) => created_by)).toEqual([
      "ADD /told/sbom",
      "ADD /told/purls",
    ]);
    expect(await it.inImage("localhost/case", "ls /written /.rootfs /.scans 2>/dev/null | wc -l")).toBe("0");
  });

  test("commit: the container's files; what needs a context is left out; the container has nothing of it", async () => {
    const box = await it.site.ok("from", "localhost/busybox");
    await it.site.ok("run", box, "touch", "/pk-mine");
    const flags = [
      ...["--sbom-scanner-image", SCANNER_IMAGE, "--sbom-merge-strategy", CYCLONEDX, "--pull=never"],
      ...["--sbom-scanner-command", "scan {CONTEXT} {OUTPUT}"],
      ...["--sbom-scanner-command", "echo x | scan {ROOTFS} {OUTPUT}"],
      ...["--sbom-output", out("committed"), "--sbom-purl-output", out("committed-purls")],
      ...["--sbom-image-output", "/sbom", "--sbom-image-purl-output", "/purls"],
    ];
    await it.site.ok("commit", ...flags, box, "localhost/committed");
    const text = '{"components":[{"name":"mine","purl":"pkg:g/mine"}]}';
    expect(readFileSync(out("committed"), "utf8")).toBe(text);
    const purls = '{"image_contents":{"dependencies":["pkg:g/mine"]}}\n';
    expect(readFileSync(out("committed-purls"), "utf8")).toBe(purls);
    expect(await it.inImage("localhost/committed", "cat /purls /sbom")).toBe(purls + text);
    const pointless = await it.site.cooper(
      "commit",
      ...["--sbom-scanner-image", SCANNER_IMAGE, "--sbom-merge-strategy", "cat"],
      ...["--sbom-scanner-command", "scan {CONTEXT} {OUTPUT}", "--sbom-output", out("none"), box],
    );
    expect(pointless).toMatchObject({ exitCode: 125 });
    expect(pointless.stderr).toContain("about anything that there is");
    expect(await it.site.ok("run", box, "sh", "-c", "ls / | grep -c -e sbom -e written || true")).toBe("0");
  });

  test("several platforms: not into one file", async () => {
    const platforms = [
      "--platform",
      "linux/amd64,linux/arm64",
      "--sbom",
      "syft",
      "--sbom-output",
      out("both"),
    ];
    const refused = await it.build("FROM scratch\nCOPY Dockerfile /", platforms);
    expect(refused.exitCode).toBe(125);
    expect(refused.stderr).toContain("several platforms do not go into one file");
  });

  test("a scanner that fails: its status, its words, no image and no file", async () => {
    const scanned = (command: string) => [
      ...["--sbom-scanner-image", SCANNER_IMAGE, "--sbom-merge-strategy", "cat"],
      ...["--sbom-scanner-command", command, "--sbom-output", out("failed"), "-t", "localhost/failed"],
    ];
    const failed = await it.build("FROM localhost/busybox", scanned("FAIL=7 scan {ROOTFS} {OUTPUT} 2>&1"));
    expect(failed.exitCode).toBe(7);
    expect(failed.stderr).toContain("The SBOM scanner's command");
    expect((await it.site.cooper("inspect", "--type", "image", "localhost/failed")).exitCode).not.toBe(0);
    expect(existsSync(out("failed"))).toBe(false);
    for (const [command, why] of [
      ["true {ROOTFS}", "ENOENT"],
      ["ln -s /etc/passwd {OUTPUT}; : {ROOTFS}", "ELOOP"],
      ["mkfifo {OUTPUT}; : {ROOTFS}", "it is no file"],
    ] as const) {
      const result = await it.build("FROM localhost/busybox", scanned(`sh -c '${command} || true'`));
      expect(result.exitCode).toBe(125);
      expect(result.stderr).toContain("left no {OUTPUT}");
      expect(result.stderr).toContain(why);
    }
    expect(existsSync(out("failed"))).toBe(false);
  });
});
