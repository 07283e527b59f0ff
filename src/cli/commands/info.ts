import { existsSync, readFileSync } from "node:fs";
import { freemem, hostname, uptime } from "node:os";
import { fileSystemOf } from "../../base/file-system.ts";
import type { StoreInfo } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { renderTemplate } from "../go-template.ts";
import { type GoMap, type GoValue, goJson, goMap } from "../go-value.ts";
import { checkDocumentFlags, DOCUMENT_FLAG } from "../json-flag.ts";
import { writeOut } from "../output.ts";
import { lineOnTerminal } from "../plain-text.ts";
import { formatUptime } from "../units.ts";
import { hostArchitecture, VERSION } from "../version.ts";

/** buildah-info(1) */
export const command = defineCommand({
  name: "info",
  summary: "Show what this host offers and what the store holds",
  usage: "",
  flags: {
    debug: { type: "bool", short: "d", help: "also tell what the program is made of" },
    format: { type: "string", placeholder: "template", help: "print with a Go template in place of JSON" },
    ...DOCUMENT_FLAG,
  },
  examples: ["cooper info", "cooper info --format '{{.store.GraphRoot}}'"],
  async run({ flags, given, api, store }) {
    checkDocumentFlags(flags.format, given);
    const { storeInfo } = await api();
    const document = infoDocument(await storeInfo(await store()), flags.debug);
    if (flags.format === undefined) writeOut(`${goJson(document, 4)}\n`);
    else writeOut(lineOnTerminal(renderTemplate(flags.format, document)));
    return 0;
  },
});

/** Maps, not structs, as in Buildah: a template's unknown key is empty rather than an error. */
function infoDocument(info: StoreInfo, debug: boolean): GoMap {
  const release = keyValues("/etc/os-release", "=");
  const memory = keyValues("/proc/meminfo", ":");
  const kib = (key: string) => Number.parseInt(memory.get(key) ?? "0", 10) * 1024;
  const number = (value: number) => goMap({ number: value });
  const idMap = (lines: [number, number, number][]): GoValue =>
    lines.map(([container_id, host_id, size]) => goMap({ container_id, host_id, size }));
  return goMap({
    ...(debug ? { debug: programParts() } : {}),
    host: goMap({
      CgroupVersion: existsSync("/sys/fs/cgroup/cgroup.controllers") ? "v2" : "v1",
      Distribution: goMap({
        distribution: release.get("ID") ?? "unknown",
        version: release.get("VERSION_ID") ?? "unknown",
      }),
      MemFree: memory.has("MemFree") ? kib("MemFree") : freemem(),
      MemTotal: info.memoryBytes,
      OCIRuntime: info.runtimes[0]?.name ?? "",
      OCIRuntimes: info.runtimes.map(({ name, program }) => goMap({ name, path: program ?? "" })),
      SwapFree: kib("SwapFree"),
      SwapTotal: kib("SwapTotal"),
      arch: hostArchitecture(),
      cpus: info.cores,
      hostname: hostname(),
      idMappings: goMap({ gidmap: idMap(info.gidMap), uidmap: idMap(info.uidMap) }),
      isolation: info.isolation ?? "",
      kernel: info.kernel,
      network: info.network,
      networkSummary: info.networkSummary,
      os: "linux",
      rootless: info.rootless,
      tier: info.tier,
      tierSummary: info.tierSummary,
      uptime: formatUptime(uptime()),
      variant: process.arch === "arm64" ? "v8" : "",
    }),
    store: goMap({
      ContainerStore: number(info.containers),
      GraphDriverName: info.driver,
      GraphImageStore: "",
      GraphOptions: [],
      GraphRoot: info.root,
      GraphStatus: goMap(
        info.driver === "overlay" ? { "Backing Filesystem": backingFileSystem(info.root) } : {},
      ),
      GraphTransientStore: false,
      ImageStore: number(info.images),
      LayerStore: number(info.layers),
      RunRoot: info.runRoot,
    }),
    version: info.version,
  });
}

/** By the name that Buildah has for it. */
function backingFileSystem(root: string): string {
  const name = fileSystemOf(root);
  return { ext4: "extfs", overlay: "overlayfs" }[name] ?? name;
}

function programParts(): GoMap {
  const { bun = "", webkit = "" } = process.versions;
  return goMap({ "bun version": bun, "cooper version": VERSION, "javascriptcore version": webkit });
}

/** Lines `KEY=value` or `Key: value`; quotes around values are dropped. */
function keyValues(path: string, separator: string): Map<string, string> {
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    return new Map(
      lines.flatMap((line) => {
        const at = line.indexOf(separator);
        return at === -1
          ? []
          : [
              [
                line.slice(0, at),
                line
                  .slice(at + 1)
                  .trim()
                  .replace(/^(["'])(.*)\1$/, "$2"),
              ],
            ];
      }),
    );
  } catch {
    return new Map();
  }
}
