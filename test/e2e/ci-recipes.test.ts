// Protects docs/ci: each recipe's script builds and pushes in containers with the flags that its executor would give.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { makeBases } from "../../scripts/corpus.ts";
import { BuildPlaces } from "../support/build-places.ts";
import { ciRecipes, type Recipe } from "../support/ci-recipes.ts";
import { hasPodman } from "../support/outer-container.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);

const recipes = ciRecipes();
const RESTRICTED = ["--cap-drop=ALL", "--security-opt=no-new-privileges"];
const PASSWORD = "correct horse";

describe.if(hasPodman)("recipes", () => {
  let places: BuildPlaces;
  let registry: TestRegistry;
  beforeAll(async () => {
    places = new BuildPlaces();
    registry = await startRegistry({ users: { ci: PASSWORD } });
    await places.addProgram();
    makeBases(places, "FROM localhost/debian\nRUN useradd --create-home --uid 1000 cooper\n", ["busybox"]);
    await places.startEngines(`${places.shared}/outer.tar`, "localhost/outer");
    const { shared } = places;
    for (const name of ["source", "secrets"]) mkdirSync(`${shared}/${name}`);
    const from = `FROM ${registry.host}/base/debian\n`;
    const copy = "COPY --chown=www-data --chmod=755 app /usr/local/bin/\nUSER www-data\n";
    const steps = `RUN --mount=type=secret,id=token,env=TOKEN test "$(printf %s "$TOKEN" | wc -c)" = 16 && echo was-$((6*7))\n`;
    const files = {
      "source/app": "#!/bin/sh\n",
      "source/Dockerfile": `${from}${steps}${copy}`,
      "source/Dockerfile.norun": `${from}${copy}`,
      "secrets/.dockerconfigjson": JSON.stringify({
        auths: { [registry.host]: { auth: btoa(`ci:${PASSWORD}`) } },
      }),
      "registries.conf": `[[registry]]\nlocation = "${registry.host}"\ninsecure = true\n`,
    };
    for (const [name, content] of Object.entries(files)) writeFileSync(`${shared}/${name}`, content);
    spawnSync("chmod", ["-R", "a+rX", `${shared}/source`, `${shared}/secrets`]);
    const flags = `--dest-tls-verify=false --dest-creds 'ci:${PASSWORD}'`;
    const { exitCode, output } = places.open("root")(
      `cooper image copy ${flags} oci-archive:${shared}/busybox.tar docker://${registry.host}/base/debian`,
    );
    if (exitCode !== 0) throw new Error(output);
  });
  afterAll(async () => {
    registry[Symbol.dispose]();
    await places[Symbol.asyncDispose]();
  });

  /** What the CI system gives, and the recipe's own variables after it, as a script for `sh`. */
  function scriptOf(recipe: Recipe): string {
    const given = {
      REGISTRY: registry.host,
      SECRETS: `${places.shared}/secrets`,
      CONTAINERS_REGISTRIES_CONF: `${places.shared}/registries.conf`,
      TOKEN: "tok3n-0123456789",
      CI_REGISTRY: registry.host,
      CI_REGISTRY_IMAGE: `${registry.host}/team/app`,
      CI_COMMIT_SHORT_SHA: "sha",
      CI_REGISTRY_USER: "ci",
      CI_REGISTRY_PASSWORD: PASSWORD,
      GITHUB_ACTOR: "ci",
      PASSWORD,
      REGISTRY_USER: "ci",
      REGISTRY_PASSWORD: PASSWORD,
    };
    const exports = Object.entries({ ...given, ...recipe.variables }).map(
      ([name, value]) => `export ${name}="${value}"`,
    );
    return `${exports.join("\n")}\ncd ${places.shared}/source\n${recipe.script}\ncooper digest "docker://$IMAGE"`;
  }

  describe.each(["docker", "podman"] as const)("%s", (engine) => {
    test.each(recipes.map((recipe, index) => [recipe.page, index] as const))("%s (%i)", (_, index) => {
      const recipe = recipes[index]!;
      const place = places.open(recipe.restricted ? `${engine}: user` : `${engine}: root`);
      const flags = recipe.restricted ? RESTRICTED : [];
      const script = scriptOf(recipe);
      const first = place(script, flags);
      expect({ exitCode: first.exitCode, log: first.exitCode === 0 ? "" : first.output }).toEqual({
        exitCode: 0,
        log: "",
      });
      expect(first.output).not.toContain(PASSWORD);
      expect(first.output).toMatch(/^sha256:[0-9a-f]{64}$/m);
      if (engine === "podman") return; // It is slow, and the cache the same.
      const second = place(script, flags);
      expect(second.output).toMatch(/^sha256:[0-9a-f]{64}$/m);
      // From the registry's cache, on an empty disk.
      expect(second.output).not.toContain("was-42");
    });
  });

  test("a restricted container has no RUN, and is told why; under Podman's seccomp profile chroot(2) is enough for it", () => {
    const { shared } = places;
    const script = `cd ${shared}/source; mkdir -p $HOME; printf 'FROM localhost/busybox\\nRUN echo was-$((6*7))\\n' > $HOME/Dockerfile
      cooper pull -q oci-archive:${shared}/busybox.tar >/dev/null; cooper bud -f $HOME/Dockerfile .`;
    const refused = places.open("docker: user")(script, RESTRICTED);
    expect(refused.output).toMatch(/Cannot run commands as user 1000: the seccomp filter in force refuses/);
    expect(refused.exitCode).not.toBe(0);
    const podman = places.open("podman: user");
    expect(podman(script, RESTRICTED).output).toMatch(/EPERM: chroot[\s\S]*Hint: .*add SYS_CHROOT/);
    expect(podman(script, [...RESTRICTED, "--cap-add=SYS_CHROOT"])).toMatchObject({
      exitCode: 0,
      output: expect.stringContaining("was-42"),
    });
  });
});
