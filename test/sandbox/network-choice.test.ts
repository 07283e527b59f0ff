// Protects the choice of a network for commands that ask for none, and the reason that is given for it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultNetwork } from "../../src/sandbox/network-choice.ts";
import type { NetworkNeed } from "../../src/sandbox/types.ts";

const V4 = "eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0";
const ZERO = "0".repeat(32);
const V6 = `${ZERO} 00 ${ZERO} 00 fe80${"0".repeat(27)}1 00000400 00000001 00000000 00000003 eth0`;
/** What a host without IPv6 has: everything is refused. */
const REFUSED_V6 = `${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200 lo`;

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "cooper-choice-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function proc(v4: string, v6: string): string {
  const directory = mkdtempSync(join(scratch, "proc-"));
  mkdirSync(join(directory, "net"));
  writeFileSync(join(directory, "net/route"), `Iface Destination Gateway\n${v4}\n`);
  writeFileSync(join(directory, "net/ipv6_route"), `${v6}\n`);
  return directory;
}

interface Case {
  programs?: string[];
  tun?: string;
  routes?: [v4: string, v6: string];
  need?: Partial<NetworkNeed>;
  gives: string;
}

const CASES: Record<string, Case> = {
  "all that it takes": { gives: "private: pasta" },
  "slirp4netns alone": { programs: ["slirp4netns"], gives: "private: slirp4netns" },
  "neither program": { programs: [], gives: "host: pasta is not installed" },
  "no tun": { tun: "/nowhere/tun", gives: "host: /nowhere/tun cannot be opened" },
  "IPv6 only": { routes: ["", V6], gives: "private: pasta" },
  "IPv4 only": { routes: [V4, REFUSED_V6], gives: "private: pasta" },
  "no route out": {
    routes: [V4.replace("00000000", "0000000A"), REFUSED_V6],
    gives: "host: the host has no default route",
  },
  "a proxy on the loopback": { need: { proxyPorts: [3128] }, gives: "private: pasta" },
  "the same without pasta": {
    programs: ["slirp4netns"],
    need: { proxyPorts: [3128] },
    gives: "host: slirp4netns cannot reach the proxy on this host's loopback",
  },
  "a host by name": { need: { addHosts: ["a:10.0.0.1"] }, gives: "private: pasta" },
  "the host itself by name": {
    need: { addHosts: ["a:10.0.0.1", "b:host-gateway"] },
    gives: "host: --add-host names the host's gateway",
  },
};

test.each(Object.entries(CASES))("%s", (_, { programs, tun, routes, need, gives }) => {
  const has = programs ?? ["pasta", "slirp4netns"];
  const { mode, why } = defaultNetwork(
    { addHosts: [], ...need },
    {
      find: (name) => (has.includes(name) ? `/bin/${name}` : undefined),
      tun: tun ?? "/dev/null",
      proc: proc(...(routes ?? [V4, V6])),
    },
  );
  expect(`${mode}: ${why}`).toBe(gives);
});
