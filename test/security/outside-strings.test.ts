// Protects every place where a string from outside becomes something else: a path, a mount option, an argument, a header, a line on a terminal.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(180_000);

/** Each means something to some parser: of mount options, of overlays, of volumes, of CSV, of shells, of crun's log. */
const ODD = `o,d:d\\ p=a"t'h%s$(x)\u00e9`;

const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`;

describe.each(people)("paths, as $kind", (person) => {
  let site: Site;
  beforeAll(() => {
    site = openSite(person);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test("stores, contexts, secrets and volumes may be called anything", async () => {
    const odd = join(site.work, ODD);
    mkdirSync(join(odd, ODD), { recursive: true });
    writeFileSync(join(odd, ODD, "file"), "content");
    writeFileSync(join(odd, "secret"), "tok-secret-1");
    writeFileSync(
      join(odd, "Dockerfile"),
      `FROM localhost/busybox AS a
RUN echo 1 > /one
FROM localhost/busybox
COPY o*/file /odd
RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S --mount=type=cache,target=/c --mount=type=bind,target=/ctx --mount=type=bind,target=/rw,rw --mount=type=bind,from=a,target=/a \\
  cat /ctx/o*/file /odd /a/one > /seen; touch /rw/x /c/x; test -n "$S" -a -s /run/secrets/s
`,
    );
    site.give(odd);
    const env = { TMPDIR: odd };
    const cooper = async (...args: string[]) => {
      const to = ["--root", join(odd, "store"), "--runroot", join(odd, "run")];
      const { exitCode, stdout, stderr } = await site.run(["cooper", ...to, ...args], { env });
      expect(exitCode, `${args.join(" ")}: ${stderr}`).toBe(0);
      return stdout.trimEnd();
    };
    await cooper("import", busyboxBase(), "localhost/busybox");
    const secret = `id=s,${quoted(`src=${odd}/secret`)}`;
    for (const how of [[], ["--isolation", "chroot"], ["--runtime", "runc"]])
      await cooper("bud", "--no-cache", "-q", "-t", "localhost/x", ...how, "--secret", secret, odd);
    const container = await cooper("from", "localhost/x");
    expect(await cooper("run", container, "--", "cat", "/seen")).toBe("contentcontent1");
    const mount = `type=bind,${quoted(`source=${odd}/secret`)},target=/m`;
    expect(await cooper("run", "--mount", mount, container, "--", "cat", "/m")).toBe("tok-secret-1");
    await cooper("copy", container, join(odd, ODD), "/copied");
    const mounted = await cooper("mount", container);
    expect(await site.run(["cat", join(mounted, "copied/file")])).toMatchObject({ stdout: "content" });
    await cooper("umount", container);
    await cooper("commit", container, "localhost/y");
    await cooper("push", "localhost/y", `dir:${odd}/pushed`);
    await cooper("check");
    await cooper("rm", container);
    await cooper("prune", "--all", "--force");
  });
});

describe("arguments of other programs", () => {
  let site: Site;
  let server: ReturnType<typeof Bun.serve>;
  let authorization: string | null = null;

  /** A repository that plain files serve, to those who know the password; and a git that notes how it is called. */
  beforeAll(async () => {
    site = openSite(people[0]!);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    await site.script(
      `git init -q -b main repo && cd repo && echo served > f && git add . && git -c user.name=t -c user.email=t@example.org commit -qm one
       git clone -q --bare . ../served.git && git -C ../served.git update-server-info`,
    );
    server = Bun.serve({
      port: 0,
      fetch: (request) => {
        authorization = request.headers.get("authorization");
        const file = Bun.file(join(site.work, new URL(request.url).pathname));
        if (authorization === null)
          return new Response("", { status: 401, headers: { "www-authenticate": "Basic realm=x" } });
        return file.size > 0 ? new Response(file) : new Response("", { status: 404 });
      },
    });
    const git = Bun.which("git", { PATH: "/usr/local/bin:/usr/bin:/bin" })!;
    const noting = join(site.dir, "bin/git");
    writeFileSync(noting, `#!/bin/sh\necho "git $*" >> '${site.work}/calls'\nexec ${git} "$@"\n`);
    chmodSync(noting, 0o755);
  });
  afterAll(async () => {
    await server.stop(true);
    await site[Symbol.asyncDispose]();
  });

  test("CVE-2023-26054: a repository's password is for the server alone: not in arguments, errors, history, nor in a .git that is kept", async () => {
    const place = (name: string) => `http://kim:pass-w0rd@127.0.0.1:${server.port}/${name}`;
    const dockerfile = `FROM localhost/busybox\nADD --keep-git-dir ${place("served.git")} /r\n`;
    const flags = ["-t", "localhost/git"];
    await site.ok("bud", ...flags, site.files({ Dockerfile: dockerfile }));
    expect(authorization).toBe(`Basic ${Buffer.from("kim:pass-w0rd").toString("base64")}`);
    const script =
      "cat /r/f; cat /r/.git/config /r/.git/FETCH_HEAD; grep -r pass-w0rd /r && echo leaked; true";
    const shown = await site.script(`c=$(cooper from localhost/git); cooper run $c -- sh -c '${script}'`);
    expect(shown).toStartWith("served");
    expect(shown).not.toContain("leaked");
    for (const name of ["none.git", "file.txt"]) {
      const missing = `FROM localhost/busybox\nADD ${place(name)} /r\n`;
      const { exitCode, stderr } = await site.cooper("bud", site.files({ Dockerfile: missing }));
      expect(exitCode).not.toBe(0);
      expect(/^Error: .*$/m.exec(stderr)![0]).toContain("http://xxxxx");
      expect(/^Error: .*$/m.exec(stderr)![0]).not.toContain("pass-w0rd");
    }
    expect(await site.ok("history", "--no-trunc", "localhost/git")).toContain("ADD http://xxxxx:xxxxx@");
    expect(await site.ok("inspect", "--type", "image", "localhost/git")).not.toContain("pass-w0rd");
    expect(readFileSync(join(site.work, "calls"), "utf8")).not.toContain("pass-w0rd");
  });

  const CANARY = "/tmp/cooper-no-such-canary";
  test.each([
    ["a ref", `ADD git@127.0.0.1:x.git#--upload-pack=touch${CANARY} /r`, /a ref cannot begin with a dash/],
    [
      "a ref in the query",
      `ADD https://127.0.0.1/x.git?ref=--output=${CANARY} /r`,
      /a ref cannot begin with a dash/,
    ],
    ["a host", "ADD ssh://-oProxyCommand=touch-x/x.git /r", /Cannot fetch/],
    ["a user", "USER --help\nRUN true", /--help/],
    ["a directory", "WORKDIR -x\nRUN pwd > /pwd && test $(cat /pwd) = /-x", undefined],
    ["a file", "COPY -- -f /-f\nRUN test -e /-f", undefined],
    ["a command", 'RUN ["-x"]', /-x/],
  ])("what begins with a dash is no option: %s", async (_what, instructions, refused) => {
    const context = site.files({
      Dockerfile: `FROM localhost/busybox\n${instructions.replace("COPY -- -f", "COPY ./-f")}\n`,
      "-f": "",
    });
    const { exitCode, stderr } = await site.cooper("bud", context);
    if (refused === undefined) expect(exitCode, stderr).toBe(0);
    else {
      expect(exitCode).not.toBe(0);
      expect(stderr.slice(stderr.indexOf("Error:"))).toMatch(refused);
    }
    expect(existsSync(CANARY)).toBe(false);
  });
});

