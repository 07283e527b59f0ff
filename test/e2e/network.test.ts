// Protects the network that commands get when nothing is said: their own where it can be had, with DNS, IPv6 and the host's
// proxy but nothing else of the host's loopback; the host's otherwise, and never without a word when that was not expected.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { finished, openSite, type Site } from "../support/cooper.ts";
import { eventually, processesMentioning } from "../support/leftovers.ts";
import { labObstacle, NetworkLab, WORLD } from "../support/network-lab.ts";

setDefaultTimeout(120_000);

const obstacle = labObstacle();
const PROXY = { http_proxy: "http://127.0.0.1:3128", no_proxy: "" };
const ask = (url: string) => `timeout 30 wget -q -O - ${url}`;
const askDirectly = (url: string) => `timeout 30 wget -q -Y off -O - ${url} 2>&1`;

describe.skipIf(obstacle !== undefined).each(people)(
  `as $kind${obstacle === undefined ? "" : ` (${obstacle})`}`,
  (person) => {
    let lab: NetworkLab;
    let site: Site;
    beforeAll(async () => {
      lab = new NetworkLab();
      site = openSite(person, lab.onHost);
      await site.ok("import", busyboxBase(), "localhost/base");
      await site.ok("from", "--name", "work", "localhost/base");
    });
    afterAll(async () => {
      await site[Symbol.asyncDispose]();
      lab[Symbol.dispose]();
    });

    const run = (script: string, flags: string[] = [], env: Record<string, string> = { http_proxy: "" }) =>
      site.run(["cooper", "run", ...flags, "work", "--", "sh", "-c", script], { env });
    /** With what the steps wrote in `output`. */
    const build = async (
      steps: string,
      flags: string[] = [],
      env: Record<string, string> = { http_proxy: "" },
    ) => {
      const context = site.files({ Dockerfile: `FROM localhost/base\n${steps}\n`, file: "" });
      const argv = ["cooper", "bud", "--no-cache", "-t", "localhost/built", ...flags, context];
      const { exitCode, stdout, stderr } = await site.run(argv, { env });
      return { exitCode, output: stdout + stderr };
    };
    const network = (env: Record<string, string> = { http_proxy: "" }) =>
      site.script("cooper info --format '{{.host.networkSummary}}'", { env });

    test("a command has its own: the world by name, IPv4 and IPv6, and not the host's loopback", async () => {
      expect(await network()).toBe("private: pasta");
      const { stdout, stderr } = await run(`
        ${ask("http://here.lab:8080/name")}
        ${ask(`http://${WORLD.v4}:8080/v4`)}
        ${ask(`'http://[${WORLD.v6}]:8080/v6'`)}
        for a in 127.0.0.1 localhost 10.88.0.1; do ${askDirectly("http://$a:3128/")}; done
        ls /sys/class/net | grep -c .`);
      expect({ stdout, stderr }).toMatchObject({
        stdout: expect.stringMatching(
          /^port 8080 .*name\nport 8080 .*v4\nport 8080 .*v6\n(?:wget: .*refused\n){3}2\n$/,
        ),
        stderr: "",
      });
      expect((await run(askDirectly("http://127.0.0.1:3128/"), ["--network", "host"])).stdout).toContain(
        "port 3128",
      );
    });

    test("a name server on the host's loopback is asked through the network's own", async () => {
      lab.resolveWith("127.0.0.53");
      try {
        expect(await run(ask("http://here.lab:8080/"))).toMatchObject({ exitCode: 0, stderr: "" });
      } finally {
        lab.resolveWith(WORLD.v4);
      }
    });

    test("a proxy on the host's loopback is reached where it is, and no other port there", async () => {
      const script = `${ask("http://elsewhere.example/")}; ${askDirectly("http://127.0.0.1:3129/")}`;
      const expected = /^port 3128 was asked for http:\/\/elsewhere.example\/\nwget: .*refused\n$/;
      expect(await network(PROXY)).toBe("private: pasta");
      expect((await run(script, [], PROXY)).stdout).toMatch(expected);
      const step = `RUN ${script}`;
      expect((await build(`${step} || true`, [], PROXY)).output).toContain("port 3128 was asked for");
      const given = await build(`${step} || true`, ["--build-arg", `HTTP_PROXY=${PROXY.http_proxy}`]);
      expect(given).toMatchObject({
        exitCode: 0,
        output: expect.stringContaining("port 3128 was asked for"),
      });
      // What an image or a Dockerfile says opens nothing.
      const named = "ENV http_proxy=http://127.0.0.1:3129\nARG HTTP_PROXY=http://127.0.0.1:3129\n";
      expect(await build(`${named}${step}`)).toMatchObject({
        exitCode: expect.any(Number),
        output: expect.stringContaining("refused"),
      });
      expect((await run(ask("http://elsewhere.example/"), ["--http-proxy=false"], PROXY)).exitCode).not.toBe(
        0,
      );
    });

    test("--dns, --dns-search, --dns-option and --add-host", async () => {
      const flags = [
        "--dns",
        WORLD.v4,
        "--dns-search",
        "lab",
        "--dns-option",
        "ndots:2",
        "--add-host",
        `there:${WORLD.v6}`,
      ];
      lab.resolveWith("10.88.0.99");
      try {
        const script = `cat /etc/resolv.conf; ${ask("http://here:8080/")}; ${ask("http://there:8080/")}`;
        const { output } = await build(`RUN ${script}`, flags);
        expect(output).toContain(
          `search lab\nnameserver ${WORLD.v4}\noptions ndots:2\nport 8080 was asked for http://here:8080/\nport 8080 was asked for http://there:8080/\n`,
        );
      } finally {
        lab.resolveWith(WORLD.v4);
      }
      // To reach the host is to have its network, unless another one is asked for.
      const toHost = ["--add-host", "outside:host-gateway"];
      expect((await build(`RUN ${ask("http://outside:3128/")}`, toHost)).output).toContain("port 3128");
      const refused = await build("RUN true", [...toHost, "--network", "private"]);
      expect(refused).toMatchObject({
        exitCode: 125,
        output: expect.stringContaining("outside:host-gateway"),
      });
    });

    test("steps of a build have one after the other, each at its time, and nothing that listened is left", async () => {
      const own = "readlink /proc/self/ns/net";
      const listening = "netstat -ltn | grep -c LISTEN";
      const { output, exitCode } = await build(
        [
          "COPY file /",
          `RUN ${own}; nc -l -p 5555 >/dev/null & until netstat -ltn | grep -q LISTEN; do sleep 0.1; done; echo $(${listening}) listens`,
          `RUN ${own}; echo $(${listening}) listens`,
          `RUN --network=none ${own}`,
          `RUN ${own}`,
        ].join("\n"),
        [],
      );
      expect(exitCode).toBe(0);
      const [first, second, none, third, ...more] = output.match(/^net:\[\d+\]$/gm)!;
      expect([second, third, more]).toEqual([first, first, []]);
      expect(none).not.toBe(first);
      expect(output.match(/^\d listens$/gm)).toEqual(["1 listens", "0 listens"]);
      // Stages at one time.
      const meet = (mine: string, other: string) =>
        `RUN --mount=type=cache,id=meet,target=/meet touch /meet/${mine}; n=0; until test -e /meet/${other} || test $n = 600; do sleep 0.1; n=$((n+1)); done; ${own}`;
      const stages = `${meet("a", "b")}\nFROM localhost/base AS two\n${meet("b", "a")}\nFROM localhost/base\nCOPY --from=0 /bin/true /a\nCOPY --from=two /bin/true /b`;
      const parallel = await build(stages, ["--jobs", "2"]);
      expect(parallel).toMatchObject({ exitCode: 0 });
      expect(new Set(parallel.output.match(/net:\[\d+\]/g)).size).toBe(2);
      // Who may change a network keeps it.
      const changed = await build(`RUN ip link add left type dummy || true; ${own}\nRUN ${own}`, [
        "--cap-add",
        "NET_ADMIN",
      ]);
      expect(new Set(changed.output.match(/net:\[\d+\]/g)).size).toBe(2);
      expect(await eventually(() => connecting(site).length === 0)).toBe(true);
    });

    test("RUN --network=host has to be allowed, and is the host's", async () => {
      const step = `RUN --network=host ${askDirectly("http://127.0.0.1:3128/")}`;
      expect(await build(step)).toMatchObject({ output: expect.stringContaining("--allow network.host") });
      for (const flags of [
        ["--allow", "network.host"],
        ["--network", "host"],
      ])
        expect((await build(step, flags)).output).toContain("port 3128");
    });

    test("a step that looks for the host's loopback fails with a hint", async () => {
      const { exitCode, output } = await build(`RUN ${ask("http://127.0.0.1:3129/")}`);
      expect(exitCode).not.toBe(0);
      expect(output).toContain("--network host");
    });

    test("where pasta fails, the default is the host's network with a warning, and what was asked for an error", async () => {
      const bin = join(site.dir, "failing");
      await site.script(`mkdir -p ${bin}`);
      writeFileSync(join(bin, "pasta"), "#!/bin/sh\necho 'not on a Monday' >&2; exit 1\n");
      chmodSync(join(bin, "pasta"), 0o755);
      const env = { http_proxy: "", PATH: `${bin}:${site.environment().PATH}` };
      const told = /Warning: Cannot connect the private network: pasta says: not on a Monday/g;
      const script = askDirectly("http://127.0.0.1:3128/");
      const one = await run(script, [], env);
      expect(one).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("port 3128") });
      expect(one.stderr.match(told)).toHaveLength(1);
      const all = await build(`RUN ${script}\nRUN ${script}; true`, [], env);
      expect(all).toMatchObject({ exitCode: 0 });
      expect(all.output.match(told)).toHaveLength(1);
      const asked = await run(script, ["--network", "private"], env);
      expect(asked).toMatchObject({
        exitCode: 125,
        stdout: "",
        stderr: expect.stringContaining(
          "Error: Cannot connect the private network: pasta says: not on a Monday",
        ),
      });
    });

    test("a build that is interrupted or killed leaves nothing that connects", async () => {
      for (const signal of ["SIGINT", "SIGKILL"] as const) {
        const context = site.files({ Dockerfile: "FROM localhost/base\nRUN echo up; sleep 1000\n" });
        const started = site.start(["cooper", "bud", "--no-cache", context]);
        expect(await eventually(() => connecting(site).length > 0, 60_000)).toBe(true);
        for (const pid of cooperOf(site)) process.kill(pid, signal);
        await finished(started);
        expect(await eventually(() => connecting(site).length === 0, 60_000)).toBe(true);
      }
    });

    test("a host that is not connected has no other network to give", async () => {
      lab.host("ip route del default; ip -6 route del default");
      try {
        expect(await network()).toBe("host: the host has no default route");
        expect((await run(askDirectly("http://127.0.0.1:3128/"))).stdout).toContain("port 3128");
      } finally {
        lab.host(`ip route add default via ${WORLD.v4}; ip -6 route add default via ${WORLD.v6}`);
      }
    });
  },
);

const connecting = (site: Site) =>
  processesMentioning(site.dir).filter(({ command }) => /pasta.*--netns/.test(command));

/** The program itself, however it was started. */
const cooperOf = (site: Site) =>
  processesMentioning(site.dir).flatMap(({ pid, command }) =>
    / bud --no-cache /.test(command) && !/^(?:setpriv|nsenter|unshare|sh) /.test(command) ? [pid] : [],
  );
