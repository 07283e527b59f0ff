// Protects reproducible builds: with a source date the same input gives the same bytes, whoever builds it, where and how.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { people } from "../support/as-users.ts";
import { type BuildSite, openBuildSite } from "./site.ts";

setDefaultTimeout(180_000);

const DOCKERFILE = `FROM localhost/busybox AS one
RUN mkdir -p /made/dir && echo one > /made/dir/file && ln -s file /made/dir/link && ln /made/dir/file /made/hard && hostname > /made/name
FROM localhost/busybox AS two
RUN --mount=type=cache,target=/c echo two > /two && chown 7:8 /two && touch /two.more
FROM localhost/busybox
ARG SOURCE_DATE_EPOCH
LABEL b=1 a=2
WORKDIR /work/below
COPY --from=one /made /made
COPY --from=two --chown=1000:1000 --chmod=750 /two /x/y/two
COPY . .
ADD files.tar /unpacked/
COPY <<EOF /doc
text
EOF
RUN echo $SOURCE_DATE_EPOCH > /epoch; touch -d @1000 /old; touch /new; date +%s > /dev/null
USER 5
CMD ["sh"]`;

let sites: BuildSite[];
beforeAll(async () => {
  sites = await Promise.all(people.map(openBuildSite));
  // The same base for all: an imported one is as old as its import.
  const [first] = sites.map(({ site }) => site);
  const archive = `/var/tmp/cooper-same-base-${process.pid}.tar`;
  await first!.ok("push", "localhost/busybox", `oci-archive:${archive}:localhost/busybox:latest`);
  await first!.script(`chmod 644 ${archive}`);
  for (const { site } of sites) {
    await site.ok("rmi", "localhost/busybox");
    await site.ok("pull", `oci-archive:${archive}`);
  }
  await first!.script(`rm ${archive}`);
});
afterAll(async () => {
  for (const it of sites) await it[Symbol.asyncDispose]();
});

/** Digest of the manifest that a build in a context of its own gives. */
async function digestOf(it: BuildSite, flags: string[], env: Record<string, string> = {}): Promise<string> {
  const files = {
    Dockerfile: DOCKERFILE,
    "a/b": "b\n",
    "a/c.sh": "echo\n",
    ".dockerignore": "skipped\n",
    skipped: flags.join(),
  };
  const context = it.site.files(files);
  await it.site.script(
    `cd ${context}; chmod 755 a/c.sh; mkdir t; echo x > t/x
     tar --owner=0 --group=0 --mtime=@5000 --sort=name -cf files.tar t; rm -r t; find . -exec touch {} +`,
  );
  const build = ["cooper", "bud", "--no-cache", "-t", "localhost/same", ...flags, context];
  const result = await it.site.run(build, { env });
  if (result.exitCode !== 0) throw new Error(result.stderr);
  return (
    await it.site.ok("images", "--digests", "--format", "{{.Digest}} {{.ID}}", "--no-trunc", "localhost/same")
  ).trim();
}

const EPOCH = ["--source-date-epoch", "1700000000"];

test("one digest for every user, isolation and number of jobs", async () => {
  const seen: Record<string, string> = {};
  for (const [index, it] of sites.entries()) {
    for (const flags of [["--jobs=1"], ["--jobs=4"], ["--isolation=chroot"], ["--isolation=runc"]])
      seen[`${people[index]!.kind} ${flags.join(" ")}`] = await digestOf(it, [...EPOCH, ...flags]);
  }
  const [first] = Object.values(seen);
  expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((key) => [key, first!])));
});

test("with --layers too, and by the variable, the build arg, and --timestamp", async () => {
  for (const [flags, env] of [
    [[...EPOCH, "--layers"], {}],
    [["--layers=false"], { SOURCE_DATE_EPOCH: "1700000000" }],
    [["--build-arg", "SOURCE_DATE_EPOCH=1700000000"], {}],
    [["--timestamp", "1700000000"], {}],
  ] as [string[], Record<string, string>][]) {
    const digests = new Set<string>();
    for (const it of sites) digests.add(await digestOf(it, flags, env));
    digests.add(await digestOf(sites[0]!, flags, env));
    expect([...digests]).toHaveLength(1);
  }
});

test("a source date leaves older files their times, --timestamp gives all one, --rewrite-timestamp=false none", async () => {
  const it = sites[0]!;
  const files = ["old", "new", "unpacked/t/x"];
  const times = async (flags: string[]) => {
    const tar = `${it.site.work}/files.tar`;
    await digestOf(it, ["--output", `type=tar,dest=${tar}`, ...flags]);
    const read = "TZ=UTC tar --full-time -tvf $0 $* | sed 's/^.* \\([0-9]*-[0-9-]* [0-9:]*\\).*$/\\1/'";
    return (await it.site.script(`sh -c "$READ" ${tar} ${files.join(" ")}`, { env: { READ: read } })).split(
      "\n",
    );
  };
  const then = "2023-11-14 22:13:20";
  const old = "1970-01-01 00:16:40";
  const packed = "1970-01-01 01:23:20";
  expect((await times(EPOCH)).sort()).toEqual([old, packed, then]);
  expect(await times(["--timestamp", "1700000000"])).toEqual([then, then, then]);
  const kept = (await times([...EPOCH, "--rewrite-timestamp=false"])).sort();
  expect(kept.slice(0, 2)).toEqual([old, packed]);
  expect(kept[2]).not.toBe(then);
  const config = JSON.parse(
    await it.site.ok("inspect", "--type", "image", "--format", "{{json .OCIv1}}", "localhost/same"),
  ) as {
    created: string;
    history: { created: string }[];
  };
  expect(config.created).toBe("2023-11-14T22:13:20.000Z");
});

test("what is no number of seconds is refused", async () => {
  const it = sites[0]!;
  const refused = await it.site.run(["cooper", "bud", it.site.files({ Dockerfile: "FROM scratch\n" })], {
    env: { SOURCE_DATE_EPOCH: "yesterday" },
  });
  expect(refused.exitCode).not.toBe(0);
  expect(refused.stderr).toContain("yesterday");
});
