// Protects `config`: what each of its flags changes, in Buildah's notation, and argv that round-trips.
import { describe, expect, test } from "bun:test";
import type { ConfigEdits, ContainerDetails } from "../../src/index.ts";
import { CONFIG_FLAGS, configEdits } from "../../src/cli/config-edits.ts";
import { parseFlags } from "../../src/cli/parse-flags.ts";

type Inner = NonNullable<ContainerDetails["config"]["config"]>;

function edits(argv: string[], config: Inner = {}): ConfigEdits {
  const line = parseFlags(argv, { flags: CONFIG_FLAGS, env: {} });
  const current = {
    id: "1",
    name: "c",
    config: { architecture: "amd64", os: "linux", config, rootfs: { type: "layers", diff_ids: [] } },
  } as unknown as ContainerDetails;
  return configEdits(line.values as never, line.given, current);
}

const second = 1e9;
const CASES: [argv: string[], edits: ConfigEdits][] = [
  [[], {}],
  [
    ["--user", "1:1", "--workingdir", "/w", "--stop-signal", "SIGINT"],
    { user: "1:1", workingDir: "/w", stopSignal: "SIGINT" },
  ],
  [["--user="], { user: "" }],
  [
    ["--hostname", "h", "--domainname", "d", "--author", "me"],
    { hostname: "h", domainname: "d", author: "me" },
  ],
  [
    ["--os", "linux", "--arch", "arm64", "--variant", "v8", "--os-version", "10"],
    { os: "linux", architecture: "arm64", variant: "v8", osVersion: "10" },
  ],
  [["--os-feature", "a,b-"], { osFeatures: ["a", "b-"] }],
  [["--created-by", "make", "--history-comment", "why"], { createdBy: "make", historyComment: "why" }],
  [["--label", "a=b,c=d", "-l", "e-", "--label", "-"], { labels: ["a=b,c=d", "e-", "-"] }],
  [["-a", "x=y"], { annotations: ["x=y"] }],
  [["-p", "80,90/udp", "--port", "100-"], { ports: ["80", "90/udp", "100-"] }],
  [["-v", "/a,/b"], { volumes: ["/a", "/b"] }],
  [["--onbuild", 'CMD ["a", "b"]'], { onBuild: ['CMD ["a", "b"]'] }],
  [["--entrypoint", '["/bin/a", "b c"]'], { entrypoint: ["/bin/a", "b c"] }],
  [["--entrypoint", "a b | c"], { entrypoint: ["/bin/sh", "-c", "a b | c"] }],
  [["--entrypoint", "[a"], { entrypoint: ["/bin/sh", "-c", "[a"] }],
  [["--entrypoint="], { entrypoint: null }],
  [["--entrypoint", "[]"], { entrypoint: null }],
  [["--cmd", '["a", "b c"]'], { cmd: ["a", "b c"] }],
  [["--cmd", "a 'b c' \"d\""], { cmd: ["a", "b c", "d"] }],
  [["--cmd", "sh -c 'a; b' x;y"], { cmd: ["sh", "-c", "a; b", "x;y"] }],
  [["--cmd="], { cmd: null }],
  [["--shell", "/bin/bash -e -c"], { shell: ["/bin/bash", "-e", "-c"] }],
  [["--shell", '["/bin/ash","-c"]'], { shell: ["/bin/ash", "-c"] }],
  [["--healthcheck="], { healthcheck: null }],
  [
    ["--healthcheck", "NONE"],
    { healthcheck: { Test: ["NONE"], Interval: 30 * second, Timeout: 30 * second, Retries: 3 } },
  ],
  [
    [
      "--healthcheck",
      'CMD a "b c"',
      "--healthcheck-interval",
      "10s",
      "--healthcheck-timeout",
      "500ms",
      "--healthcheck-start-period",
      "1m",
      "--healthcheck-retries",
      "5",
    ],
    {
      healthcheck: {
        Test: ["CMD", "a", "b c"],
        Interval: 10 * second,
        Timeout: 0.5 * second,
        StartPeriod: 60 * second,
        Retries: 5,
      },
    },
  ],
];

test.each(CASES)("%j", (argv, expected) => {
  expect(edits(argv)).toEqual(expected);
});

test.each([
  ["CMD-SHELL curl 'x y' | grep z", ["CMD-SHELL", "curl 'x y' | grep z"]],
  ["curl -f http://localhost", ["CMD-SHELL", "curl -f http://localhost"]],
  ['["CMD", "a b"]', ["CMD", "a b"]],
  ['["a b"]', ["CMD", "a b"]],
  ['CMD ["a b"]', ["CMD", "a b"]],
])("health check %s", (text, wanted) => {
  expect(edits(["--healthcheck", text]).healthcheck?.Test).toEqual(wanted);
});

test("health flags change the check that is there", () => {
  const check = { Test: ["CMD", "x"], Interval: 1 * second, Retries: 7 };
  expect(edits(["--healthcheck-timeout=2s"], { Healthcheck: check }).healthcheck).toEqual({
    ...check,
    Timeout: 2 * second,
  });
  expect(check).not.toHaveProperty("Timeout");
});

describe("env", () => {
  const config: Inner = { Env: ["PATH=/bin", "A=1"] };

  test("expands the container's variables, and those just set", () => {
    const { env } = edits(["--env", "PATH=/opt:$PATH", "-e", `B=$\{A}-$PATH-$NONE`, "--env", "C=$B"], config);
    expect(env).toEqual(["PATH=/opt:/bin", "B=1-/opt:/bin-", "C=1-/opt:/bin-"]);
  });

  test("removals pass through and are seen by what follows", () => {
    expect(edits(["--env", "A-", "--env", "B=$A"], config).env).toEqual(["A-", "B="]);
    expect(edits(["--env", "-", "--env", "B=$PATH"], config).env).toEqual(["-", "B="]);
  });

  test("a bare name takes this process's value, unexpanded; without one it is refused", () => {
    process.env.COOPER_TEST_VALUE = "it costs $5";
    try {
      expect(edits(["--env", "COOPER_TEST_VALUE"]).env).toEqual(["COOPER_TEST_VALUE=it costs $5"]);
    } finally {
      delete process.env.COOPER_TEST_VALUE;
    }
    expect(() => edits(["--env", "COOPER_TEST_VALUE"])).toThrow(/COOPER_TEST_VALUE/);
    expect(() => edits(["--env", "=x"])).toThrow(/no value/);
  });
});

test.each([
  [["--cmd", "a 'b"], /--cmd/],
  [["--shell", 'a "b'], /--shell/],
  [["--healthcheck", "CMD a 'b"], /--healthcheck/],
  [["--healthcheck-interval", "bad"], /--healthcheck-interval/],
  [["--healthcheck-retries", "x"], /--healthcheck-retries/],
] as [string[], RegExp][])("refuses %j", (argv, message) => {
  expect(() => edits(argv)).toThrow(message);
});
