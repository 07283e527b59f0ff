/** The recipes of docs/ci, read from their pages: what a CI system would run, as whom, with which variables. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";

const directory = join(import.meta.dir, "../../docs/ci");

export interface Recipe {
  page: string;
  image: string;
  /** Whether it is to run under the restricted Pod Security Standard. */
  restricted: boolean;
  /** As the page writes them, for a shell to expand. */
  variables: Record<string, string>;
  script: string;
}

type Yaml = { [key: string]: Yaml } & { [index: number]: Yaml };
type Variable = { name: string; value?: string };

/** All parsed YAML of a page, block by block. Throws for one that is not valid. */
export function yamlOf(page: string): Yaml[] {
  const text = readFileSync(join(directory, page), "utf8");
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].flatMap(([, block]) =>
    parseAllDocuments(block!, { strict: true }).map((document) => {
      if (document.errors.length > 0) throw document.errors[0]!;
      return document.toJS() as Yaml;
    }),
  );
}

/** Every recipe; expressions of the CI systems are replaced by shell variables of the same meaning. */
export function ciRecipes(): Recipe[] {
  const [gitlab] = yamlOf("gitlab.md");
  const [github] = yamlOf("github.md");
  const [tekton] = yamlOf("tekton.md");
  const [job, pod] = yamlOf("kubernetes.md");
  const [agent] = yamlOf("jenkins.md");
  const image = github!.jobs!.image!;
  const steps = image.steps as unknown as { run?: string }[];
  const step = tekton!.spec!.steps![0]!;
  const jenkins = readFileSync(join(directory, "jenkins.md"), "utf8");
  return [
    {
      page: "gitlab.md",
      image: text(gitlab!.build!.image),
      restricted: false,
      variables: gitlab!.build!.variables as unknown as Record<string, string>,
      script: (gitlab!.build!.script as unknown as string[]).join("\n"),
    },
    {
      page: "github.md",
      image: text(image.container),
      restricted: false,
      variables: Object.fromEntries(
        Object.entries(image.env as unknown as Record<string, string>).map(([name, value]) => [
          name,
          value
            .replace("ghcr.io", "$REGISTRY")
            .replace(/\$\{\{ github\.repository \}\}/, "team/app")
            .replace(/\$\{\{ github\.sha \}\}/, "sha"),
        ]),
      ),
      script: steps.flatMap(({ run }) => run ?? []).join("\n"),
    },
    {
      page: "tekton.md",
      image: text(step.image),
      restricted: false,
      variables: Object.fromEntries(
        plain(step.env).map(([name, value]) => [
          name,
          value
            .replace("$(params.image)", "$REGISTRY/team/app:1")
            .replace("$(params.cache)", "$REGISTRY/team/app/cache")
            .replace("$(workspaces.registry.path)", "$SECRETS")
            .replace("$(results.digest.path)", "/tmp/digest"),
        ]),
      ),
      script: text(step.script),
    },
    podRecipe("kubernetes.md", job!.spec!.template!.spec!),
    podRecipe("kubernetes.md", pod!.spec!),
    {
      page: "jenkins.md",
      image: text(agent!.spec!.containers![0]!.image),
      restricted: false,
      variables: { IMAGE: "$REGISTRY/team/app:1", CACHE: "$REGISTRY/team/app/cache" },
      script: /sh '''\n([\s\S]*?)'''/.exec(jenkins)![1]!,
    },
  ];
}

function podRecipe(page: string, spec: Yaml): Recipe {
  const container = spec.containers![0]!;
  return {
    page,
    image: text(container.image),
    restricted: (spec.securityContext?.runAsNonRoot as unknown) === true,
    variables: Object.fromEntries(
      plain(container.env).map(([name, value]) => [
        name,
        value.replace("registry.example.com", "$REGISTRY").replace("/registry/", "$SECRETS/"),
      ]),
    ),
    script: text(container.args![0]),
  };
}

/** Variables with values; those of secrets are the test's to give. */
function plain(env: Yaml | undefined): [string, string][] {
  return (env as unknown as Variable[]).flatMap(({ name, value }) =>
    value === undefined ? [] : [[name, value] as [string, string]],
  );
}

function text(value: Yaml | undefined): string {
  if (typeof value !== "string") throw new Error(`Not a text: ${JSON.stringify(value)}`);
  return value as string;
}
