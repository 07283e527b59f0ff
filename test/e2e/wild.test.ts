// Protects the Dockerfiles that people have: projects in Go, Node.js, Python, C and shell build and run, as root and rootless.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { people } from "../support/as-users.ts";
import { debianBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(600_000);

interface Project {
  /** Folder of fixtures/wild. */
  name: string;
  flags?: string[];
  /** Shell commands of which each runs in the image, by its user, and what they print. */
  runs: [command: string, output: string][];
  layers?: number;
}

const PROJECTS: Project[] = [
  {
    name: "go-service",
    flags: ["--build-arg", "VERSION=1.4"],
    runs: [["/ping -name tests", "pong, tests 1.4 uid=65532"]],
  },
  { name: "node-app", runs: [["node lib/main.js", "NODE 2.1.0 PRODUCTION APP"]] },
  { name: "python-web", runs: [["counter one two two", "one=1,two=2 port=8000 uid=10001"]] },
  { name: "c-project", runs: [["/usr/bin/rot hello", "uryyb"]] },
  { name: "heredocs", runs: [["start /etc/site/first /etc/site/second", HEREDOCS()]] },
  { name: "onbuild-app", runs: [["./src/program", "built as builder in /srv/app/src"]] },
  {
    name: "monorepo",
    flags: ["--build-arg", "SERVICE=worker"],
    runs: [
      ["cat /opt/artifact /opt/worker", "worker v7\nworker v7"],
      ["printenv SERVICE", "worker"],
    ],
  },
  {
    name: "daemon",
    runs: [
      [
        "/usr/local/bin/docker-entrypoint.sh serve",
        "/var/lib/storage 1777 storage\n/var/lib/storage/data 700 storage\n/usr/bin/chfn 4755 root\nusr/local/bin/docker-entrypoint.sh",
      ],
    ],
  },
  {
    name: "private-index",
    flags: ["--secret", "id=index-token,env=INDEX_TOKEN"],
    runs: [["cat /got.txt", "fetched left with a token of 21\nfetched right with a token of 21"]],
  },
];

function HEREDOCS(): string {
  const lines = ["server {", "  name www.example.org;", "  root $document_root;", "}"];
  return [...lines, "entry 0", "entry 1", "entry 2", "first for www.example.org", "second"].join("\n");
}

/** The compilers, made by the first person and read by the others. */
const tools = `/var/tmp/cooper-wild-tools-${process.pid}.tar`;
afterAll(() => rmSync(tools, { force: true }));

describe.each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", debianBase(), "localhost/debian");
    if (person === people[0]) {
      await site.ok("bud", "-t", "localhost/tools", site.fixture("wild/tools"));
      await site.ok(
        "push",
        "--compression-format",
        "none",
        "localhost/tools",
        `oci-archive:${tools}:localhost/tools:latest`,
      );
      await site.script(`chmod 644 ${tools}`);
    } else {
      await site.ok("pull", `oci-archive:${tools}`);
    }
    await site.ok("bud", "-t", "localhost/onbuild-base", site.fixture("wild/onbuild-base"));
  });
  afterAll(() => site[Symbol.asyncDispose]());

  async function build(name: string, flags: string[] = []): Promise<void> {
    const argv = ["cooper", "bud", "-t", `localhost/${name}`, ...flags, site.fixture(`wild/${name}`)];
    const result = await site.run(argv, { env: { INDEX_TOKEN: "0123456789-abcdefghij" } });
    if (result.exitCode !== 0) throw new Error(result.stderr);
  }

  test.each(PROJECTS)("$name", async ({ name, flags, runs }) => {
    await build(name, flags);
    for (const [command, output] of runs) {
      const script = `c=$(cooper from localhost/${name}); cooper run $c -- ${command}; cooper rm $c > /dev/null`;
      expect(await site.script(script)).toBe(output);
    }
  });

  test("apt-cache: packages come from the mirror once, then from the cache", async () => {
    await build("apt-cache");
    await build("apt-cache", ["--no-cache"]);
    expect(
      await site.script(
        "c=$(cooper from localhost/apt-cache); cooper run $c -- cat /answer; cooper rm $c > /dev/null",
      ),
    ).toBe("42");
  });

  test("static-site: the result is a directory", async () => {
    await build("static-site", ["-o", `${site.work}/site`]);
    expect(await site.script(`cd ${site.work}/site; ls | tr '\\n' ' '; cat index.html`)).toBe(
      "about.html draft-keep.html index.html <h1>index</h1>\n<p>Welcome</p>\n<p>to the site</p>",
    );
  });
});
