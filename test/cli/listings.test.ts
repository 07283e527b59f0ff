// Protects what `images` and `inspect` select and show: names, filters, and Buildah's document.
import { describe, expect, test } from "bun:test";
import { renderTemplate } from "../../src/cli/go-template.ts";
import { goJson } from "../../src/cli/go-value.ts";
import { filterImages, idsCalled, splitName } from "../../src/cli/image-filter.ts";
import { containerDocument, imageDocument } from "../../src/cli/inspect-document.ts";
import { compileRows } from "../../src/cli/table.ts";
import type { ContainerDetails, ImageDetails, ImageInfo } from "../../src/index.ts";

function image(id: string, names: string[], created: string, labels: Record<string, string> = {}): ImageInfo {
  const digest = `sha256:${id.padEnd(64, "f")}` as const;
  return { id: id.padEnd(64, "0"), names, nameHistory: names, created, labels, size: 1, digest };
}

const images = [
  image("aaa", ["localhost/hello:latest", "localhost/hello:1.0"], "2026-01-01T00:00:00Z", {
    x: "y",
    empty: "",
  }),
  image("bbb", ["docker.io/library/debian:trixie"], "2026-01-02T00:00:00Z"),
  image("ccc", [], "2026-01-03T00:00:00Z", { x: "z" }),
  image("ddd", ["registry:5000/team/app@sha256:0123"], "2026-01-04T00:00:00Z"),
];
const used = async () => new Set([images[1]!.id]);
const ids = (list: ImageInfo[]) => list.map(({ id }) => id.slice(0, 3)).join(" ");

test.each([
  [["dangling=true"], "ccc"],
  [["dangling=false"], "aaa bbb ddd"],
  [["label=x"], "aaa ccc"],
  [["label=x=y"], "aaa"],
  [["label=empty="], "aaa"],
  [["label=constructor"], ""],
  [["label=x", "dangling=true"], "ccc"],
  [["before=debian:trixie"], "aaa"],
  [["since=localhost/hello"], "bbb ccc ddd"],
  [["after=bbb"], "ccc ddd"],
  [["since=hello", "before=ddd"], "bbb ccc"],
  [["id=cc"], "ccc"],
  [["readonly=true"], ""],
  [["readonly=false"], "aaa bbb ccc ddd"],
  [["reference=hello"], "aaa"],
  [["reference=hello:1.*"], "aaa"],
  [["reference=hell?"], "aaa"],
  [["reference=deb*", "reference=team/app"], "bbb ddd"],
  [["reference=*"], "aaa bbb ddd"],
  [["reference=hel.o"], ""],
  [["label!=x"], "bbb ddd"],
  [["label!=x=y"], "bbb ccc ddd"],
  [["containers=true"], "bbb"],
  [["containers=false", "label=x"], "aaa ccc"],
  [["intermediate=true"], ""],
  [["intermediate=false"], "aaa bbb ccc ddd"],
  [["manifest=true"], ""],
  [["manifest=0"], "aaa bbb ccc ddd"],
  [["until=2000-01-01"], ""],
  [["until=1s"], "aaa bbb ccc ddd"],
] as [string[], string][])("--filter %j", async (filters, expected) => {
  expect(ids(await filterImages(images, filters, used))).toBe(expected);
});

test.each([
  ["nosuch=1", /"nosuch"/],
  ["dangling", /NAME=VALUE|Invalid filter/],
  ["dangling=maybe", /"maybe"/],
  ["before=missing", /no image "missing"/],
  ["containers=external", /"external"/],
  ["digest=abc", /"abc"/],
  ["manifest=x", /"x"/],
  ["until=whenever", /whenever/],
] as [string, RegExp][])("refuses the filter %s", async (filter, message) => {
  await expect(filterImages(images, [filter], used)).rejects.toThrow(message);
});

test.each([
  ["hello", "aaa"],
  ["hello:1.0", "aaa"],
  ["localhost/hello", "aaa"],
  ["debian:trixie", "bbb"],
  ["debian", "bbb"],
  ["registry:5000/team/app", "ddd"],
  ["hell", ""],
])("images called %s", (name, expected) => {
  expect(ids(images.filter(({ id }) => idsCalled(images, name).has(id)))).toBe(expected);
});

test("--format of a list: blanks are columns, `table` has headings, actions keep their blanks", () => {
  const rows = [
    { A: "1", B: "long value" },
    { A: "1234", B: "x" },
  ];
  const headings = { A: "FIRST", B: "SECOND" };
  const show = (format: string) => compileRows(format, headings)(rows);
  expect(show("{{.A}} {{.B}}")).toBe("1      long value\n1234   x\n");
  expect(show("{{.A}}|{{ .B }}")).toBe("1|long value\n1234|x\n");
  expect(show("{{.B}}\\t{{.A}}")).toBe("long value   1\nx            1234\n");
  expect(show("table {{.A}} {{.B}}")).toBe("FIRST   SECOND\n1       long value\n1234    x\n");
  expect(show('{{printf "%s - %s" .A .B}}')).toBe("1 - long value\n1234 - x\n");
  expect(compileRows("{{.A}} {{.B}}", headings)([])).toBe("");
  expect(compileRows("table {{.A}}", headings)([])).toBe("FIRST\n");
});

test.each([
  ["localhost/hello:1.0", "localhost/hello", "1.0"],
  ["registry:5000/app", "registry:5000/app", "<none>"],
  ["registry:5000/app:2", "registry:5000/app", "2"],
  ["a/b@sha256:0123", "a/b", "<none>"],
])("%s is split", (name, repository, tag) => {
  expect(splitName(name)).toEqual({ repository, tag });
});

