// Protects docs/ci: the YAML is valid, asks for no privilege, and the pages lead to each other.
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ciRecipes, yamlOf } from "../support/ci-recipes.ts";

const directory = join(import.meta.dir, "../../docs/ci");
const pages = readdirSync(directory).filter((name) => name !== "README.md");

test.each(pages)("%s: valid YAML without privileges, and what was tried", (page) => {
  const all = yamlOf(page);
  expect(all.length).toBeGreaterThan(0);
  const written = JSON.stringify(all);
  expect(written).not.toMatch(/privileged|"add":|hostPath|docker\.sock|procMount|Unconfined/);
  const text = readFileSync(join(directory, page), "utf8");
  expect(text).toMatch(/^Tried: /m);
  expect(text).toMatch(/Not tried: /);
  for (const [, target] of text.matchAll(/\]\(([^)#:]+)(?:#[\w-]+)?\)/g))
    expect([target, existsSync(join(directory, target!))]).toEqual([target, true]);
});

test("the list leads to all pages, and each has a recipe with the image", () => {
  const list = readFileSync(join(directory, "README.md"), "utf8");
  for (const page of pages) expect(list).toContain(`](${page})`);
  const recipes = ciRecipes();
  expect([...new Set(recipes.map(({ page }) => page))].sort()).toEqual([...pages].sort());
  for (const { image, script } of recipes) {
    expect(image).toBe("registry.example.com/tools/cooper");
    expect(script).toContain("cooper bud");
    expect(script).toContain("cooper push");
  }
});

test("the restricted pod has what the standard asks for", () => {
  const [, pod] = yamlOf("kubernetes.md");
  expect(pod!.spec!.securityContext as unknown).toMatchObject({
    runAsNonRoot: true,
    seccompProfile: { type: "RuntimeDefault" },
  });
  expect(pod!.spec!.containers![0]!.securityContext as unknown).toEqual({
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
  });
});
