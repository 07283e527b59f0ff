// Protects one store from many commands at once.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { mountsMentioning, processesMentioning } from "../support/leftovers.ts";

setDefaultTimeout(120_000);

describe.each(people)("as $kind", (person) => {
  let site: Site;

  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  const contents = (image: string, path: string) =>
    site.script(`c=$(cooper from ${image}); cooper run $c -- cat ${path}; cooper rm $c > /dev/null`);

  test("two different builds", async () => {
    const build = (name: string) => {
      const dockerfile = `FROM localhost/busybox\nRUN echo shared > /shared; sleep 0.3\nRUN echo ${name} > /name; sleep 0.3\n`;
      return site.cooper(
        "bud",
        "--layers",
        "-t",
        `localhost/${name}`,
        site.files({ Dockerfile: dockerfile }),
      );
    };
    const results = await Promise.all([build("one"), build("two")]);
    for (const result of results) expect(result, result.stderr).toMatchObject({ exitCode: 0 });
    expect(
      await Promise.all([contents("localhost/one", "/name"), contents("localhost/two", "/name")]),
    ).toEqual(["one", "two"]);
  });

  test("one build six times, for one name", async () => {
    const context = site.files({
      Dockerfile: "FROM localhost/busybox\nCOPY file /\nRUN cat /file > /copy\n",
      file: "content",
    });
    const results = await Promise.all(
      Array.from({ length: 6 }, () => site.cooper("bud", "--layers", "-t", "localhost/same", context)),
    );
    for (const result of results) expect(result, result.stderr).toMatchObject({ exitCode: 0 });
    expect(await contents("localhost/same", "/copy")).toBe("content");
  });

  test("containers made, used and removed while others build and list", async () => {
    const life = (name: string) =>
      site.script(`
        for n in 1 2 3; do
          c=$(cooper from --name ${name}-$n localhost/busybox)
          cooper run $c -- sh -c 'echo ${name} > /name'
          cooper commit -q --rm $c localhost/life-${name}
          cooper images > /dev/null; cooper containers > /dev/null
        done`);
    const names = ["a", "b", "c", "d"];
    await Promise.all(names.map(life));
    expect(await Promise.all(names.map((name) => contents(`localhost/life-${name}`, "/name")))).toEqual(
      names,
    );
    // Names that were asked for at the same time are all different.
    const made = await Promise.all(Array.from({ length: 5 }, () => site.ok("from", "localhost/busybox")));
    expect(new Set(made).size).toBe(5);
    await site.ok("rm", ...made);
  });

  test("one list, to which many add at once", async () => {
    const names = ["a", "b", "c", "d", "e"];
    for (const name of names) {
      const context = site.files({ Dockerfile: `FROM scratch\nCOPY name /\n`, name });
      await site.ok("bud", "-q", "-t", `localhost/part-${name}`, context);
    }
    await Promise.all(
      names.map((name) =>
        site.ok("manifest", "create", "--amend", "localhost/parts", `localhost/part-${name}`),
      ),
    );
    const { manifests } = JSON.parse(await site.ok("manifest", "inspect", "localhost/parts"));
    expect(manifests).toHaveLength(names.length);
    await site.ok("manifest", "rm", "localhost/parts");
  });

  test("nothing is left", async () => {
    expect(await site.ok("containers", "-a", "-q")).toBe("");
    expect(mountsMentioning(site.dir)).toEqual([]);
    expect(processesMentioning(site.dir)).toEqual([]);
  });
});
