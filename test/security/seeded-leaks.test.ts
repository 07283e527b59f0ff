// Protects secrets from leaving the machine: seeded everywhere that a build writes to, each is told by its place or is not there.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { people } from "../support/as-users.ts";
import { type BuildSite, openBuildSite } from "../build/site.ts";

setDefaultTimeout(180_000);

/** With characters that every encoding changes. */
const SECRET = "corr?ct>h~rse/b+ttery";
/** Fit for names and references. */
const WORD = "hunter2-hunter3";
const FILES = { s: `${SECRET}\n`, w: WORD };
const SECRETS = ["--secret", "id=s,src={C}/s", "--secret", "id=w,src={C}/w"];
const MOUNTS = "--mount=type=secret,id=s --mount=type=secret,id=w";
const FROM = "FROM localhost/busybox\n";

let it: BuildSite;
beforeAll(async () => {
  it = await openBuildSite(people[0]!);
});
afterAll(() => it[Symbol.asyncDispose]());

/** Commands of one RUN; the places that a report has to name. */
const IN_FILES: [command: string, place: string][] = [
  ["cp $S /raw", 'the secret "s" in /raw at byte 0'],
  ["mkdir -p /d; cp $W /d/$(cat $W)", 'the secret "w" in the name of /d/[secret w]'],
  ["true", 'the secret "w" in /d/[secret w] at byte 0'],
  ["base64 $S > /b0", 'the secret "s" (base64) in /b0 at byte 0'],
  ["(printf x; cat $S) | base64 > /b1", 'the secret "s" (base64) in /b1 at byte 2'],
  ["(printf xx; cat $S) | base64 > /b2", 'the secret "s" (base64) in /b2 at byte 3'],
  ["base64 $S | tr +/ -_ | tr -d = > /burl", 'the secret "s" (base64) in /burl at byte 0'],
  ["od -An -tx1 $S | tr -d ' \\n' > /hex", 'the secret "s" (hexadecimal) in /hex at byte 0'],
  [
    "sed 's/?/%3F/; s/>/%3E/; s/~/%7E/; s/\\//%2F/; s/+/%2B/' $S > /url",
    'the secret "s" (URL-encoded) in /url at byte 0',
  ],
  ["gzip -c $S > /packed", 'the secret "s" in /packed at byte 0 of what it unpacks to'],
  [
    "(cat /bin/busybox; cat $S) | gzip -c > /packed2",
    `the secret "s" in /packed2 at byte ${statSync("/bin/busybox").size} of what it unpacks to`,
  ],
  ["(head -c 1048570 /dev/zero; cat $S) > /chunks", 'the secret "s" in /chunks at byte 1048570'],
  ["ln -s /x/$(cat $W) /link", 'the secret "w" in the target of the link /link'],
  ["mkdir /e; tar -cf /e/archive -C $(dirname $S) s", 'the secret "s" in /e/archive at byte 512'],
];

const IN_DOCUMENTS: [instruction: string, place: string][] = [
  [`ENV TOKEN=${WORD}`, 'the secret "w" in the config, config, Env, 1 at byte 6'],
  [`LABEL a=x${WORD} ${WORD}=y`, 'the secret "w" in the config, config, Labels, a at byte 1'],
  ["", 'the secret "w" in the name of the config, config, Labels, [secret w]'],
  [`CMD enter ${WORD}`, 'the secret "w" in the config, config, Cmd, 2 at byte 6'],
  [`MAINTAINER ${WORD}`, 'the secret "w" in the config, author at byte 0'],
  [`RUN : ${WORD}`, 'the secret "w" in the history, '],
  ["ARG PASS\nRUN : $PASS", 'the secret "w" in the history, '],
];

const LEAKY = `${FROM}RUN ${MOUNTS} S=/run/secrets/s W=/run/secrets/w; ${IN_FILES.map(([command]) => command).join("; ")}
${IN_DOCUMENTS.map(([instruction]) => instruction).join("\n")}
`;
const LEAKY_FLAGS = [
  ...SECRETS,
  ...["--build-arg", `PASS=${WORD}`, "--annotation", `note=${WORD}`, "--label", `l=${WORD}`],
  ...["-t", `localhost/${WORD}`],
];

