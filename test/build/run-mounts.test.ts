// Protects RUN --mount: what each kind shows, who may write where, what stays, and what BuildKit's context would hide.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { people } from "../support/as-users.ts";
import { type BuildSite, openBuildSite } from "./site.ts";

setDefaultTimeout(120_000);
const FROM = "FROM localhost/busybox\n";

describe.each(people)("as $kind", (person) => {
  let it: BuildSite;
  beforeAll(async () => {
    it = await openBuildSite(person);
  });
  afterAll(() => it[Symbol.asyncDispose]());

  test("a bind mount of the context shows what the ignore file leaves, as root's", async () => {
    const files = {
      ".dockerignore": "*.log\nhidden\n",
      "a.log": "",
      "hidden/x": "",
      "sub/b.log": "",
      "sub/c": "",
    };
    const dockerfile = `${FROM}RUN --mount=target=/m cd /m; find . -type f | sort > /seen; stat -c %u:%g sub/c >> /seen`;
    expect(await it.shows("cat /seen", dockerfile, [], files)).toBe(
      "./.dockerignore\n./Dockerfile\n./sub/b.log\n./sub/c\n0:0",
    );
  });

  test("what is written into a bind mount with rw is gone after, directory or file", async () => {
    const dockerfile = `${FROM}RUN --mount=target=/m,rw echo new > /m/new; echo more >> /m/f; cat /m/f > /seen
RUN --mount=source=f,target=/one,rw echo more >> /one; cat /one >> /seen
RUN --mount=target=/m ls /m >> /seen; cat /m/f >> /seen`;
    const result = await it.build(dockerfile, [], { f: "f\n" });
    expect(result).toMatchObject({ exitCode: 0 });
    expect(await it.inImage("localhost/case", "cat /seen")).toBe("f\nmore\nf\nmore\nDockerfile\nf\nf");
    expect(readFileSync(`${result.context}/f`, "utf8")).toBe("f\n");
  });

  test("a bind mount without rw refuses writes; one of a missing source fails with its place", async () => {
    expect((await it.build(`${FROM}RUN --mount=target=/m touch /m/x`)).exitCode).not.toBe(0);
    const missing = await it.build(`${FROM}RUN --mount=source=none,target=/m true`);
    expect(missing.exitCode).not.toBe(0);
    expect(missing.stderr).toContain("none");
    expect(missing.stderr).toContain("> 2 | RUN");
  });

  test("a change of an ignored file does not run the step again; one of a shown file does", async () => {
    const dockerfile = `${FROM}RUN --mount=target=/m cat /proc/sys/kernel/random/uuid > /uuid`;
    const context = it.site.files({
      Dockerfile: dockerfile,
      ".dockerignore": "skip\n",
      skip: "1",
      take: "1",
    });
    const uuid = async () => {
      await it.site.ok("bud", "-t", "localhost/uuid", context);
      return it.inImage("localhost/uuid", "cat /uuid");
    };
    const first = await uuid();
    await it.site.script(`echo 2 > ${context}/skip`);
    expect(await uuid()).toBe(first);
    await it.site.script(`echo 2 > ${context}/take`);
    expect(await uuid()).not.toBe(first);
  });

  test("mounts from a stage, from an image, nested in any order, leave no mount points", async () => {
    const dockerfile = `FROM localhost/busybox AS made\nRUN mkdir -p /d/sub; echo 1 > /d/f; ln -s /d /link\n${FROM}
RUN --mount=from=made,source=/link,target=/a --mount=type=tmpfs,target=/a/sub cat /a/f > /seen; touch /a/sub/x; ls /a/sub >> /seen
RUN --mount=from=localhost/busybox,source=/bin,target=/deep/er/bin ls /deep/er/bin/busybox >> /seen`;
    expect(await it.shows("cat /seen; ls -d /a /deep 2>/dev/null || echo none", dockerfile)).toBe(
      "1\nx\n/deep/er/bin/busybox\nnone",
    );
  });

  test("a cache keeps its files, owner and mode; id, from and ro do what they say", async () => {
    const dockerfile = `FROM localhost/busybox AS seed\nRUN mkdir /s; echo seed > /s/seed\n${FROM}
RUN --mount=type=cache,target=/c,uid=5,gid=6,mode=0751 stat -c %a:%u:%g /c > /seen; echo 1 > /c/kept
RUN --mount=type=cache,target=/c,uid=5,gid=6,mode=0751,ro cat /c/kept >> /seen; touch /c/x 2>/dev/null || echo ro >> /seen
RUN --mount=type=cache,target=/other,id=/c ls /other >> /seen
RUN --mount=type=cache,target=/s,from=seed,source=/s cat /s/seed >> /seen; rm /s/seed
RUN --mount=type=cache,target=/s,from=seed,source=/s ls -A /s | wc -l >> /seen`;
    expect(await it.shows("cat /seen; ls -d /c 2>/dev/null || echo none", dockerfile)).toBe(
      "751:5:6\n1\nro\nseed\n0\nnone",
    );
  });

  test("private caches that are used at the same time are two", async () => {
    const step = (name: string) => `FROM localhost/busybox AS ${name}
RUN --mount=type=cache,target=/p,id=priv,sharing=private touch /p/${name}; sleep 1; ls /p > /seen`;
    const dockerfile = `${step("one")}\n${step("two")}\n${FROM}COPY --from=one /seen /1\nCOPY --from=two /seen /2`;
    expect(await it.shows("cat /1 /2", dockerfile, ["--jobs=2"])).toBe("one\ntwo");
  });

  test("a locked cache makes the second wait", async () => {
    const step = (name: string) => `FROM localhost/busybox AS ${name}
RUN --mount=type=cache,target=/p,id=lock,sharing=locked mkdir /p/held && sleep 0.5 && rmdir /p/held; echo $? > /seen`;
    const dockerfile = `${step("one")}\n${step("two")}\n${FROM}COPY --from=one /seen /1\nCOPY --from=two /seen /2`;
    expect(await it.shows("cat /1 /2", dockerfile, ["--jobs=2"])).toBe("0\n0");
  });

  test("secrets: as a file, as a variable, with owner and mode; missing and required", async () => {
    const flags = ["--secret", "id=file,src={C}/s", "--secret", "id=var,env=COOPER_TEST_SECRET"];
    const dockerfile = `${FROM}RUN --mount=type=secret,id=file,target=/x/y,uid=5,gid=6,mode=0444 stat -c %a:%u:%g /x/y > /seen
RUN --mount=type=secret,id=file wc -c < /run/secrets/file >> /seen
RUN --mount=type=secret,id=file,env=V echo \${#V} >> /seen; ls /run/secrets/file 2>/dev/null || echo none >> /seen
RUN --mount=type=secret,id=nobody test ! -e /run/secrets/nobody`;
    expect(
      await it.shows("cat /seen; ls -d /x 2>/dev/null || echo gone", dockerfile, flags, { s: "12345678" }),
    ).toBe("444:5:6\n8\n8\nnone\ngone");
    const required = await it.build(`${FROM}RUN --mount=type=secret,id=nobody,required true`);
    expect(required.exitCode).not.toBe(0);
    expect(required.stderr).toContain("nobody");
  });

  test("a secret in the result refuses the commit and names the path, whatever its form and however the step was cached", async () => {
    const secret = "correct-horse-battery";
    const leaks: [string, string][] = [
      ["cp /run/secrets/s /etc/copied", "/etc/copied"],
      ["base64 /run/secrets/s > /encoded", "/encoded"],
      ["(head -c 1048570 /dev/zero; cat /run/secrets/s) > /large", "/large"],
      ["ln -s $(cat /run/secrets/s) /link", "/link"],
      ["mkdir -p /d/$(cat /run/secrets/s)", "/d/"],
    ];
    for (const [command, path] of leaks) {
      for (let times = 0; times < 2; times++) {
        const dockerfile = `${FROM}RUN --mount=type=secret,id=s ${command}`;
        const result = await it.build(dockerfile, ["--secret", "id=s,src={C}/s"], { s: secret });
        expect(result.exitCode).not.toBe(0);
        expect(result.stderr).toContain(path);
        expect(path === "/d/" || !result.stderr.includes(secret)).toBe(true);
      }
    }
    const label = await it.build(
      `${FROM}RUN --mount=type=secret,id=s true\nLABEL a=x${secret}`,
      ["--secret", "id=s,src={C}/s"],
      { s: secret },
    );
    expect(label.exitCode).not.toBe(0);
    expect(label.stderr).toContain("config");
  });

  test("a stage that is left behind may hold a secret", async () => {
    const dockerfile = `FROM localhost/busybox AS dirty\nRUN --mount=type=secret,id=s cp /run/secrets/s /s; echo fine > /fine\n${FROM}COPY --from=dirty /fine /`;
    expect(
      await it.shows("cat /fine", dockerfile, ["--secret", "id=s,src={C}/s"], { s: "a-long-secret" }),
    ).toBe("fine");
  });

  test("ssh: the agent answers through the mount, with its mode; without one a required mount fails", async () => {
    const agent = spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${it.site.work}/key`]);
    expect(agent.status).toBe(0);
    it.site.give(`${it.site.work}/key`);
    const dockerfile = `${FROM}RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && stat -c %a "$SSH_AUTH_SOCK" > /seen
RUN --mount=type=ssh,target=/own,mode=0666,uid=7 stat -c %a:%u /own >> /seen
RUN test -z "$SSH_AUTH_SOCK"`;
    const seen = await it.shows("cat /seen", dockerfile, ["--ssh", `default=${it.site.work}/key`]);
    expect(seen).toBe("600\n666:7");
    const missing = await it.build(`${FROM}RUN --mount=type=ssh,required true`);
    expect(missing.exitCode).not.toBe(0);
    expect(missing.stderr).toContain("--ssh default");
    expect((await it.build(`${FROM}RUN --mount=type=ssh true`)).exitCode).toBe(0);
  });

  test("RUN flags that lead out of the box must be allowed", async () => {
    for (const [flag, entitlement] of [
      ["--security=insecure", "security.insecure"],
      ["--network=host", "network.host"],
    ] as const) {
      const refused = await it.build(`${FROM}RUN ${flag} true`);
      expect(refused.exitCode).not.toBe(0);
      expect(refused.stderr).toContain(`--allow ${entitlement}`);
      expect(await it.build(`${FROM}RUN ${flag} true`, ["--allow", entitlement])).toMatchObject({
        exitCode: 0,
      });
    }
    expect(await it.build(`${FROM}RUN --network=none test $(ls /sys/class/net | wc -l) = 1`)).toMatchObject({
      exitCode: 0,
    });
  });
});
