// Protects what each edit of an image's config does, and that what it does not name stays as it was.
import { describe, expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import {
  applyConfigEdits,
  envMap,
  newImageConfig,
  setEnv,
  toDockerConfig,
  toOciConfig,
  unsetEnv,
} from "../../src/oci/config.ts";
import type { ConfigEdits } from "../../src/oci/config-edits.ts";
import { exposedPorts } from "../../src/oci/ports.ts";
import type { ContainerConfig, ImageConfig } from "../../src/oci/types.ts";

const base: ImageConfig = {
  ...newImageConfig({ os: "linux", architecture: "amd64" }),
  config: {
    Env: ["PATH=/bin", "A=1", "B=2"],
    Labels: { a: "1", b: "2" },
    ExposedPorts: { "80/tcp": {}, "53/udp": {}, "9000": {} },
    Volumes: { "/data": {}, "/var": {} },
    Entrypoint: ["/e"],
    Cmd: ["c"],
    User: "me",
    WorkingDir: "/w",
    OnBuild: ["RUN x"],
    Healthcheck: { Test: ["CMD", "true"] },
  },
};

const cases: [name: string, edits: ConfigEdits, changed: Partial<Record<keyof ContainerConfig, unknown>>][] =
  [
    ["nothing", {}, {}],
    [
      "env: set, replace in place, unset",
      { env: ["A=x=y", "N=1", "B-"] },
      { Env: ["PATH=/bin", "A=x=y", "N=1"] },
    ],
    ["env: clear, then set", { env: ["-", "Z="] }, { Env: ["Z="] }],
    ["env: a name that ends in a dash", { env: ["A-=1"] }, { Env: ["PATH=/bin", "A=1", "B=2", "A-=1"] }],
    ["env: unsetEnv", { unsetEnv: ["A", "none"] }, { Env: ["PATH=/bin", "B=2"] }],
    ["env: all gone", { env: ["-"] }, { Env: undefined }],
    ["labels: set, empty, unset", { labels: ["c=3=4", "d", "a-"] }, { Labels: { b: "2", c: "3=4", d: "" } }],
    ["labels: clear", { labels: ["-"] }, { Labels: undefined }],
    ["labels: unsetLabels", { unsetLabels: ["a"] }, { Labels: { b: "2" } }],
    [
      "ports: add",
      { ports: ["8080", "81-82/UDP"] },
      {
        ExposedPorts: { "80/tcp": {}, "53/udp": {}, "9000": {}, "8080/tcp": {}, "81/udp": {}, "82/udp": {} },
      },
    ],
    ["ports: remove in either form", { ports: ["80-", "9000-"] }, { ExposedPorts: { "53/udp": {} } }],
    ["ports: only that protocol", { ports: ["53-", "80/udp-"] }, {}],
    ["ports: clear", { ports: ["-", "1"] }, { ExposedPorts: { "1/tcp": {} } }],
    ["volumes", { volumes: ["/data-", "/new"] }, { Volumes: { "/var": {}, "/new": {} } }],
    ["volumes: clear", { volumes: ["-"] }, { Volumes: undefined }],
    ["entrypoint leaves cmd alone", { entrypoint: ["/x", "y"] }, { Entrypoint: ["/x", "y"] }],
    ["entrypoint: cleared", { entrypoint: null }, { Entrypoint: undefined }],
    ["cmd: cleared", { cmd: null }, { Cmd: undefined }],
    ["user and directory", { user: "0:0", workingDir: "" }, { User: "0:0", WorkingDir: undefined }],
    ["onBuild adds", { onBuild: ["COPY . ."] }, { OnBuild: ["RUN x", "COPY . ."] }],
    ["onBuild clears", { onBuild: ["-", "RUN y"] }, { OnBuild: ["RUN y"] }],
    ["healthcheck", { healthcheck: { Test: ["NONE"] } }, { Healthcheck: { Test: ["NONE"] } }],
    ["healthcheck: removed", { healthcheck: null }, { Healthcheck: undefined }],
    [
      "shell, signal, names",
      { shell: ["/bin/bash", "-c"], stopSignal: "SIGINT", hostname: "h", domainname: "d" },
      { Shell: ["/bin/bash", "-c"], StopSignal: "SIGINT", Hostname: "h", Domainname: "d" },
    ],
  ];

describe("the config object", () => {
  test.each(cases)("%s", (_name, edits, changed) => {
    const before = structuredClone(base);
    const { image } = applyConfigEdits(base, {}, edits);
    const expected = Object.fromEntries(
      Object.entries({ ...base.config, ...changed }).filter(([, value]) => value !== undefined),
    );
    expect(image.config as object).toStrictEqual(expected);
    expect(base).toEqual(before);
  });
});

test("the image's own fields", () => {
  const { image } = applyConfigEdits(
    { ...base, "os.features": ["a", "b"] },
    {},
    {
      author: "me",
      os: "windows",
      architecture: "arm64",
      variant: "v8",
      osVersion: "10",
      osFeatures: ["c", "a-"],
    },
  );
  expect(image).toMatchObject({
    author: "me",
    os: "windows",
    architecture: "arm64",
    variant: "v8",
    "os.version": "10",
    "os.features": ["b", "c"],
  });
});

test("annotations", () => {
  const edits = { annotations: ["a-", "n=1"], unsetAnnotations: ["c"] };
  expect(applyConfigEdits(base, { a: "1", b: "2", c: "3" }, edits).annotations).toEqual({ b: "2", n: "1" });
  expect(applyConfigEdits(base, { a: "1" }, { annotations: ["-"] }).annotations).toEqual({});
});

test.each<ConfigEdits>([
  { env: ["A"] },
  { env: ["=x"] },
  { labels: ["=x"] },
  { ports: ["http"] },
  { volumes: [""] },
])("refuses %j", (edits) => {
  expect(() => applyConfigEdits(base, {}, edits)).toThrow(CooperError);
});

test("env as a list", () => {
  expect(setEnv(["A=1", "B=2", "A=3"], "A", "x")).toEqual(["A=x", "B=2"]);
  expect(setEnv([], "A", "")).toEqual(["A="]);
  expect(unsetEnv(["A", "A=1", "AB=2"], "A")).toEqual(["AB=2"]);
  expect([...envMap(["A=1=2", "B", "A=3"])]).toEqual([
    ["A", "3"],
    ["B", ""],
  ]);
});

describe("ports", () => {
  test.each([
    ["80", ["80/tcp"]],
    ["80/TCP", ["80/tcp"]],
    ["53/udp", ["53/udp"]],
    ["1-3/sctp", ["1/sctp", "2/sctp", "3/sctp"]],
  ])("%s", (spec, expected) => expect(exposedPorts(spec)).toEqual(expected));
  test.each(["", "0", "65536", "3-1", "80/x", "80/", "a", "80:80", "1-65536"])("refuses %j", (spec) => {
    expect(() => exposedPorts(spec)).toThrow(CooperError);
  });
});

test("Docker's form and back", () => {
  const docker = toDockerConfig({ ...base, history: [] }, { comment: "hi" });
  expect(docker.comment).toBe("hi");
  expect(toOciConfig(docker)).toEqual({ ...base, history: [] });
});