describe("what an image would hold", () => {
  test("is told by its place, and refuses the commit", async () => {
    const { exitCode, stderr } = await it.build(LEAKY, LEAKY_FLAGS, FILES);
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/Error: Refusing to commit: the image would hold the secret "[sw]" in /);
    expect(stderr).toMatch(/\n {2}and \d+ more\n/);
    expect(stderr).toContain("--allow-secret-leak ");
    expect(stderr.slice(stderr.indexOf("Error:"))).not.toContain(WORD);
    expect(await it.site.ok("images", "-q", "--filter", "reference=localhost/case")).toBe("");
    // Nor does what was found in the cache.
    expect((await it.build(LEAKY, LEAKY_FLAGS, FILES)).stderr).toContain("Refusing to commit");
  });

  test("is let through by the secret's id alone, and told with every place", async () => {
    const one = await it.build(LEAKY, [...LEAKY_FLAGS, "--allow-secret-leak", "s"], FILES);
    expect(one.exitCode).not.toBe(0);
    expect(one.stderr).toContain('Warning: The image holds the secret "s" in /raw at byte 0, layer 2 (RUN');
    expect(one.stderr).toContain('Refusing to commit: the image would hold the secret "w"');
    const both = [...LEAKY_FLAGS, "--allow-secret-leak", "s", "--allow-secret-leak", "w"];
    const { exitCode, stderr } = await it.build(LEAKY, both, FILES);
    expect(exitCode, stderr).toBe(0);
    const warnings = stderr.split("\n").filter((line) => line.startsWith("Warning: The image holds "));
    for (const [what, place] of [...IN_FILES, ...IN_DOCUMENTS])
      expect(
        warnings.some((line) => line.includes(place)),
        `${what}: ${place}\n${warnings.join("\n")}`,
      ).toBe(true);
    for (const place of [
      "the annotations, note at byte 0",
      "config, Labels, l at byte 0",
      "its names, 1 at byte 10",
    ])
      expect(warnings.join("\n")).toContain(
        `the secret "w" in ${place}`.replace("in config", "in the config, config"),
      );
    expect(warnings.join("\n")).not.toContain(WORD);
    expect(warnings.join("\n")).not.toContain(SECRET);
    await it.site.ok("rmi", "localhost/case", `localhost/${WORD}`);
  });

  test("an id that no secret has cannot be let through", async () => {
    for (const id of ["other", "*", ""]) {
      const { exitCode, stderr } = await it.build(
        `${FROM}RUN true`,
        [...SECRETS, "--allow-secret-leak", id],
        FILES,
      );
      expect(exitCode).not.toBe(0);
      expect(stderr).toContain(`Cannot allow the secret "${id}" to leak`);
    }
  });

  test("is found also when the secret was rotated since the step was run", async () => {
    const dockerfile = `${FROM}RUN --mount=type=secret,id=s cat /run/secrets/s > /copy; date +%N > /when\nRUN cp /copy /other`;
    const flags = ["--secret", "id=s,src={C}/s"];
    for (const value of ["the-first-value", "the-second-value"]) {
      const { stderr } = await it.build(dockerfile, flags, { s: value });
      expect(stderr).toContain('Refusing to commit: the image would hold the secret "s" in /copy at byte 0');
    }
    // With the same value nothing is run again.
    const again = await it.build(dockerfile, flags, { s: "the-first-value" });
    expect(again.stderr).toContain("--> Using cache");
    expect(again.stderr).toContain("Refusing to commit");
  });

  test("a short secret is warned of, and refused where it stands alone", async () => {
    const flags = ["--secret", "id=pin,src={C}/pin"];
    const alone = await it.build(`${FROM}RUN --mount=type=secret,id=pin cp /run/secrets/pin /p`, flags, {
      pin: "4711",
    });
    expect(alone.stderr).toMatch(/Warning: The secret "pin" is so short/);
    expect(alone.stderr).toContain(
      'Refusing to commit: the image would hold the secret "pin" in /p at byte 0',
    );
    const env = await it.build(`${FROM}RUN --mount=type=secret,id=pin true\nENV PIN=4711`, flags, {
      pin: "4711",
    });
    expect(env.stderr).toContain('the secret "pin" in the config, config, Env');
  });
});

/** All that could be read of a secret. */
const READABLE = [SECRET, WORD].flatMap((text) => {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString("base64")
      .slice(4, -4),
  );
  return [text, encodeURIComponent(text), bytes.toString("hex"), ...base64];
});

const unpacked = (bytes: Buffer): Buffer => {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes);
  return bytes.readUInt32LE(0) === 0xfd2fb528 ? zstdDecompressSync(bytes) : bytes;
};

