// Protects the cache: whatever can change what a step gives makes it run anew, and nothing else does.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setXattr } from "../../src/base/xattrs.ts";
import type { BuildOptions } from "../../src/index.ts";
import { people, rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { type LineWorker, startLineWorker } from "../support/line-worker.ts";

setDefaultTimeout(120_000);
// Keys have nothing to do with who builds; only root can change owners of files.
const person = rootOnly[0] ?? people[0]!;
const asRoot = rootOnly.length > 0;
const OTHER = process.arch === "arm64" ? "amd64" : "arm64";

const SECRET_ONE = { id: "one", source: "{C}/secret", kind: "file" } as const;

interface Built {
  imageId: string;
  steps: { text: string; cached: boolean }[];
}

let site: Site;
let worker: LineWorker;
let server: ReturnType<typeof Bun.serve>;
/** What the server answers. */
const served = { body: "one", name: "" };

beforeAll(async () => {
  site = openSite(person);
  await site.ok("import", busyboxBase(), "localhost/busybox");
  await site.script(
    `cooper tag localhost/busybox localhost/alias
     c=$(cooper from localhost/busybox); cooper config --label a=b $c; cooper commit -q $c localhost/labelled
     cooper run $c -- touch /etc/new; cooper commit -q --rm $c localhost/other`,
  );
  worker = startLineWorker(join(import.meta.dir, "build-worker.ts"), [site.root, site.runRoot]);
  server = Bun.serve({
    port: 0,
    fetch: () =>
      new Response(served.body, {
        headers: served.name === "" ? {} : { "content-disposition": `attachment; filename=${served.name}` },
      }),
  });
});
afterAll(async () => {
  await server.stop(true);
  await worker[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

async function build(options: BuildOptions): Promise<Built> {
  const result = (await worker.ask(options)) as Built & { error?: string };
  if (result.error !== undefined) throw new Error(result.error);
  return result;
}

interface Side {
  dockerfile?: string;
  files?: Record<string, string>;
  /** {C} in strings is the context, {S} the server. */
  options?: BuildOptions;
}

/** A build, and what is different in the next one. */
interface Row extends Side {
  name: string;
  next: Side & { change?: (context: string) => void; serve?: Partial<typeof served> };
  needsRoot?: boolean;
}

const FROM = "FROM localhost/busybox";
const run = (text: string, before = "") => `${FROM}\n${before}RUN ${text}`;
const COPY = `${FROM}\nCOPY a /a`;
const TREE = `${FROM}\nCOPY d /d`;
const tree = { "d/one": "1", "d/two": "2" };
const BIND = run("--mount=type=bind,source=d,target=/m ls -lR /m > /list");
const STAGES = `${FROM} AS s\nRUN echo x > /kept\nRUN echo other > /unseen\n${FROM}`;
const CACHE = run("--mount=type=cache,target=/c,id=one true > /ran");
const withRun = (settings: BuildOptions["run"]): Side => ({ options: { run: settings! } });
const args = (buildArgs: Record<string, string>): Side => ({ options: { buildArgs } });

const MISSES: Row[] = [
  // Files of the context
  { name: "content", dockerfile: COPY, files: { a: "1" }, next: { files: { a: "2" } } },
  {
    name: "content of the same size and time",
    dockerfile: COPY,
    files: { a: "1" },
    next: {
      change: (context) => {
        utimesSync(join(context, "a"), 1, 1);
        writeFileSync(join(context, "a"), "2");
        utimesSync(join(context, "a"), 1, 1);
      },
    },
  },
  {
    name: "mode",
    dockerfile: COPY,
    files: { a: "1" },
    next: { change: (c) => chmodSync(join(c, "a"), 0o700) },
  },
  {
    name: "mode of a directory",
    dockerfile: `${FROM}\nCOPY . /d`,
    files: tree,
    next: { change: (c) => chmodSync(join(c, "d"), 0o700) },
  },
  { name: "a file more", dockerfile: TREE, files: tree, next: { files: { "d/three": "3" } } },
  { name: "a file less", dockerfile: TREE, files: tree, next: { change: (c) => rmSync(join(c, "d/two")) } },
  {
    name: "a file's name",
    dockerfile: TREE,
    files: tree,
    next: { files: { "d/new": "2" }, change: (c) => rmSync(join(c, "d/two")) },
  },
  {
    name: "a symlink's target",
    dockerfile: TREE,
    files: tree,
    next: { change: (c) => relink(c, "gone", "d/one") },
  },
  {
    name: "a file that became a symlink to its like",
    dockerfile: TREE,
    files: tree,
    next: { change: (c) => relink(c, "one", "d/two") },
  },
  {
    name: "extended attribute",
    dockerfile: COPY,
    files: { a: "1" },
    next: { change: (c) => setXattr(join(c, "a"), "user.key", Buffer.from("value")) },
  },
  {
    name: "hard links",
    dockerfile: TREE,
    files: { "d/one": "1", "d/two": "1" },
    next: {
      change: (c) => {
        rmSync(join(c, "d/two"));
        linkSync(join(c, "d/one"), join(c, "d/two"));
      },
    },
  },
  {
    name: "an ignore file that hides more",
    dockerfile: TREE,
    files: { ...tree, ".dockerignore": "none" },
    next: { files: { ".dockerignore": "d/two" } },
  },
  {
    name: "--ignorefile",
    dockerfile: TREE,
    files: { ...tree, other: "d/two" },
    next: { options: { ignoreFile: "{C}/other" } },
  },
  // COPY and ADD themselves
  {
    name: "--chown",
    dockerfile: COPY,
    files: { a: "1" },
    next: { dockerfile: `${FROM}\nCOPY --chown=1:2 a /a` },
  },
  {
    name: "--chmod",
    dockerfile: COPY,
    files: { a: "1" },
    next: { dockerfile: `${FROM}\nCOPY --chmod=600 a /a` },
  },
  { name: "destination", dockerfile: COPY, files: { a: "1" }, next: { dockerfile: `${FROM}\nCOPY a /b` } },
  {
    name: "--exclude",
    dockerfile: TREE,
    files: tree,
    next: { dockerfile: `${FROM}\nCOPY --exclude=two d /d` },
  },
  {
    name: "here-document of COPY",
    dockerfile: `${FROM}\nCOPY <<E /e\n1\nE`,
    next: { dockerfile: `${FROM}\nCOPY <<E /e\n2\nE` },
  },
  {
    name: "content of an archive that ADD unpacks",
    dockerfile: `${FROM}\nADD a.tar /x/`,
    files: { "d/one": "1" },
    next: {
      change: (c) => {
        writeFileSync(join(c, "d/one"), "2");
        archive(c);
      },
    },
  },
  {
    name: "ADD in place of COPY",
    dockerfile: `${FROM}\nCOPY a.tar /x/`,
    files: { "d/one": "1" },
    next: { dockerfile: `${FROM}\nADD a.tar /x/` },
  },
  { name: "content of a URL", dockerfile: `${FROM}\nADD {S}/f /f`, next: { serve: { body: "two" } } },
  {
    name: "the name that a server gives",
    dockerfile: `${FROM}\nADD {S}/ /x/`,
    options: {},
    next: { serve: { name: "second" } },
  },
  // Other stages, images, contexts
  {
    name: "content from a stage",
    dockerfile: `${STAGES}\nCOPY --from=s /kept /k`,
    next: { dockerfile: `${STAGES.replace("echo x", "echo y")}\nCOPY --from=s /kept /k` },
  },
  {
    name: "owner of a file from a stage",
    dockerfile: `${STAGES}\nCOPY --from=s /kept /k`,
    next: { dockerfile: `${STAGES.replace("> /kept", "> /kept; chown 7 /kept")}\nCOPY --from=s /kept /k` },
  },
  {
    name: "content from a named context",
    dockerfile: `${FROM}\nCOPY --from=more a /a`,
    files: { "d/a": "1" },
    options: { buildContexts: { more: "{C}/d" } },
    next: { files: { "d/a": "2" }, options: { buildContexts: { more: "{C}/d" } } },
  },
  {
    name: "the place of a named context",
    dockerfile: `${FROM}\nCOPY --from=more a /a`,
    files: { "d/a": "1", "e/a": "2" },
    options: { buildContexts: { more: "{C}/d" } },
    next: { options: { buildContexts: { more: "{C}/e" } } },
  },
  // Bind mounts
  { name: "bind mount: content", dockerfile: BIND, files: tree, next: { files: { "d/one": "2" } } },
  {
    name: "bind mount: mode",
    dockerfile: BIND,
    files: tree,
    next: { change: (c) => chmodSync(join(c, "d/one"), 0o600) },
  },
  {
    name: "bind mount: mode of the mounted directory",
    dockerfile: BIND,
    files: tree,
    next: { change: (c) => chmodSync(join(c, "d"), 0o700) },
  },
  {
    name: "bind mount: content from a stage",
    dockerfile: `${STAGES}\nRUN --mount=from=s,source=/kept,target=/m cat /m > /f`,
    next: {
      dockerfile: `${STAGES.replace("echo x", "echo y")}\nRUN --mount=from=s,source=/kept,target=/m cat /m > /f`,
    },
  },
  {
    name: "bind mount: another image",
    dockerfile: run("--mount=from=i,source=/etc,target=/m ls /m > /f"),
    options: { buildContexts: { i: "docker-image://localhost/busybox" } },
    next: { options: { buildContexts: { i: "docker-image://localhost/other" } } },
  },
  {
    name: "the base's files",
    dockerfile: run("true > /f"),
    next: { dockerfile: "FROM localhost/other\nRUN true > /f" },
  },
  {
    name: "bind mount: target",
    dockerfile: BIND,
    files: tree,
    next: { dockerfile: BIND.replaceAll("/m", "/n") },
  },
  {
    name: "bind mount: may be written",
    dockerfile: BIND,
    files: tree,
    next: { dockerfile: BIND.replace("/m ls", "/m,rw ls") },
  },
  // Other mounts
  { name: "cache mount: id", dockerfile: CACHE, next: { dockerfile: CACHE.replace("id=one", "id=two") } },
  {
    name: "cache mount: namespace",
    dockerfile: CACHE,
    next: args({ BUILDKIT_CACHE_MOUNT_NS: "other" }),
  },
  {
    name: "cache mount: what it begins with",
    dockerfile: `${STAGES}\nRUN --mount=type=cache,from=s,source=/etc,target=/c ls /c > /f`,
    next: {
      dockerfile: `${STAGES.replace("echo x", "echo > /etc/new; echo x")}\nRUN --mount=type=cache,from=s,source=/etc,target=/c ls /c > /f`,
    },
  },
  {
    name: "tmpfs",
    dockerfile: run("true > /f"),
    next: { dockerfile: run("--mount=type=tmpfs,target=/t true > /f") },
  },
  {
    name: "tmpfs: size",
    dockerfile: run("--mount=type=tmpfs,target=/t,size=1m true > /f"),
    next: { dockerfile: run("--mount=type=tmpfs,target=/t,size=2m true > /f") },
  },
  {
    name: "secret: id",
    dockerfile: run("--mount=type=secret,id=one,target=/s true > /f"),
    files: { secret: "1" },
    next: { dockerfile: run("--mount=type=secret,id=two,target=/s true > /f") },
  },
  {
    name: "secret: target",
    dockerfile: run("--mount=type=secret,id=one,target=/s true > /f"),
    next: { dockerfile: run("--mount=type=secret,id=one,target=/t true > /f") },
  },
  {
    name: "secret: whether there is one",
    dockerfile: run("--mount=type=secret,id=one true > /f"),
    files: { secret: "1" },
    next: { options: { secrets: [SECRET_ONE] } },
  },
  {
    name: "secret: value, as its salt",
    dockerfile: run("--mount=type=secret,id=one true > /f"),
    files: { secret: "1" },
    options: { secrets: [{ ...SECRET_ONE, cacheSalt: true }] },
    next: { files: { secret: "2" }, options: { secrets: [{ ...SECRET_ONE, cacheSalt: true }] } },
  },
  {
    name: "secret: text of its salt",
    dockerfile: run("--mount=type=secret,id=one true > /f"),
    files: { secret: "1" },
    options: { secrets: [{ ...SECRET_ONE, cacheSalt: "1" }] },
    next: { options: { secrets: [{ ...SECRET_ONE, cacheSalt: "2" }] } },
  },
  {
    name: "ssh: id",
    dockerfile: run("--mount=type=ssh,id=one true > /f"),
    next: { dockerfile: run("--mount=type=ssh,id=two true > /f") },
  },
  // Build args and variables
  {
    name: "build arg that the step sees",
    dockerfile: run("true > /f", "ARG A\n"),
    ...args({ A: "1" }),
    next: args({ A: "2" }),
  },
  {
    name: "build arg before FROM that the stage takes over",
    dockerfile: `ARG A=1\n${run("true > /f", "ARG A\n")}`,
    next: args({ A: "2" }),
  },
  {
    name: "default of an ARG",
    dockerfile: run("true > /f", "ARG A=1\n"),
    next: { dockerfile: run("true > /f", "ARG A=2\n") },
  },
  {
    name: "ENV",
    dockerfile: run("true > /f", "ENV A=1\n"),
    next: { dockerfile: run("true > /f", "ENV A=2\n") },
  },
  { name: "--env", dockerfile: run("true > /f"), next: { options: { env: ["A=1"] } } },
  {
    name: "build arg in the place where a file goes",
    dockerfile: `${FROM}\nARG A=1\nCOPY a /\${A}`,
    files: { a: "1" },
    next: args({ A: "2" }),
  },
  {
    name: "source date that an ARG declares",
    dockerfile: run("true > /f", "ARG SOURCE_DATE_EPOCH\n"),
    next: { options: { sourceDateEpoch: 7 } },
  },
  {
    name: "build arg in the base's name",
    dockerfile: `ARG B=localhost/busybox\nFROM \${B}\nRUN true > /f`,
    next: {
      ...args({ B: "scratch" }),
      dockerfile: `ARG B=localhost/busybox\nFROM \${B}\nCOPY Dockerfile /f`,
    },
  },
  // The command and what it runs as
  { name: "command", dockerfile: run("true > /f"), next: { dockerfile: run("true >  /f") } },
  {
    name: "here-document of RUN",
    dockerfile: run("<<E\necho 1 > /f\nE"),
    next: { dockerfile: run("<<E\necho 2 > /f\nE") },
  },
  {
    name: "SHELL",
    dockerfile: run("true > /f"),
    next: { dockerfile: run("true > /f", 'SHELL ["/bin/sh", "-ec"]\n') },
  },
  { name: "USER", dockerfile: run("true"), next: { dockerfile: run("true", "USER 5\n") } },
  {
    name: "WORKDIR",
    dockerfile: run("true > f", "WORKDIR /tmp\n"),
    next: { dockerfile: run("true > f", "WORKDIR /\n") },
  },
  {
    name: "the step before",
    dockerfile: run("true > /f", "RUN echo 1 > /g\n"),
    next: { dockerfile: run("true > /f", "RUN echo 2 > /g\n") },
  },
  // Flags of the build
  {
    name: "--platform",
    dockerfile: "FROM scratch\nCOPY a /a",
    files: { a: "1" },
    next: { options: { platform: `linux/${OTHER}` } },
  },
  {
    name: "RUN --network",
    dockerfile: run("true > /f"),
    next: { dockerfile: run("--network=none true > /f") },
  },
  { name: "--network", dockerfile: run("true > /f"), next: withRun({ network: "none" }) },
  {
    name: "RUN --security",
    dockerfile: run("true > /f"),
    options: { allow: ["security.insecure"] },
    next: { dockerfile: run("--security=insecure true > /f"), options: { allow: ["security.insecure"] } },
    needsRoot: true,
  },
  { name: "--cap-add", dockerfile: run("true > /f"), next: withRun({ capAdd: ["CAP_SYS_PTRACE"] }) },
  { name: "--cap-drop", dockerfile: run("true > /f"), next: withRun({ capDrop: ["CAP_CHOWN"] }) },
  { name: "--security-opt seccomp", dockerfile: run("true > /f"), next: withRun({ seccomp: "unconfined" }) },
  {
    name: "content of a seccomp profile",
    dockerfile: run("true > /f"),
    files: { profile: '{"defaultAction":"SCMP_ACT_ALLOW"}' },
    ...withRun({ seccomp: "{C}/profile" }),
    next: {
      files: { profile: '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}' },
      ...withRun({ seccomp: "{C}/profile" }),
    },
  },
  {
    name: "--security-opt no-new-privileges",
    dockerfile: run("true > /f"),
    next: withRun({ noNewPrivileges: true }),
  },
  {
    name: "--security-opt mask",
    dockerfile: run("true > /f"),
    next: withRun({ mask: ["/proc/version"] }),
  },
  {
    name: "--compat-volumes",
    dockerfile: run("true > /f", "VOLUME /v\n"),
    next: { options: { compatVolumes: true } },
  },
  { name: "--stdin", dockerfile: run("true > /f"), next: { options: { stdin: true } } },
  { name: "--shm-size", dockerfile: run("true > /f"), next: withRun({ shmSize: 1 << 20 }) },
  { name: "--ulimit", dockerfile: run("true > /f"), next: withRun({ ulimits: ["nofile=100:100"] }) },
  { name: "--add-host", dockerfile: run("true > /f"), next: withRun({ addHosts: ["h:10.0.0.1"] }) },
  {
    name: "--add-host's address",
    dockerfile: run("true > /f"),
    ...withRun({ addHosts: ["h:10.0.0.1"] }),
    next: withRun({ addHosts: ["h:10.0.0.2"] }),
  },
  { name: "--dns", dockerfile: run("true > /f"), next: withRun({ dns: { servers: ["10.0.0.1"] } }) },
  { name: "--device", dockerfile: run("true > /f"), next: withRun({ devices: ["/dev/null"] }) },
  {
    name: "--volume",
    dockerfile: run("true > /f"),
    files: tree,
    next: withRun({ volumes: ["{C}/d:/v"] }),
  },
  {
    name: "host name",
    dockerfile: run("hostname > /f"),
    next: args({ BUILDKIT_SANDBOX_HOSTNAME: "other" }),
  },
  { name: "--no-cache", dockerfile: run("true > /f"), next: { options: { noCache: true } } },
  {
    name: "--no-cache-filter of its stage",
    dockerfile: `${FROM} AS s\nRUN true > /f`,
    next: { options: { noCacheFilter: ["s"] } },
  },
  {
    name: "--no-cache-filter of a stage whose files it takes and that gave others",
    dockerfile: `${FROM} AS s\nRUN cat /proc/sys/kernel/random/uuid > /id\n${FROM}\nCOPY --from=s /id /id`,
    next: { options: { noCacheFilter: ["s"] } },
  },
];

const HITS: Row[] = [
  { name: "nothing", dockerfile: run("true > /f"), next: {} },
  // Files of the context
  {
    name: "modification times",
    dockerfile: TREE,
    files: tree,
    next: { change: (c) => utimesSync(join(c, "d/one"), 5, 5) },
  },
  {
    name: "access times",
    dockerfile: TREE,
    files: tree,
    next: { change: (c) => spawnSync("touch", ["-a", "-d", "@99999", join(c, "d/one")]) },
  },
  { name: "other inodes", dockerfile: TREE, files: tree, next: { change: anew } },
  {
    name: "owners, which a context does not keep",
    dockerfile: TREE,
    files: tree,
    next: { change: (c) => chownSync(join(c, "d/one"), 7, 7) },
    needsRoot: true,
  },
  { name: "files that are not copied", dockerfile: TREE, files: tree, next: { files: { other: "new" } } },
  {
    name: "an ignore file that hides what is not copied",
    dockerfile: TREE,
    files: { ...tree, other: "1" },
    next: { files: { ".dockerignore": "other\n" } },
  },
  {
    name: "files that are ignored",
    dockerfile: TREE,
    files: { ...tree, ".dockerignore": "d/log" },
    next: { files: { "d/log": "new" } },
  },
  {
    name: "files that are excluded",
    dockerfile: `${FROM}\nCOPY --exclude=log d /d`,
    files: tree,
    next: { files: { "d/log": "new" } },
  },
  {
    name: "--ignorefile with the same effect",
    dockerfile: TREE,
    files: { ...tree, other: "nothing" },
    next: { options: { ignoreFile: "{C}/other" } },
  },
  { name: "another directory with the same files", dockerfile: TREE, files: tree, next: { change: anew } },
  {
    name: "content of the same archive, packed again at another time",
    dockerfile: `${FROM}\nCOPY a.tar /x/`,
    files: { "d/one": "1" },
    next: { change: (c) => utimesSync(join(c, "a.tar"), 9, 9) },
  },
  // URLs
  { name: "a URL with the same content", dockerfile: `${FROM}\nADD {S}/f /f`, next: {} },
  {
    name: "another URL with the same content",
    dockerfile: `${FROM}\nADD {S}/f /f`,
    next: { dockerfile: `${FROM}\nADD {S}/mirror/f /f` },
  },
  {
    name: "ADD --checksum of the same content",
    dockerfile: `${FROM}\nADD {S}/f /f`,
    next: {
      dockerfile: `${FROM}\nADD --checksum=sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed {S}/f /f`,
    },
  },
  // Stages and images
  {
    name: "what a stage does beside the file that is copied",
    dockerfile: `${STAGES}\nCOPY --from=s /kept /k`,
    next: { dockerfile: `${STAGES.replace("echo other", "echo another")}\nCOPY --from=s /kept /k` },
  },
  {
    name: "what follows a COPY from a stage that gave the same",
    dockerfile: `${STAGES}\nCOPY --from=s /kept /k\nRUN cat /k > /l`,
    next: {
      dockerfile: `${STAGES.replace("echo x", "printf 'x\\n'")}\nCOPY --from=s /kept /k\nRUN cat /k > /l`,
    },
  },
  {
    name: "a stage that was run anew and gave the same",
    dockerfile: `${FROM} AS s\nRUN echo 1 > /id\nFROM scratch\nCOPY --from=s /id /id`,
    next: { options: { noCacheFilter: ["s"] } },
  },
  {
    name: "bind mount: what a stage does beside the file that is mounted",
    dockerfile: `${STAGES}\nRUN --mount=from=s,source=/kept,target=/m cat /m > /f`,
    next: {
      dockerfile: `${STAGES.replace("echo other", "echo another")}\nRUN --mount=from=s,source=/kept,target=/m cat /m > /f`,
    },
  },
  {
    name: "what an image has beside the files that are copied",
    dockerfile: `${FROM}\nCOPY --from=localhost/busybox /bin/busybox /b`,
    next: { dockerfile: `${FROM}\nCOPY --from=localhost/other /bin/busybox /b` },
  },
  {
    name: "another name of the base",
    dockerfile: run("true > /f"),
    next: { dockerfile: "FROM localhost/alias\nRUN true > /f" },
  },
  {
    name: "the same base with other labels",
    dockerfile: run("true > /f"),
    next: { dockerfile: "FROM localhost/labelled\nRUN true > /f" },
  },
  {
    name: "name of a stage",
    dockerfile: `${STAGES}\nCOPY --from=s /kept /k`,
    next: { dockerfile: `${STAGES.replace("AS s", "AS t")}\nCOPY --from=t /kept /k` },
  },
  {
    name: "a stage by its number",
    dockerfile: `${STAGES}\nCOPY --from=s /kept /k`,
    next: { dockerfile: `${STAGES}\nCOPY --from=0 /kept /k` },
  },
  {
    name: "order of independent stages",
    dockerfile: `${FROM} AS a\nRUN echo a > /a\n${FROM} AS b\nRUN echo b > /b\n${FROM}\nCOPY --from=a /a /\nCOPY --from=b /b /`,
    next: {
      dockerfile: `${FROM} AS b\nRUN echo b > /b\n${FROM} AS a\nRUN echo a > /a\n${FROM}\nCOPY --from=a /a /\nCOPY --from=b /b /`,
    },
  },
  {
    name: "stages that are not needed",
    dockerfile: run("true > /f"),
    next: { dockerfile: `${FROM} AS unused\nRUN false\n${run("true > /f")}` },
  },
  {
    name: "another place of a named context with the same files",
    dockerfile: `${FROM}\nCOPY --from=more a /a`,
    files: { "d/a": "1", "e/a": "1" },
    options: { buildContexts: { more: "{C}/d" } },
    next: { options: { buildContexts: { more: "{C}/e" } } },
  },
  // Mounts
  {
    name: "bind mount: times",
    dockerfile: BIND,
    files: tree,
    next: { change: (c) => utimesSync(join(c, "d/one"), 5, 5) },
  },
  { name: "bind mount: files beside", dockerfile: BIND, files: tree, next: { files: { other: "new" } } },
  {
    name: "secret: value",
    dockerfile: run("--mount=type=secret,id=one true > /f"),
    files: { secret: "1" },
    options: { secrets: [SECRET_ONE] },
    next: {
      files: { secret: "2" },
      options: { secrets: [SECRET_ONE] },
    },
  },
  {
    name: "secret: value beside a text as its salt",
    dockerfile: run("--mount=type=secret,id=one true > /f"),
    files: { secret: "1" },
    options: { secrets: [{ ...SECRET_ONE, cacheSalt: "1" }] },
    next: { files: { secret: "2" }, options: { secrets: [{ ...SECRET_ONE, cacheSalt: "1" }] } },
  },
  {
    name: "secret: salt of one that the step does not ask for",
    dockerfile: run("--mount=type=secret,id=two true > /f"),
    files: { secret: "1" },
    options: { secrets: [{ ...SECRET_ONE, cacheSalt: true }] },
    next: { files: { secret: "2" }, options: { secrets: [{ ...SECRET_ONE, cacheSalt: true }] } },
  },
  {
    name: "secret: one that the step does not ask for",
    dockerfile: run("--mount=type=secret,id=one true > /f"),
    files: { secret: "1" },
    next: { options: { secrets: [{ id: "two", source: "{C}/secret", kind: "file" }] } },
  },
  // Build args and variables
  {
    name: "build arg that is declared later",
    dockerfile: `${run("true > /f")}\nARG A`,
    ...args({ A: "1" }),
    next: args({ A: "2" }),
  },
  {
    name: "build arg of another stage",
    dockerfile: `${FROM} AS s\nARG A\n${run("true > /f")}`,
    ...args({ A: "1" }),
    next: args({ A: "2" }),
  },
  {
    name: "build arg that COPY does not name",
    dockerfile: `${FROM}\nARG A\nCOPY a /a`,
    files: { a: "1" },
    ...args({ A: "1" }),
    next: args({ A: "2" }),
  },
  {
    name: "build arg before FROM that the stage does not take over",
    dockerfile: `ARG A=1\n${run("true > /f")}`,
    next: args({ A: "2" }),
  },
  {
    name: "proxies that no ARG declares",
    dockerfile: run("true > /f"),
    next: args({ HTTP_PROXY: "http://127.0.0.1:9" }),
  },
  {
    name: "a variable that comes later",
    dockerfile: `${run("true > /f")}\nENV A=1`,
    next: { dockerfile: `${run("true > /f")}\nENV A=2` },
  },
  {
    name: "ENV that COPY does not name",
    dockerfile: `${FROM}\nENV A=1\nCOPY a /a`,
    files: { a: "1" },
    next: { dockerfile: `${FROM}\nENV A=2\nCOPY a /a` },
  },
  {
    name: "ARG and ENV of the same value",
    dockerfile: run("true > /f", "ARG A=1\n"),
    next: { dockerfile: run("true > /f", "ENV A=1\n") },
  },
  {
    name: "a default that a given value replaces",
    dockerfile: run("true > /f", "ARG A=1\n"),
    ...args({ A: "3" }),
    next: { dockerfile: run("true > /f", "ARG A=2\n"), ...args({ A: "3" }) },
  },
  {
    name: "--network and --ulimit, for COPY",
    dockerfile: COPY,
    files: { a: "1" },
    next: withRun({ network: "none", ulimits: ["nofile=100:100"] }),
  },
  // What is only written
  {
    name: "comments and white space",
    dockerfile: run("true > /f"),
    next: { dockerfile: `# a comment\n${FROM}\n\n# another\nrun   true > /f  ` },
  },
  {
    name: "labels and other config",
    dockerfile: run("true > /f"),
    next: { dockerfile: `${FROM}\nLABEL a=b\nCMD ["x"]\nEXPOSE 80\nRUN true > /f` },
  },
  {
    name: "a variable that is the same text",
    dockerfile: run("true > /f"),
    next: { dockerfile: `ARG B=busybox\nFROM localhost/\${B}\nRUN true > /f` },
  },
  // Flags of the build
  { name: "--layers", dockerfile: run("true > /f"), next: { options: { layers: true } } },
  { name: "--squash", dockerfile: run("true > /f"), next: { options: { squash: true } } },
  { name: "--format", dockerfile: run("true > /f"), next: { options: { format: "docker" } } },
  { name: "--timestamp", dockerfile: run("true > /f"), next: { options: { timestamp: 0 } } },
  {
    name: "source date that no ARG declares",
    dockerfile: run("true > /f"),
    next: { options: { sourceDateEpoch: 7 } },
  },
  {
    name: "--label and --annotation",
    dockerfile: run("true > /f"),
    next: { options: { labels: ["a=b"], annotations: ["c=d"] } },
  },
  { name: "--jobs", dockerfile: run("true > /f"), next: { options: { jobs: 1 } } },
  { name: "--pull=never", dockerfile: run("true > /f"), next: { options: { pull: "never" } } },
  { name: "--pull=newer", dockerfile: run("true > /f"), next: { options: { pull: "newer" } } },
  {
    name: "--isolation: how, not what",
    dockerfile: run("true > /f"),
    next: withRun({ isolation: "chroot" }),
  },
  {
    name: "order of capabilities",
    dockerfile: run("true > /f"),
    ...withRun({ capAdd: ["CAP_SYS_PTRACE", "CAP_SYS_NICE"] }),
    next: withRun({ capAdd: ["CAP_SYS_NICE", "CAP_SYS_PTRACE"] }),
  },
  {
    name: "--no-cache-filter of another stage",
    dockerfile: `${FROM} AS s\nRUN true > /f\n${FROM} AS t\nCOPY a /a`,
    files: { a: "1" },
    next: { options: { noCacheFilter: ["s"] } },
  },
];

let number = 0;

/** The same files as new ones. */
function anew(context: string): void {
  cpSync(join(context, "d"), join(context, "new"), { recursive: true, preserveTimestamps: true });
  rmSync(join(context, "d"), { recursive: true });
  cpSync(join(context, "new"), join(context, "d"), { recursive: true });
  rmSync(join(context, "new"), { recursive: true });
}

function relink(context: string, target: string, name: string): void {
  rmSync(join(context, name));
  symlinkSync(target, join(context, name));
}

function archive(context: string): void {
  const packed = spawnSync("tar", ["-C", join(context, "d"), "-cf", join(context, "a.tar"), "."]);
  if (packed.status !== 0) throw new Error(packed.stderr.toString());
}

function write(context: string, name: string, content: string): void {
  mkdirSync(join(context, name, ".."), { recursive: true });
  writeFileSync(join(context, name), content);
}

/** Both builds of a row: whether the step that is judged was in the cache. */
async function judge(row: Row): Promise<boolean[]> {
  Object.assign(served, { body: "one", name: "" });
  const context = site.files({ ...row.files, Dockerfile: "" });
  if (row.name.includes("symlink's")) relink(context, "d/two", "d/one");
  if (row.dockerfile?.includes("a.tar") === true) archive(context);
  // A directory of each row's own: no step is another row's.
  const own = `WORKDIR /row-${number++}`;
  const one = async ({ dockerfile = row.dockerfile!, options = {} }: Side) => {
    const fill = (text: string) =>
      text.replaceAll("{C}", context).replaceAll("{S}", `http://127.0.0.1:${server.port}`);
    const text = dockerfile.replace(/^FROM .*/gm, (line) => `${line}\n${own}`);
    writeFileSync(join(site.work, "Dockerfile"), `${fill(text)}\n`);
    const given = JSON.parse(fill(JSON.stringify(options))) as BuildOptions;
    const { steps } = await build({ ...given, context, file: join(site.work, "Dockerfile") });
    const last = steps.filter((step) => /^(?:RUN|COPY|ADD)/i.test(step.text)).at(-1);
    return last!.cached;
  };
  const first = await one(row);
  for (const [name, content] of Object.entries(row.next.files ?? {})) write(context, name, content);
  row.next.change?.(context);
  Object.assign(served, row.next.serve ?? {});
  return [first, await one(row.next)];
}

test("stages at once that have the same step run it once", async () => {
  const uuid = "RUN sleep 0.2; cat /proc/sys/kernel/random/uuid > /id";
  const context = site.files({
    Dockerfile: `${FROM} AS a\n${uuid}\n${FROM} AS b\n${uuid}\n${FROM}\nCOPY --from=a /id /a\nCOPY --from=b /id /b\nRUN cmp /a /b`,
  });
  const { steps } = await build({ context, jobs: 3, noCache: true });
  expect(steps.filter(({ text, cached }) => text === uuid && !cached)).toHaveLength(1);
  // And later builds find what both went on from.
  const again = await build({ context, jobs: 1 });
  expect(again.steps.filter(({ text, cached }) => /^(?:RUN|COPY)/.test(text) && !cached)).toEqual([]);
});

test("nothing runs when a build without --layers is repeated", async () => {
  const text = `${FROM}\nWORKDIR /w\nRUN cat /proc/sys/kernel/random/uuid > id\nENV A=b\nCOPY a .\nRUN wc -c * > size`;
  const context = site.files({ Dockerfile: text, a: "1" });
  const first = await build({ context, layers: false });
  const second = await build({ context, layers: false });
  expect(first.steps.filter(({ cached }) => cached)).toEqual([]);
  const files = (built: Built) => built.steps.filter(({ text }) => /^(?:WORKDIR|RUN|COPY)/.test(text));
  expect(files(second).map(({ cached }) => cached)).toEqual([true, true, true, true]);
  expect(second.imageId).toBe(first.imageId);
});

for (const [expected, rows] of [
  ["a miss", MISSES],
  ["a hit", HITS],
] as const) {
  describe(expected, () => {
    for (const row of rows) {
      test.skipIf(row.needsRoot === true && !asRoot)(row.name, async () => {
        expect(await judge(row)).toEqual([false, expected === "a hit"]);
      });
    }
  });
}
