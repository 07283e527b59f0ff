/** A person's store with a busybox in it, and what tests of builds ask of it. */
import { join } from "node:path";
import type { Person } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Result, type Site } from "../support/cooper.ts";

export interface BuildSite extends AsyncDisposable {
  site: Site;
  /** Builds a Dockerfile in a context of its own, as localhost/case; {C} in flags is that context. */
  build(
    dockerfile: string,
    flags?: string[],
    files?: Record<string, string>,
  ): Promise<Result & { context: string }>;
  /** The same, which must succeed; then what a shell command prints in the result. */
  shows(
    command: string,
    dockerfile: string,
    flags?: string[],
    files?: Record<string, string>,
  ): Promise<string>;
  /** What a shell command prints in an image. */
  inImage(image: string, command: string): Promise<string>;
  config(image: string): Promise<Record<string, unknown>>;
}

export async function openBuildSite(person: Person): Promise<BuildSite> {
  const site = openSite(person);
  await site.ok("import", busyboxBase(), "localhost/busybox");
  const build: BuildSite["build"] = async (dockerfile, flags = [], files = {}) => {
    const context = site.files({ Dockerfile: `${dockerfile}\n`, ...files });
    const given = flags.map((flag) => flag.replaceAll("{C}", context));
    return { ...(await site.cooper("bud", "-t", "localhost/case", ...given, context)), context };
  };
  const inImage: BuildSite["inImage"] = (image, command) =>
    site.script(
      `c=$(cooper from ${image}); cooper run $c -- /bin/sh -c "$COMMAND"; cooper rm $c > /dev/null`,
      {
        env: { COMMAND: command },
      },
    );
  return {
    site,
    build,
    inImage,
    shows: async (command, ...what) => {
      const result = await build(...what);
      if (result.exitCode !== 0) throw new Error(`The build failed: ${result.stderr}`);
      return inImage("localhost/case", command);
    },
    config: async (image) =>
      JSON.parse(await site.ok("inspect", "--type", "image", "--format", "{{json .OCIv1}}", image)) as Record<
        string,
        unknown
      >,
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
  };
}

/** Path of a file of a context or of the site's work directory. */
export const at = (directory: string, ...names: string[]) => join(directory, ...names);
