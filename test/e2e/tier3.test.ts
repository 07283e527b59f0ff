// Protects builds where nothing can be mounted: root and a user in an ordinary container, with the layers of a root build.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { busyboxBase } from "../support/bases.ts";
import { hasPodman, OuterContainers } from "../support/outer-container.ts";

setDefaultTimeout(120_000);

const program = join(import.meta.dir, "../../bin/cooper");

const DOCKERFILE = `FROM localhost/busybox AS base
RUN echo joe:x:1000:1000::/home/joe:/bin/sh >> /etc/passwd && mkdir -p /home/joe/deep && chown -R joe /home/joe
RUN cp /bin/busybox /bin/set && chmod 4755 /bin/set && ln /bin/set /bin/set2 && mknod /fifo p
USER joe
WORKDIR /home/joe/work
RUN id -un > who && echo gone > /dev/null
USER 0
COPY --chown=joe --chmod=640 Dockerfile /etc/app/
RUN rm -r /var/www && mkdir /var/www && mv /home/joe/deep /deep && rm /etc/app/Dockerfile && mkdir /etc/app/Dockerfile
RUN --mount=type=cache,target=/cache --mount=type=bind,target=/ctx --mount=type=tmpfs,target=/t \\
  cp /ctx/Dockerfile /cache/kept && touch /t/x && ls /cache > /list
RUN <<END
echo heredoc > /here
END
FROM localhost/busybox
COPY --from=base / /
`;

