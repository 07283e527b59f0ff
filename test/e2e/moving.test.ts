// Protects moving images with the command line: lists that podman takes one image of, and how little a look or a second push costs.
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rootOnly } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { FaultProxy, startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);

describe.each(rootOnly)("as $kind", (person) => {
  let site: Site;
  let tools: ForeignTools;
  let registry: TestRegistry;

  beforeAll(async () => {
    site = openSite(person);
    tools = new ForeignTools();
    registry = await startRegistry();
  });
  afterAll(async () => {
    tools[Symbol.dispose]();
    await site[Symbol.asyncDispose]();
    registry[Symbol.dispose]();
  });

  test("a list of two platforms' builds: podman pulls the one for each", async () => {
    const context = site.files({ Dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY file /file\n", file: "x" });
    for (const arch of ["amd64", "arm64"])
      await site.ok("bud", "-q", "--platform", `linux/${arch}`, "--manifest", "localhost/both", context);
    const there = `${registry.host}/both:1`;
    await site.ok("manifest", "push", "--all", "--tls-verify=false", "localhost/both", `docker://${there}`);
    for (const arch of ["arm64", "amd64"]) {
      const id = await site.script(`podman pull --quiet --tls-verify=false --arch ${arch} ${there}`, {
        env: toolEnvironment(tools),
      });
      const inspect = `podman image inspect --format '{{.Architecture}}' ${id}`;
      expect(await site.script(inspect, { env: toolEnvironment(tools) })).toBe(arch);
    }
  });

  test("a look at a large image in a registry, and a second push of it, transfer no layer", async () => {
    const tree = site.files({});
    for (let i = 0; i < 8; i++) writeFileSync(join(tree, `file${i}`), randomBytes(4 << 20));
    const archive = join(site.work, "tree.tar");
    await site.script(`tar -C ${tree} -cf ${archive} . && cooper import -q ${archive} localhost/large`);
    using proxy = await FaultProxy.start(registry.port);
    const there = `docker://${proxy.host}/large:1`;
    await site.ok("push", "-q", "--tls-verify=false", "localhost/large", there);
    const uploads = proxy.count(/^(POST|PATCH|PUT) .*\/blobs\//);
    expect(uploads).toBeGreaterThan(0);
    await site.ok("push", "-q", "--tls-verify=false", "localhost/large", there);
    expect(proxy.count(/^(POST|PATCH|PUT) .*\/blobs\//)).toBe(uploads);
    for (const look of [["--raw"], ["--config"], []]) {
      const before = proxy.sent;
      await site.ok("image", "inspect", ...look, "--tls-verify=false", there);
      expect(proxy.sent - before).toBeGreaterThan(0);
      expect(proxy.sent - before).toBeLessThan(20 << 10);
    }
  });
});

function toolEnvironment({ dir }: ForeignTools): Record<string, string> {
  return {
    CONTAINERS_CONF: join(dir, "containers.conf"),
    CONTAINERS_STORAGE_CONF: join(dir, "storage.conf"),
  };
}
