// Protects the host's loopback: only ports of proxies that listen there are taken for such, however their addresses are written.
import { expect, test } from "bun:test";
import { loopbackProxyPorts } from "../../src/container/proxies.ts";

const CASES: [string, number[]][] = [
  ["http_proxy=http://127.0.0.1:3128", [3128]],
  ["HTTPS_PROXY=http://localhost:8080/", [8080]],
  ["https_proxy=https://127.1.2.3", [443]],
  ["http_proxy=http://127.0.0.1", [80]],
  ["ALL_PROXY=socks5h://[::1]", [1080]],
  ["http_proxy=kim:pa:ss@localhost:3128", [3128]],
  ["http_proxy=http://kim@[::1]:3128", [3128]],
  ["ftp_proxy=127.0.0.1:21", [21]],
  ["http_proxy=http://proxy.example:3128", []],
  ["http_proxy=http://localhost.example:3128", []],
  ["http_proxy=http://127.0.0.1.example:3128", []],
  ["http_proxy=http://10.0.0.1:3128/127.0.0.1:22", []],
  ["http_proxy=http://10.0.0.1/@127.0.0.1:22", []],
  ["http_proxy=http://127.0.0.1:0", []],
  ["http_proxy=http://127.0.0.1:99999", []],
  ["http_proxy=http://127.0.0.1:22,25", []],
  ["http_proxy=", []],
  ["no_proxy=127.0.0.1:22", []],
  ["NO_PROXY=localhost", []],
];

test.each(CASES)("%s", (variable, ports) => {
  expect(loopbackProxyPorts([variable])).toEqual(ports);
});

test("each port once, in order", () => {
  const url = "http://localhost:3128";
  expect(loopbackProxyPorts([`a=${url}`, `A=${url}`, "b=http://127.0.0.1:80"])).toEqual([80, 3128]);
});