/** Paths of the files in and below a place that hold a secret, compressed ones unpacked. */
function holding(place: string, isExpected: (path: string) => boolean = () => false): string[] {
  const names = statSync(place).isDirectory() ? (readdirSync(place, { recursive: true }) as string[]) : [""];
  const files = names
    .map((name) => join(place, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
  expect(files.length).toBeGreaterThan(0);
  return files.filter((path) => {
    const raw = readFileSync(path);
    const content = raw.length < 8 ? raw : unpacked(raw);
    return READABLE.some((text) => path.includes(text) || content.includes(text)) && !isExpected(path);
  });
}

const TALKS = `cat $S $W; base64 $S; od -An -tx1 $S | tr -d ' \\n'; cat $W | tr -d - >&2; for c in h u n t e r 2 - h u n t e r 3; do printf $c; done; echo`;

describe("what a build writes beside the image", () => {
  test("says nothing of a secret that a step used, printed and left in mounts", async () => {
    // Of its own: what a Dockerfile says is in the store.
    await using own = await openBuildSite(people[0]!);
    const { site } = own;
    const dockerfile = `FROM localhost/busybox AS tool
RUN ${MOUNTS} S=/run/secrets/s W=/run/secrets/w; ${TALKS}; cp $S /leaked; echo fine > /fine
${FROM}RUN ${MOUNTS} --mount=type=cache,target=/clean echo x > /clean/x
RUN ${MOUNTS} --mount=type=cache,target=/cache cp /run/secrets/s /cache/s
RUN --mount=type=secret,id=s,env=TOKEN --mount=type=cache,target=/c2 test -n "$TOKEN"; echo $TOKEN | gzip > /c2/z
COPY --from=tool /fine /fine
`;
    for (const [name, progress] of [
      ["plain", []],
      ["raw", ["--progress", "rawjson"]],
    ] as const) {
      const out = join(site.work, `out-${name}`);
      await site.script(`mkdir ${out}`);
      const flags = [
        ...["--metadata-file", "metadata", "--iidfile", "iid", "--report", "report.html"].map((word) =>
          word.startsWith("--") ? word : join(out, word),
        ),
        ...(name === "plain" ? ["--logfile", join(out, "log")] : progress),
        ...["--cache-to", `type=local,dest=${out}/cache,mounts=true`, "-o", `type=oci,dest=${out}/image.tar`],
      ];
      const { exitCode, stderr } = await own.build(dockerfile, [...SECRETS, "--no-cache", ...flags], FILES);
      expect(exitCode, stderr).toBe(0);
      const said = stderr.replace(/"data":"([^"]*)"/g, (_, data: string) =>
        Buffer.from(data, "base64").toString(),
      );
      expect(READABLE.filter((text) => said.includes(text))).toEqual([]);
      if (name === "raw") expect(said).toContain("[secret w]");
      else expect(readFileSync(join(out, "log"), "utf8")).toContain("[secret w]");
      const written = name === "raw" ? said : readFileSync(join(out, "log"), "utf8");
      for (const mount of ["/cache", "/c2"])
        expect(written.replaceAll("\\", "")).toContain(`The cache mount "${mount}" is not exported`);
      for (const format of ["gzip", "zstd"])
        await site.ok("push", "--compression-format", format, "localhost/case", `oci:${out}/${format}`);
      expect(holding(out)).toEqual([]);
    }
    // In the store there are the trees of stages that stayed, and the mounts.
    expect(holding(site.root, (path) => /\/(layers|cache-mounts)\/[^/]+\//.test(path))).toEqual([]);
  });

  test("says nothing when a step fails either: the error, the report, the kept log", async () => {
    const dockerfile = `${FROM}RUN ${MOUNTS} S=/run/secrets/s W=/run/secrets/w; ${TALKS}; exit 3`;
    const report = join(it.site.work, "failed.json");
    const { exitCode, stderr } = await it.build(dockerfile, [...SECRETS, "--report", report], FILES);
    expect(exitCode).toBe(3);
    const log = /^Log: (.*)$/m.exec(stderr)![1]!;
    for (const text of [stderr, readFileSync(report, "utf8"), readFileSync(log, "utf8")]) {
      expect(text).toContain("[secret s]");
      expect(READABLE.filter((form) => text.includes(form))).toEqual([]);
    }
  });
});