describe.if(hasPodman)("in a container", () => {
  let outer: OuterContainers;
  let context = "";
  beforeAll(() => {
    outer = new OuterContainers();
    context = join(outer.shared, "context");
    mkdirSync(context);
    writeFileSync(join(context, "Dockerfile"), DOCKERFILE);
    spawnSync("cp", [busyboxBase(), join(outer.shared, "busybox.tar")]);
    spawnSync("chmod", ["-R", "a+rX", outer.shared]);
    spawnSync("chmod", ["1777", outer.shared]);
  });
  afterAll(() => outer[Symbol.dispose]());

  /** Cooper on this machine, as root who may mount. */
  function outside(store: string, ...args: string[]): string {
    const places = ["--root", store, "--runroot", join(outer.shared, "run")];
    const { status, stdout, stderr } = spawnSync(program, [...places, ...args], { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    return stdout.trim();
  }

  const bud = (...more: string[]) =>
    `cooper import ${outer.shared}/busybox.tar busybox >/dev/null; cooper bud -q --layers --timestamp 1600000000 ${more.join(" ")} -t out ${context} >/dev/null`;
  const LAYERS = "cooper inspect --type image --format '{{json .OCIv1.RootFS.DiffIDs}}' out; echo";

  /** Of the build by a root who may mount. */
  function wanted(): string {
    const store = join(outer.shared, "root-store");
    outside(store, "import", join(outer.shared, "busybox.tar"), "busybox");
    outside(
      store,
      "bud",
      "-q",
      "--layers",
      "--timestamp",
      "1600000000",
      "--target",
      "base",
      "-t",
      "out",
      context,
    );
    return outside(store, "inspect", "--type", "image", "--format", "{{json .OCIv1.RootFS.DiffIDs}}", "out");
  }

  test("the layers are those of a root build, on the container's own file system and on a volume", () => {
    const layers = wanted();
    expect(layers).toMatch(/sha256/);
    expect(outer.ok(`${bud("--target", "base")}; ${LAYERS}`)).toBe(layers);
    const store = join(outer.shared, "volume");
    expect(outer.ok(`export COOPER_ROOT=${store}; ${bud("--target", "base")}; ${LAYERS}`)).toBe(layers);
  });

  test("a step that was made in the container is found by root outside", () => {
    const store = join(outer.shared, "both");
    const dockerfile = join(context, "Random");
    writeFileSync(
      dockerfile,
      "FROM localhost/busybox\nRUN cat /proc/sys/kernel/random/uuid > /id 2>&1; head -c 16 /dev/urandom > /r\n",
    );
    const made = outer.ok(`export COOPER_ROOT=${store}; ${bud("-f", dockerfile)}; ${LAYERS}`);
    outside(
      store,
      "bud",
      "-q",
      "--layers",
      "--timestamp",
      "1600000000",
      "-f",
      dockerfile,
      "-t",
      "out",
      context,
    );
    const format = "{{json .OCIv1.RootFS.DiffIDs}}";
    expect(outside(store, "inspect", "--type", "image", "--format", format, "out")).toBe(made);
  });

  test("a whole build with a stage that is copied from; no tree, no process is left", () => {
    const left = outer.ok(
      `${bud()}; ls /var/lib/cooper/tmp /var/lib/cooper/containers; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'slee[p]' || true`,
    );
    expect(left).toBe("/var/lib/cooper/containers:\n\n/var/lib/cooper/tmp:\n0");
  });

  test("what a command leaves running is ended, whoever it became", () => {
    const dockerfile = join(context, "Daemon");
    writeFileSync(
      dockerfile,
      "FROM localhost/busybox\nRUN (setsid sleep 4711 &) ; (setsid su nobody -s /bin/sh -c 'sleep 4712' &) ; sleep 0.3\n",
    );
    const script = `${bud("-f", dockerfile)}; for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p; echo; done | grep '^sleep 471' || echo none`;
    expect(outer.ok(script)).toBe("none");
  });

  test("from, run, copy, mount, config, commit: a script of Buildah's", () => {
    const shown = outer.ok(`cooper import ${outer.shared}/busybox.tar busybox >/dev/null
      c=$(cooper from busybox)
      cooper run $c -- sh -c 'echo from run > /made; cat /etc/hosts | grep -c localhost'
      cooper copy $c ${context}/Dockerfile /copied >/dev/null
      m=$(cooper mount $c); echo by path > $m/pathed; mkdir $m/empty
      cooper commit -q $c one >/dev/null
      rm $m/made; cooper umount $c >/dev/null
      cooper config --env A=b $c
      cooper commit -q $c two >/dev/null
      cooper diff one; cooper diff two; cooper rm $c >/dev/null; ls /var/lib/cooper/containers`);
    expect(shown.replaceAll(/ +/g, " ").split("\n")).toEqual([
      expect.stringMatching(/^[1-9]/),
      expect.stringMatching(/^A \+[\d.]+ k?B \/copied/),
      expect.stringMatching(/^A \/empty\//),
      expect.stringMatching(/^A \+9 B \/made/),
      expect.stringMatching(/^A \+8 B \/pathed/),
      expect.stringMatching(/^4 added/),
      expect.stringMatching(/^A \+[\d.]+ k?B \/copied/),
      expect.stringMatching(/^A \/empty\//),
      expect.stringMatching(/^A \+8 B \/pathed/),
      expect.stringMatching(/^3 added/),
    ]);
  });

  test("mounts of a run: copies, a cache, an image's files", () => {
    const shown = outer.ok(`cooper import ${outer.shared}/busybox.tar busybox >/dev/null
      c=$(cooper from busybox); mkdir /d; echo old > /d/f
      cooper run --mount type=bind,src=/d,dst=/m,rw $c sh -c 'echo new > /m/f; cat /m/f'; cat /d/f
      for i in 1 2; do cooper run --mount type=cache,target=/m $c sh -c 'ls /m; touch /m/kept'; done
      cooper run --mount type=bind,from=busybox,src=/bin,dst=/m $c test -x /m/sh && echo image
      cooper run --mount type=tmpfs,tmpcopyup,target=/etc $c sh -c 'rm /etc/passwd; ls /etc | wc -l'
      T=s3cret-0123 cooper run --secret id=t,env=T --mount type=secret,id=t,env=T $c sh -c 'echo $T | wc -c'
      cooper run $c sh -c 'test -s /etc/passwd && ls -d /m || echo clean'; cooper rm $c >/dev/null`);
    expect(shown.split("\n")).toEqual([
      "new",
      "old",
      "kept",
      "image",
      expect.stringMatching(/^\d+$/),
      "12",
      "clean",
    ]);
  });

  test("seven layers take the room of their files", () => {
    const dockerfile = join(context, "Seven");
    const steps = Array.from({ length: 7 }, (_, i) => `RUN head -c 4000000 /dev/urandom > /big${i}\n`);
    writeFileSync(dockerfile, `FROM localhost/busybox\n${steps.join("")}`);
    const used = Number(outer.ok(`${bud("-f", dockerfile)}; du -sk /var/lib/cooper | cut -f1`)) * 1024;
    const unique = 7 * 4_000_000 + Bun.file(busyboxBase()).size;
    expect(used / unique).toBeLessThan(1.3);
  });

  test("killed in the middle of a command: the container is as before, the store sound", () => {
    const shown = outer.ok(`cooper import ${outer.shared}/busybox.tar busybox >/dev/null
      c=$(cooper from busybox)
      cooper run $c -- sh -c 'echo own > /etc/hosts.own; echo 1 > /etc/group.1'
      m=$(cooper mount $c); echo mine > $m/etc/hosts; cooper umount $c >/dev/null
      cooper commit -q $c before >/dev/null
      cooper run $c -- sh -c 'echo started; sleep 4713' > /tmp/out & pid=$!
      while ! grep -q started /tmp/out; do sleep 0.1; done
      kill -9 $pid; wait $pid || true; sleep 1
      for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p; echo; done 2>/dev/null | grep '^sleep 4713' || echo ended
      cooper run $c -- true
      cat $m/etc/hosts; ls -A $m/dev 2>/dev/null | wc -l
      cooper commit -q $c after >/dev/null
      ls $(dirname $m) | grep -c aside || true
      cooper diff before after; cooper prune -f >/dev/null; ls /var/lib/cooper/tmp`);
    expect(shown.split("\n").slice(0, 4)).toEqual(["ended", "mine", "0", "0"]);
    expect(shown.split("\n").at(-1)).toBe("0 added, 0 changed, 0 removed");
  });

  test("without CAP_MKNOD, as newer Podmans have it, files stand in for devices", () => {
    const dockerfile = join(context, "Devices");
    writeFileSync(
      dockerfile,
      "FROM localhost/busybox\nRUN (yes | head -c 5000000 > /dev/null; for i in $(seq 99); do [ -s /dev/null ] && sleep 0.1; done; wc -c < /dev/null; head -c 3000000 /dev/zero | wc -c; head -c 10 /dev/urandom | wc -c; ls /dev/shm | wc -l) > /seen\n",
    );
    const script = `${bud("-f", dockerfile)}; c=$(cooper from out); cat $(cooper mount $c)/seen; cooper diff out`;
    expect(outer.ok(script, ["--cap-drop", "MKNOD"]).split("\n").slice(0, 5)).toEqual([
      ...["0", "3000000", "10", "0"],
      expect.stringMatching(/seen$/),
    ]);
  });

  const REFUSALS: [what: string, args: string, message: RegExp][] = [
    ["no network", "--network none", /without a network: this host refuses namespaces/],
    [
      "a volume that is written to",
      "-v /var/tmp:/v",
      /Cannot mount \/var\/tmp at \/v: this host refuses mounts/,
    ],
    ["a runtime", "--isolation crun", /crun/],
    ["a host name", "--hostname other", /under a host name of its own: this host refuses namespaces/],
  ];
  test.each(REFUSALS)("%s is refused, not left out", (_, args, message) => {
    const { exitCode, stderr } = outer.run(
      `cooper import ${outer.shared}/busybox.tar busybox >/dev/null; c=$(cooper from busybox); cooper run ${args} $c true`,
    );
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(message);
  });

  test.each([
    ["a size of /dev/shm", "--shm-size 8m", "with a /dev/shm of its own size"],
    ["a map of ids", "--userns-uid-map 0:100000:65536", "in a user namespace of its own"],
    ["ids of nobody else", "--userns auto", "in a user namespace of its own"],
    ["a hidden file", "--security-opt mask=/etc/passwd", "with other paths of /proc hidden"],
    ["an AppArmor profile", "--security-opt apparmor=docker-default", "the AppArmor profile docker-default"],
    ["the caller's groups", "--group-add keep-groups", "keep the caller's groups"],
  ])("%s is refused, not left out", (_, args, message) => {
    const { exitCode, stderr } = outer.run(
      `cooper import ${outer.shared}/busybox.tar busybox >/dev/null; c=$(cooper from ${args} busybox); cooper run $c true`,
    );
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain(message);
  });

  test("--compat-volumes is refused, not left out; a scanner finds copies of what it is to look at", () => {
    const dockerfile = join(context, "Volume");
    writeFileSync(dockerfile, "FROM localhost/busybox\nVOLUME /v\nRUN echo x > /scanned\n");
    const kept = outer.run(bud("--compat-volumes", "-f", dockerfile));
    expect(kept.exitCode).not.toBe(0);
    expect(kept.stderr).toContain(
      "Cannot leave the volume /v as it is (--compat-volumes): this host refuses mounts",
    );
    const scanner = ["--sbom-scanner-image", "localhost/busybox", "--sbom-merge-strategy", "cat"];
    const command = [
      "--sbom-scanner-command",
      "'cat {ROOTFS}/scanned > {OUTPUT}'",
      "--sbom-output",
      "/tmp/sbom",
    ];
    expect(outer.ok(`${bud(...scanner, ...command, "-f", dockerfile)} > /dev/null; cat /tmp/sbom`)).toBe("x");
  });

  test("a secret is not written to the disk: as a file it is refused, as a variable given", () => {
    const dockerfile = join(context, "Secret");
    writeFileSync(
      dockerfile,
      'FROM localhost/busybox\nRUN --mount=type=secret,id=s,env=S test "$S" = sesame\nRUN --mount=type=secret,id=s true\n',
    );
    const { exitCode, stderr } = outer.run(
      `echo -n sesame > /s; ${bud("--secret id=s,src=/s", "-f", dockerfile)}`,
    );
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/Cannot give the command a file with the secret "s"/);
    expect(stderr).toMatch(/Secret:3/);
  });

  describe("as a user there", () => {
    const user = ["--user", "1000", "-e", "HOME=/tmp/home", "-e", "COOPER_ROOT=/tmp/home/store"];

    test("RUN works with one id, below Podman's own filter", () => {
      expect(
        outer.ok(
          `mkdir /tmp/home; ${bud("--target", "base")}; ${LAYERS}; cooper info --format '{{.host.tier}}'`,
          user,
        ),
      ).toMatch(/sha256.*\n2$/);
    });

    test("where namespaces are refused everything but RUN works, with the owners of a root build", () => {
      const dockerfile = join(context, "NoRun");
      const text =
        "FROM localhost/busybox\nCOPY --chown=www-data --chmod=4750 Dockerfile /etc/x/\nUSER www-data\nWORKDIR /srv/app\nENV A=b\n";
      writeFileSync(dockerfile, text);
      writeFileSync(`${dockerfile}2`, `${text}RUN true\n`);
      const store = join(outer.shared, "no-run");
      outside(store, "import", join(outer.shared, "busybox.tar"), "busybox");
      outside(
        store,
        "bud",
        "-q",
        "--layers",
        "--timestamp",
        "1600000000",
        "-f",
        dockerfile,
        "-t",
        "out",
        context,
      );
      const layers = outside(
        store,
        "inspect",
        "--type",
        "image",
        "--format",
        "{{json .OCIv1.RootFS.DiffIDs}}",
        "out",
      );
      const flags = [...user, ...outer.withoutNamespaces()];
      const { stdout, stderr, exitCode } = outer.run(
        `mkdir /tmp/home; ${bud("-f", dockerfile)}; ${LAYERS}; cooper info --format '{{.host.tier}}'; echo; cooper bud -f ${dockerfile}2 ${context}`,
        flags,
      );
      expect(stdout.split("\n").slice(0, 2)).toEqual([layers, "4"]);
      expect(exitCode).not.toBe(0);
      expect(stderr).toMatch(
        /Cannot run commands as user 1000: the seccomp filter in force refuses user namespaces/,
      );
    });
  });
});