describe("inspect", () => {
  const details: ImageDetails = {
    ...images[0]!,
    config: {
      created: "2026-01-01T00:00:00Z",
      architecture: "amd64",
      os: "linux",
      config: {
        Env: ["A=1"],
        Labels: { z: "1", a: "2" },
        ExposedPorts: { "80/tcp": {} },
        Cmd: ["sh"],
        Healthcheck: { Test: ["CMD", "x"], Interval: 5 },
      },
      rootfs: { type: "layers", diff_ids: ["sha256:aa"] },
      history: [{ created_by: "me", empty_layer: true }],
    } as unknown as ImageDetails["config"],
    manifest: {
      schemaVersion: 2,
      annotations: { k: "v" },
      config: {},
      layers: [],
    } as unknown as ImageDetails["manifest"],
  };

  test("an image's document has Buildah's fields, in order, without what is empty", () => {
    const document = JSON.parse(goJson(imageDocument(details)));
    expect(Object.keys(document).slice(0, 17)).toEqual([
      "Type",
      "FromImage",
      "FromImageID",
      "FromImageDigest",
      "GroupAdd",
      "Config",
      "Manifest",
      "Container",
      "ContainerID",
      "MountPoint",
      "ProcessLabel",
      "MountLabel",
      "ImageAnnotations",
      "ImageCreatedBy",
      "OCIv1",
      "Docker",
      "DefaultMountsFilePath",
    ]);
    expect(document).toMatchObject({
      FromImage: "localhost/hello:latest",
      FromImageID: details.id,
      FromImageDigest: details.digest,
      ImageAnnotations: { k: "v" },
    });
    expect(JSON.parse(document.Config)).toEqual(details.config);
    expect(document.OCIv1.config).toEqual({
      ExposedPorts: { "80/tcp": {} },
      Env: ["A=1"],
      Cmd: ["sh"],
      Labels: { a: "2", z: "1" },
    });
    expect(document.Docker.config).toMatchObject({
      Hostname: "",
      Tty: false,
      Cmd: ["sh"],
      Entrypoint: [],
      OnBuild: [],
      Healthcheck: { Test: ["CMD", "x"], Interval: 5 },
    });
    expect(document.History).toEqual([{ created_by: "me", empty_layer: true }]);
  });

  test("templates use Go's names, and find fields that the JSON leaves out", () => {
    const show = (template: string) => renderTemplate(template, imageDocument(details));
    expect(show("{{.OCIv1.Config.Labels}} {{.OCIv1.Config.Cmd}} {{.FromImage}}")).toBe(
      "map[a:2 z:1] [sh] localhost/hello:latest",
    );
    expect(
      show("{{.OCIv1.Config.User}}|{{.OCIv1.Config.Entrypoint}}|{{.OCIv1.Author}}|{{.Docker.Comment}}"),
    ).toBe("|[]||");
    expect(show("{{.OCIv1.RootFS.DiffIDs}} {{.Docker.ContainerConfig.Cmd}}")).toBe("[sha256:aa] [sh]");
    expect(show('{{index .OCIv1.Config.Labels "a"}}')).toBe("2");
    // As Buildah 1.43.2 prints them.
    const created = "2026-01-01 00:00:00 +0000 UTC";
    expect(show("{{.OCIv1.Created}} {{.Docker.Created}}")).toBe(`${created} ${created}`);
    expect(show("{{json .OCIv1.Created}}")).toBe('"2026-01-01T00:00:00Z"');
    expect(show("{{.OCIv1.Config}}")).toBe("{ map[80/tcp:{}] [A=1] [] [sh] map[]  map[a:2 z:1]  false}");
    expect(show("{{.OCIv1.History}} {{(index .History 0).Comment}}|")).toBe("[{<nil> me   true}] |");
    expect(show("{{.IDMappingOptions}}|{{.GroupAdd}}|{{len .Capabilities}}|{{.DeviceSpecs}}")).toBe(
      "{true true [] [] false {0 0   [] []}}|[]|0|[]",
    );
    expect(() => show("{{.OCIv1.Config.Nope}}")).toThrow(/Nope/);
  });

  test("a container's document, from scratch and from an image", () => {
    const container: ContainerDetails = {
      id: "c1",
      name: "work",
      imageId: undefined,
      imageName: undefined,
      mountPoint: "/mnt",
      created: "2026-01-01T00:00:00Z",
      config: { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
      annotations: { n: "1" },
      baseDigest: undefined,
      run: { network: "host" },
      capabilities: ["CAP_KILL", "CAP_CHOWN"],
    };
    const scratch = JSON.parse(goJson(containerDocument(container, undefined)));
    expect(scratch).toMatchObject({
      FromImage: "",
      FromImageID: "",
      Config: "",
      Container: "work",
      ContainerID: "c1",
      MountPoint: "/mnt",
      ImageAnnotations: { n: "1" },
      History: null,
    });
    expect(scratch.NamespaceOptions).toContainEqual({ Name: "network", Host: true, Path: "" });
    const based = JSON.parse(
      goJson(containerDocument({ ...container, imageId: details.id, imageName: details.names[0] }, details)),
    );
    expect(based).toMatchObject({ FromImage: "localhost/hello:latest", FromImageID: details.id });
    expect(JSON.parse(based.Manifest)).toEqual(details.manifest as never);
  });
});
