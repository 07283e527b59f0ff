// Protects where contexts, Dockerfiles and results may be: directories, archives, git, http, standard input and output.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { type BuildSite, openBuildSite } from "./site.ts";

setDefaultTimeout(120_000);
const FROM = "FROM localhost/busybox\n";

describe.each(people)("as $kind", (person) => {
  let it: BuildSite;
  let server: ReturnType<typeof Bun.serve>;
  let base: string;
  /** A context with a Dockerfile in its root and one below. */
  let context: string;

  beforeAll(async () => {
    it = await openBuildSite(person);
    context = it.site.files({
      Dockerfile: `${FROM}COPY . /all/\n`,
      "sub/Dockerfile": `${FROM}COPY f /\n`,
      "sub/f": "f\n",
      ".dockerignore": "skip\n",
      skip: "",
    });
    await it.site.script(`
      cd ${context}
      git init -q . && git add . && git -c user.name=t -c user.email=t@example.org commit -qm one
      git tag v1 && git clone -q --bare . ../served.git && git -C ../served.git update-server-info
      tar --exclude=.git -cf ../plain.tar . && gzip -k ../plain.tar && tar --exclude=.git -cJf ../other.tar.xz .`);
    const root = join(context, "..");
    server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => {
        const file = Bun.file(join(root, new URL(request.url).pathname));
        return existsSync(file.name!) ? new Response(file) : new Response("", { status: 404 });
      },
    });
    base = `http://127.0.0.1:${server.port}`;
  });
  afterAll(async () => {
    await server?.stop(true);
    await it[Symbol.asyncDispose]();
  });

  const listed = () => it.inImage("localhost/case", "cd /all && find . -type f | sort | tr '\\n' ' '");
  const all = "./.dockerignore ./Dockerfile ./sub/Dockerfile ./sub/f ";
  const build = (...args: string[]) => it.site.cooper("bud", "-t", "localhost/case", ...args);

  test.each(["plain.tar", "plain.tar.gz", "other.tar.xz"])("the context is the archive %s", async (name) => {
    expect(await build(join(context, "..", name))).toMatchObject({ exitCode: 0 });
    expect(await listed()).toBe(all);
    expect(await it.inImage("localhost/case", "stat -c %u:%g /all/sub/f")).toBe("0:0");
  });

  test("the context is an archive on standard input, or a Dockerfile", async () => {
    const archive = readFileSync(join(context, "../plain.tar.gz"));
    expect(
      await it.site.run(["cooper", "bud", "-t", "localhost/case", "-"], { stdin: archive }),
    ).toMatchObject({
      exitCode: 0,
    });
    expect(await listed()).toBe(all);
    const file = `${FROM}RUN echo alone > /seen\n`;
    expect(await it.site.run(["cooper", "bud", "-t", "localhost/case", "-"], { stdin: file })).toMatchObject({
      exitCode: 0,
    });
    expect(await it.inImage("localhost/case", "cat /seen")).toBe("alone");
    const copies = await it.site.run(["cooper", "bud", "-"], { stdin: `${FROM}COPY x /\n` });
    expect(copies.exitCode).not.toBe(0);
  });

  test("the context is at a URL: an archive, or a Dockerfile", async () => {
    expect(await build(`${base}/plain.tar.gz`)).toMatchObject({ exitCode: 0 });
    expect(await listed()).toBe(all);
    writeFileSync(join(context, "../Single"), `${FROM}RUN echo url > /seen\n`);
    expect(await build(`${base}/Single`)).toMatchObject({ exitCode: 0 });
    expect(await it.inImage("localhost/case", "cat /seen")).toBe("url");
    const missing = await build(`${base}/none.tar`);
    expect(missing.exitCode).not.toBe(0);
    expect(missing.stderr).toContain("404");
  });

  test("the context is a git repository, at a ref, in a directory of it", async () => {
    expect(await build(`${base}/served.git`)).toMatchObject({ exitCode: 0 });
    expect(await listed()).toBe(
      "./.dockerignore ./Dockerfile ./skip ./sub/Dockerfile ./sub/f ".replace("./skip ", ""),
    );
    expect(await build(`${base}/served.git#v1:sub`)).toMatchObject({ exitCode: 0 });
    expect(await it.inImage("localhost/case", "cat /f")).toBe("f");
    const missing = await build(`${base}/served.git#nothing`);
    expect(missing.exitCode).not.toBe(0);
    expect(missing.stderr).toContain("served.git");
  });

  test("-f in an archive is looked for there", async () => {
    const file = `${FROM}COPY sub/f /only\n`;
    const other = it.site.files({ "build/My.file": file, "sub/f": "1\n" });
    await it.site.script(`tar -C ${other} -cf ${other}.tar .`);
    expect(await build("-f", "build/My.file", `${other}.tar`)).toMatchObject({ exitCode: 0 });
    expect(await it.inImage("localhost/case", "cat /only")).toBe("1");
  });

  test("Containerfile comes before Dockerfile", async () => {
    const both = it.site.files({
      Dockerfile: "FROM nothing\n",
      Containerfile: `${FROM}RUN echo c > /seen\n`,
    });
    expect(await build(both)).toMatchObject({ exitCode: 0 });
    expect(await it.inImage("localhost/case", "cat /seen")).toBe("c");
  });

  test("several -f are one; an error names the file it is in", async () => {
    const files = it.site.files({
      A: `${FROM}RUN echo a > /seen\n`,
      B: "RUN echo b >> /seen\n",
      C: "# x\nRUNN\n",
    });
    expect(await build("-f", join(files, "A"), "-f", join(files, "B"), files)).toMatchObject({ exitCode: 0 });
    expect(await it.inImage("localhost/case", "cat /seen")).toBe("a\nb");
    const wrong = await build("-f", join(files, "A"), "-f", join(files, "C"), files);
    expect(wrong.exitCode).not.toBe(0);
    expect(wrong.stderr).toContain(`${join(files, "C")}:2`);
  });

  test("a file whose name ends in .in goes through cpp", async () => {
    const files = it.site.files({
      "Dockerfile.in": `#include "part"\n#ifdef NOT_THERE\nRUN false\n#endif\nRUN echo main >> /seen\n`,
      part: `${FROM}RUN echo part > /seen\n`,
    });
    expect(await build("-f", join(files, "Dockerfile.in"), files)).toMatchObject({ exitCode: 0 });
    expect(await it.inImage("localhost/case", "cat /seen")).toBe("part\nmain");
  });

  test("--build-context: directory, archive, git, image, layout by tag and digest; as a base", async () => {
    await it.site.ok("push", "localhost/busybox", `oci:${it.site.work}/layout:one`);
    const index = JSON.parse(readFileSync(`${it.site.work}/layout/index.json`, "utf8")) as {
      manifests: { digest: string }[];
    };
    const digest = index.manifests[0]!.digest;
    const flags = Object.entries({
      dir: context,
      tar: join(context, "../plain.tar"),
      git: `${base}/served.git#v1`,
      image: "docker-image://localhost/busybox",
      layout: `oci-layout://${it.site.work}/layout:one`,
      pinned: `oci-layout://${it.site.work}/layout@${digest}`,
    }).map(([name, place]) => `--build-context=${name}=${place}`);
    const dockerfile = `FROM dir AS based\nCOPY --from=tar sub/f /tarred\n${FROM}
COPY --from=dir . /all/\nCOPY --from=tar sub/f /t\nCOPY --from=git sub/f /g\nCOPY --from=image /bin/busybox /i
COPY --from=layout /bin/busybox /l\nCOPY --from=pinned /bin/busybox /p\nCOPY --from=based sub/f tarred /based/`;
    expect(
      await it.shows(
        "cd /all && find . -path ./.git -prune -o -type f -print | sort | tr '\\n' ' '; cat /t /g /based/f /based/tarred; ls /i /l /p",
        dockerfile,
        flags,
      ),
    ).toBe(`${all}f\nf\nf\nf\n/i\n/l\n/p`);
    const wrong = await it.build(`${FROM}COPY --from=x a /`, [
      `--build-context=x=oci-layout://${it.site.work}/layout@sha256:${"0".repeat(64)}`,
    ]);
    expect(wrong.exitCode).not.toBe(0);
  });

  test("--output: files, their archive, the image in both archives, standard output", async () => {
    const out = join(it.site.work, `out-${person.kind}`);
    const dockerfile = "FROM scratch\nCOPY --chown=5:6 f /d/f\nCOPY f /g\n";
    const outputs = [
      out,
      `type=tar,dest=${out}.tar`,
      `type=oci,dest=${out}.oci`,
      `type=docker,dest=${out}.docker`,
      `type=oci,tar=false,name=one,dest=${out}.layout`,
    ].map((output) => `--output=${output}`);
    expect(await it.build(dockerfile, outputs, { f: "f\n" })).toMatchObject({ exitCode: 0 });
    expect(await it.site.script(`cd ${out}; find . | sort | tr '\\n' ' '; stat -c %u d/f`)).toBe(
      `. ./d ./d/f ./g ${person.uid}`,
    );
    expect(await it.site.script(`tar --numeric-owner -tvf ${out}.tar | awk '{print $2,$NF}'`)).toContain(
      "5/6 d/f",
    );
    for (const [transport, end] of [
      ["oci-archive", "oci"],
      ["docker-archive", "docker"],
      ["oci", "layout"],
    ]) {
      await it.site.ok("pull", `${transport}:${out}.${end}`);
    }
    const other = it.site.files({ Dockerfile: dockerfile, f: "f\n" });
    expect(await it.site.script(`cooper bud -o - ${other} | tar -t | sort | tr '\\n' ' '`)).toContain("d/f");
  });

  test("--metadata-file names what was built", async () => {
    const file = join(it.site.work, "metadata.json");
    await it.build(FROM, ["--metadata-file", file]);
    const metadata = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
    const [id, digest] = (
      await it.site.ok(
        "images",
        "--no-trunc",
        "--digests",
        "--format",
        "{{.ID}} {{.Digest}}",
        "localhost/case",
      )
    ).split(/ +/);
    expect(metadata).toEqual({
      "containerimage.config.digest": id!,
      "containerimage.digest": digest!,
      "image.name": "localhost/case:latest",
    });
  });
});