describe("headers", () => {
  test("a token with line breaks in it makes no header", async () => {
    await using site = openSite(people[0]!);
    const seen: Headers[] = [];
    using server = Bun.serve({
      port: 0,
      fetch: (request) => {
        seen.push(request.headers);
        const { host, pathname } = new URL(request.url);
        if (pathname === "/token") return Response.json({ token: "abc\r\nX-Evil: yes" });
        const realm = `Bearer realm="http://${host}/token",service="x"`;
        return new Response("", { status: 401, headers: { "www-authenticate": realm } });
      },
    });
    const creds = ["--creds", "kim\r\nX-Evil: yes:pa\r\nss"];
    const name = `127.0.0.1:${server.port}/x`;
    const { exitCode, stderr } = await site.cooper(
      "pull",
      "--tls-verify=false",
      "--retry",
      "0",
      ...creds,
      name,
    );
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/^Error: Cannot /m);
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.filter((headers) => headers.has("x-evil"))).toEqual([]);
  });
});

describe("lines on a terminal", () => {
  /** Renames the window and turns everything red, in both ways to write an escape. */
  const EVIL = "\x1b]0;evil\x07\x1b[31m\u009b31m";
  let site: Site;
  let server: ReturnType<typeof Bun.serve>;
  let places: Record<string, string>;

  beforeAll(async () => {
    site = openSite(people[0]!);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    const container = await site.ok("from", "localhost/busybox");
    const evil = [
      "--label",
      `l${EVIL}=v${EVIL}`,
      "--author",
      EVIL,
      "--env",
      `E=${EVIL}`,
      "--created-by",
      `x${EVIL}`,
    ];
    await site.ok(
      "config",
      ...evil,
      "--comment",
      EVIL,
      "--history-comment",
      EVIL,
      "--annotation",
      `a=${EVIL}`,
      container,
    );
    await site.ok("run", container, "--", "touch", `/f${EVIL}`);
    await site.ok("commit", "-q", container, "localhost/evil");
    const steps = `RUN : "${EVIL}" && touch "/x${EVIL}"\nENV a="${EVIL}"\nLABEL q=${EVIL}\n`;
    const context = site.files({
      Dockerfile: `FROM localhost/busybox\n${steps}COPY f* /\nCOPY no${EVIL} /\n`,
      steps: `FROM localhost/busybox\n${steps}RUN : "$nobody${EVIL}"\nARG PASSWORD${EVIL}\n`,
      [`f${EVIL}`]: "",
    });
    server = Bun.serve({
      port: 0,
      fetch: () =>
        new Response(
          JSON.stringify({ errors: [{ code: "DENIED", message: `${EVIL} raw` }] }).replace("raw", EVIL),
          {
            status: 403,
            headers: { "content-type": "application/json" },
          },
        ),
    });
    places = { CONTAINER: container, CONTEXT: context, REGISTRY: `127.0.0.1:${server.port}` };
  });
  afterAll(async () => {
    await server.stop(true);
    await site[Symbol.asyncDispose]();
  });

  const COMMANDS = `bud CONTEXT
bud -f CONTEXT/steps CONTEXT
bud --check -f CONTEXT/steps CONTEXT
bud --progress rawjson -f CONTEXT/steps CONTEXT
bud EVIL
inspect --type image localhost/evil
inspect noEVIL
history localhost/evil
history --no-trunc localhost/evil
history --json localhost/evil
images --format {{.Name}}-{{.ID}}
images --filter xEVIL=1
images --xEVIL
diff --json localhost/busybox localhost/evil
explore localhost/evil
from noEVIL
from --name nEVIL localhost/busybox
copy CONTAINER CONTEXT/noneEVIL /
copy CONTAINER CONTEXT/Dockerfile /bin/busybox/EVIL
add CONTAINER http://127.0.0.1:1/EVIL /
add CONTAINER http://REGISTRY/EVIL /
run --user uEVIL CONTAINER true
run -v /noneEVIL:/x CONTAINER true
mount xEVIL
import /noneEVIL
pull --tls-verify=false REGISTRY/x
--log-level debug pull --tls-verify=false REGISTRY/x
image tags --tls-verify=false REGISTRY/x
manifest inspect localhost/evil
du -v
check
containers`;

  // What programs may want as it is.
  test.each([
    ["diff", "localhost/busybox", "localhost/evil"],
    ["diff", "-q", "localhost/busybox", "localhost/evil"],
    ["inspect", "--type", "image", "--format", "{{.OCIv1.Author}}", "localhost/evil"],
  ])("on a terminal alone: %s %s %s %s", async (...words) => {
    const command = ["cooper", ...words.filter((word) => word !== undefined)]
      .map((word) => `'${word}'`)
      .join(" ");
    const piped = await site.script(command);
    expect(piped).toContain(EVIL);
    const shown = await site.run(["script", "-qec", command, "/dev/null"]);
    expect(shown.stdout).toContain("evil");
    expect(/[\x1b\x07\u009b]/.exec(shown.stdout)).toBeNull();
  });

  test.each(COMMANDS.split("\n"))("%s", async (line) => {
    const words = line
      .split(" ")
      .map((word) =>
        word.replaceAll("EVIL", EVIL).replace(/CONTAINER|CONTEXT|REGISTRY/, (name) => places[name]!),
      );
    const { stdout, stderr } = await site.cooper(...words);
    expect(`${stdout}${stderr}`.length).toBeGreaterThan(0);
    // C1 controls in JSON are a program's affair.
    const isJson = /json|inspect/.test(line);
    for (const control of ["\x1b", "\x07", ...(isJson ? [] : ["\u009b"])])
      expect(`${stdout}${stderr}`.split("\n").filter((text) => text.includes(control))).toEqual([]);
  });
});
