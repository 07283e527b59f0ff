// Protects where a name leads: registries.conf, short names, prefixes, mirrors, and the small grammars of HTTP headers.
import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { CooperError } from "../../src/base/errors.ts";
import { parseChallenges } from "../../src/transport/registry/challenge.ts";
import { findEntry, pullEndpoints, pushEndpoint } from "../../src/transport/registry/endpoints.ts";
import {
  loadRegistriesConf,
  merge,
  parseRegistriesConf,
  type RegistriesConf,
} from "../../src/transport/registry/registries-conf.ts";
import { parseRetryAfter } from "../../src/transport/registry/retry.ts";
import { registryCandidates } from "../../src/transport/registry/short-names.ts";
import { isLoopback } from "../../src/transport/registry/exchange.ts";
import { scratchDirectory } from "../support/scratch.ts";

function conf(...files: string[]): RegistriesConf {
  const made: RegistriesConf = {
    search: undefined,
    shortNameMode: "permissive",
    aliases: new Map(),
    registries: [],
    credentialHelpers: ["containers-auth.json"],
  };
  for (const text of files) merge(made, parseRegistriesConf(text, "test.conf"));
  return made;
}

function failure(work: () => unknown): CooperError {
  try {
    work();
  } catch (error) {
    if (error instanceof CooperError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const digest = `sha256:${"a".repeat(64)}`;

describe("short names", () => {
  const two = `unqualified-search-registries = ["one.example", "two.example:5000"]\n`;
  const aliases = `[aliases]\n"fedora" = "registry.fedoraproject.org/fedora"\n"team/tool" = "quay.io/team/tool"\n`;
  test.each<[string, string, string[]]>([
    ["", "debian", ["docker.io/library/debian:latest"]],
    ["", "team/app:1", ["docker.io/team/app:1"]],
    ["", `debian:12@${digest}`, [`docker.io/library/debian@${digest}`]],
    ["", "quay.io/x/y", ["quay.io/x/y:latest"]],
    ["", `quay.io/x/y:1@${digest}`, [`quay.io/x/y@${digest}`]],
    ["", "docker.io/debian", ["docker.io/library/debian:latest"]],
    ["", "localhost/mine", []],
    ["", "localhost:5000/mine", ["localhost:5000/mine:latest"]],
    [
      `[[registry]]\nprefix = "localhost"\nlocation = "x.example"`,
      "localhost/mine",
      ["localhost/mine:latest"],
    ],
    [two, "debian:12", ["one.example/debian:12", "two.example:5000/debian:12"]],
    [`unqualified-search-registries = ["docker.io"]`, "debian", ["docker.io/library/debian:latest"]],
    [two + aliases, "fedora:40", ["registry.fedoraproject.org/fedora:40"]],
    [two + aliases, `fedora@${digest}`, [`registry.fedoraproject.org/fedora@${digest}`]],
    [two + aliases, "team/tool", ["quay.io/team/tool:latest"]],
    [
      `${two}short-name-mode = "enforcing"\n${aliases}`,
      "fedora",
      ["registry.fedoraproject.org/fedora:latest"],
    ],
    [`short-name-mode = "enforcing"\nunqualified-search-registries = ["q.io"]`, "x", ["q.io/x:latest"]],
  ])("%p: %s", (text, name, names) => {
    expect(registryCandidates(name, conf(text))).toEqual(names);
  });

  test("open questions are asked", () => {
    expect(failure(() => registryCandidates("x", conf("unqualified-search-registries = []"))).hint).toContain(
      "docker.io/x",
    );
    const error = failure(() => registryCandidates("x", conf(`short-name-mode = "enforcing"\n${two}`)));
    expect(error.message).toContain("one.example/x:latest or two.example:5000/x:latest");
    expect(failure(() => registryCandidates("UPPER CASE", conf())).code).toBe("usage");
  });
});

describe("prefixes", () => {
  const tables = (...prefixes: string[]) =>
    conf(prefixes.map((prefix) => `[[registry]]\nprefix = "${prefix}"\n`).join(""));
  test.each<[string[], string, string | undefined]>([
    [["example.com"], "example.com/a:1", "example.com"],
    [["example.com"], "example.com:5000/a:1", undefined],
    [["example.com"], "example.com.evil.org/a:1", undefined],
    [["example.com/a"], "example.com/ab:1", undefined],
    [["example.com/a"], "example.com/a:1", "example.com/a"],
    [["example.com/a"], "example.com/a/b:1", "example.com/a"],
    [["example.com/a:1"], "example.com/a:1", "example.com/a:1"],
    [["example.com/a:1"], "example.com/a:10", undefined],
    [["example.com", "example.com/a", "example.com/a/b"], "example.com/a/c:1", "example.com/a"],
    [["*.example.com"], "x.y.example.com/a:1", "*.example.com"],
    [["*.example.com"], "x.example.com:5000/a:1", "*.example.com"],
    [["*.example.com"], "example.com/a:1", undefined],
    [["*.example.com"], "evil.org/x.example.com:1", undefined],
    [["*.example.com", "x.example.com"], "x.example.com/a:1", "x.example.com"],
  ])("%p for %s", (prefixes, name, prefix) => {
    expect(findEntry(tables(...prefixes), name)?.prefix).toBe(prefix!);
  });
});

describe("places", () => {
  const where = (text: string, name: string) =>
    pullEndpoints(conf(text), name).map(
      ({ registry, repository, insecure }) => `${registry}/${repository}${insecure ? " insecure" : ""}`,
    );
  const mirrors = `[[registry]]
prefix = "example.com/foo"
location = "internal.example.net/bar"
[[registry.mirror]]
location = "m0.local/mirror-for-foo"
[[registry.mirror]]
location = "m1.local:5000/foo"
insecure = true
`;
  test.each<[string, string, string[]]>([
    ["", "docker.io/library/debian:12", ["docker.io/library/debian"]],
    [
      mirrors,
      "example.com/foo/image:latest",
      ["m0.local/mirror-for-foo/image", "m1.local:5000/foo/image insecure", "internal.example.net/bar/image"],
    ],
    [mirrors, "example.com/other:1", ["example.com/other"]],
    [
      `[[registry]]\nprefix = "docker.io"\nlocation = "127.0.0.1:5001"\ninsecure = true`,
      "docker.io/library/debian:12",
      ["127.0.0.1:5001/library/debian insecure"],
    ],
    [
      `[[registry]]\nprefix = "*.example.com"\ninsecure = true`,
      "a.example.com/x:1",
      ["a.example.com/x insecure"],
    ],
    [
      `[[registry]]\nprefix = "*.example.com"\nlocation = "cache.example.org/all"`,
      "a.example.com/x:1",
      ["cache.example.org/all/x"],
    ],
    [
      `[[registry]]\nlocation = "r.io"\n[[registry.mirror]]\nlocation = "d.io"\npull-from-mirror = "digest-only"\n[[registry.mirror]]\nlocation = "t.io"\npull-from-mirror = "tag-only"`,
      "r.io/x:1",
      ["t.io/x", "r.io/x"],
    ],
    [
      `[[registry]]\nlocation = "r.io"\n[[registry.mirror]]\nlocation = "d.io"\npull-from-mirror = "digest-only"\n[[registry.mirror]]\nlocation = "t.io"\npull-from-mirror = "tag-only"`,
      `r.io/x@${digest}`,
      ["d.io/x", "r.io/x"],
    ],
    [
      `[[registry]]\nlocation = "r.io"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.io"`,
      "r.io/x:1",
      ["r.io/x"],
    ],
  ])("%p: %s", (text, name, places) => {
    expect(where(text, name)).toEqual(places);
  });

  test("pushes go where the name says", () => {
    expect(pushEndpoint(conf(mirrors), "example.com/foo/image:1")).toMatchObject({
      registry: "example.com",
      repository: "foo/image",
    });
  });

  test("blocked names are refused, in both directions", () => {
    const blocked = conf(`[[registry]]\nlocation = "r.io/bad"\nblocked = true`);
    for (const go of [pullEndpoints, pushEndpoint])
      expect(failure(() => go(blocked, "r.io/bad/x:1"))).toMatchObject({ code: "denied" });
    expect(pullEndpoints(blocked, "r.io/good:1")).toHaveLength(1);
  });
});

describe("files", () => {
  test.each([
    ["not TOML", "a = = b", /not valid TOML/],
    ["a wrong type", "unqualified-search-registries = 5", /"unqualified-search-registries"/],
    ["an unknown mode", `short-name-mode = "perhaps"`, /"short-name-mode"/],
    ["version 1", `[registries.search]\nregistries = ["a"]`, /version 1/],
    ["no prefix", "[[registry]]\ninsecure = true", /neither prefix nor location/],
    ["a wildcard inside", `[[registry]]\nprefix = "a.*.com"`, /wildcard/],
    ["a wildcard with a path", `[[registry]]\nprefix = "*.a.com/x"`, /wildcard/],
  ])("%s", (_name, text, message) => {
    expect(failure(() => conf(text)).message).toMatch(message);
  });

  test("later files override earlier ones", () => {
    const made = conf(
      `unqualified-search-registries = ["a.io"]\n[[registry]]\nlocation = "r.io"\ninsecure = true\n[aliases]\nx = "a.io/x"\ny = "a.io/y"`,
      `[[registry]]\nlocation = "r.io"\nblocked = true\n[aliases]\nx = ""\n`,
    );
    expect(made.search).toEqual(["a.io"]);
    expect([...made.aliases]).toEqual([["y", "a.io/y"]]);
    expect(made.registries).toMatchObject([{ prefix: "r.io", insecure: false, blocked: true }]);
  });

  test("the user's file and drop-ins are found", () => {
    using scratch = scratchDirectory("registries");
    const saved = { HOME: process.env.HOME, conf: process.env.CONTAINERS_REGISTRIES_CONF };
    try {
      process.env.HOME = scratch.path;
      delete process.env.CONTAINERS_REGISTRIES_CONF;
      mkdirSync(scratch.file(".config/containers/registries.conf.d"), { recursive: true });
      writeFileSync(
        scratch.file(".config/containers/registries.conf"),
        `unqualified-search-registries = ["mine.example"]`,
      );
      writeFileSync(
        scratch.file(".config/containers/registries.conf.d/1.conf"),
        `[aliases]\nzz = "mine.example/z"`,
      );
      expect(loadRegistriesConf().search).toEqual(["mine.example"]);
      expect(loadRegistriesConf().aliases.get("zz")).toBe("mine.example/z");
      process.env.CONTAINERS_REGISTRIES_CONF = scratch.file("none");
      expect(failure(loadRegistriesConf).code).toBe("not-found");
    } finally {
      if (saved.HOME === undefined) delete process.env.HOME;
      else process.env.HOME = saved.HOME;
      if (saved.conf === undefined) delete process.env.CONTAINERS_REGISTRIES_CONF;
      else process.env.CONTAINERS_REGISTRIES_CONF = saved.conf;
    }
  });
});

describe("headers", () => {
  test.each<[string, { scheme: string; parameters: Record<string, string> }[]]>([
    [
      `Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"`,
      [
        {
          scheme: "bearer",
          parameters: {
            realm: "https://auth.docker.io/token",
            service: "registry.docker.io",
            scope: "repository:a/b:pull,push",
          },
        },
      ],
    ],
    [`Basic realm="a \\"b\\""`, [{ scheme: "basic", parameters: { realm: 'a "b"' } }]],
    ["Basic", [{ scheme: "basic", parameters: {} }]],
    [
      `Negotiate, Basic realm=x, Bearer realm = "y" , service=z`,
      [
        { scheme: "negotiate", parameters: {} },
        { scheme: "basic", parameters: { realm: "x" } },
        { scheme: "bearer", parameters: { realm: "y", service: "z" } },
      ],
    ],
    ["", []],
    [`"=,`, []],
  ])("%s", (header, challenges) => {
    const found = parseChallenges(header).map(({ scheme, parameters }) => ({
      scheme,
      parameters: { ...parameters },
    }));
    expect(found).toEqual(challenges);
  });

  test.each<[string | null, number | undefined]>([
    [null, undefined],
    ["3", 3000],
    ["0", 0],
    ["Thu, 01 Jan 1970 00:01:00 GMT", 30_000],
    ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
    ["soon", undefined],
  ])("Retry-After: %s", (value, milliseconds) => {
    expect(parseRetryAfter(value, 30_000)).toBe(milliseconds!);
  });

  test.each([
    ["localhost", true],
    ["127.0.0.1", true],
    ["127.8.9.1", true],
    ["[::1]", true],
    ["registry.localhost", true],
    ["127.example.com", false],
    ["localhost.example.com", false],
    ["10.0.0.1", false],
  ])("%s is this host: %p", (name, itIs) => {
    expect(isLoopback(name)).toBe(itIs);
  });
});
