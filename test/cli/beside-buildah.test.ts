// Protects "behaves as Buildah does": the same lines given to both tools have the same stdout and exit status.
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";

setDefaultTimeout(120_000);

const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));
const possible =
  process.getuid?.() === 0 &&
  Bun.which("buildah") !== null &&
  Bun.which("runc") !== null &&
  busybox !== undefined;
// The sources: dist/cooper, which bin/cooper prefers, may be older.
const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];
const directory = mkdtempSync("/var/tmp/cooper-beside-");
afterAll(() => {
  // Buildah's own files may be mounts: it removes them itself.
  if (possible) buildah.run(["rm", "-a"]);
  rmSync(directory, { recursive: true, force: true });
});

interface Tool {
  cwd: string;
  run(argv: string[]): { exitCode: number; stdout: string; stderr: string };
}

function tool(name: string, command: string[], env: Record<string, string>): Tool {
  const cwd = join(directory, name);
  mkdirSync(join(cwd, "tree/sub"), { recursive: true });
  if (possible) copyFileSync(busybox!, join(cwd, "busybox"));
  writeFileSync(join(cwd, "tree/file"), "content\n", { mode: 0o644 });
  writeFileSync(join(cwd, "tree/sub/other"), "more\n");
  writeFileSync(join(cwd, "Dockerfile"), 'FROM scratch\nCOPY tree /tree\nLABEL made=here\nCMD ["/tree/x"]\n');
  writeFileSync(
    join(cwd, "Failing"),
    'FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox", "sh", "-c", "exit 6"]\n',
  );
  return {
    cwd,
    run(argv) {
      const result = Bun.spawnSync([...command, ...argv], {
        cwd,
        env: { PATH: process.env.PATH, HOME: cwd, ...env },
      });
      return {
        exitCode: result.exitCode,
        stdout: result.stdout.toString(),
        stderr: result.stderr.toString(),
      };
    },
  };
}

const containersConf = join(directory, "containers.conf");
writeFileSync(
  containersConf,
  '[engine]\nruntime="runc"\n[containers]\ndefault_ulimits=["nofile=1024:1024","nproc=1024:1024"]\n',
);
const buildah = tool(
  "buildah",
  ["buildah", "--root", `${directory}/br`, "--runroot", `${directory}/brr`, "--storage-driver", "vfs"],
  {
    CONTAINERS_CONF: containersConf,
  },
);
const cooper = tool("cooper", [...program, "--root", `${directory}/cr`, "--runroot", `${directory}/crr`], {});

/** What may differ: ids, sizes, times, and the places of mounts. */
function normal(text: string): string {
  return text
    .replace(/^\S*\/(?:br|cr)\/\S+$/gm, "PATH")
    .replace(/ \S*\/(?:br|cr)\/\S+$/gm, " PATH")
    .replace(/[0-9a-f]{64}/g, "ID")
    .replace(/\b[0-9a-f]{12}\b/g, "SHORTID")
    .replace(/\d+(?:\.\d+)? [KM]?B\b/g, "SIZE")
    .replace(/\b(?:Less than a second|1 second|\d+ seconds|About a minute) ago\b/g, "AGE")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/\d{4}-\d\d-\d\d [\d:.]+ \+0000 UTC/g, "GOTIME")
    .replace(/ {3,}(?=SHORTID|SIZE|AGE|$)/g, "  ");
}

/** One after the other, on one store each; an array is argv, given to both. */
const LINES: string[][] = [
  ["images"],
  ["containers"],
  ["images", "-q"],
  ["mount"],
  ["from", "scratch"],
  ["from", "scratch"],
  ["from", "--name", "work", "scratch"],
  ["from", "--name", "work", "scratch"],
  ["from", "--pull-never", "localhost/nothing"],
  ["from"],
  ["containers"],
  ["containers", "-q"],
  ["containers", "-n"],
  ["ls", "--notruncate"],
  ["ps", "--json"],
  ["list", "--format", "{{.ContainerID}} {{.ContainerName}} {{.ImageName}}|{{.ImageID}}"],
  ["containers", "--filter", "name=work"],
  ["containers", "--filter", "zz=1"],
  ["containers", "word"],
  ["containers", "-q", "--format", "{{.ContainerID}}"],
  ["images", "-q", "--format", "{{.ID}}"],
  ["containers", "--format", "table {{.ContainerName}} {{.ImageName}}"],
  ["mount", "nothing"],
  ["umount", "work"],
  ["umount", "nothing"],
  ["umount"],
  ["copy", "work", "busybox", "/bin/busybox"],
  ["copy", "-q", "work", "tree", "/tree/"],
  ["copy", "work", "tree/missing", "/"],
  ["copy", "work"],
  ["copy"],
  ["add", "--quiet", "--chmod", "600", "work", "tree/file", "/secret"],
  ["run", "work", "--", "/bin/busybox", "echo", "-n", "--x"],
  ["run", "work", "/bin/busybox", "sh", "-c", "echo out; exit 3"],
  ["run", "--env", "A=b c", "--workingdir", "/tree", "work", "/bin/busybox", "sh", "-c", 'echo "$A"; pwd'],
  ["run", "--user", "5:6", "work", "/bin/busybox", "sh", "-c", "/bin/busybox id -u; /bin/busybox id -g"],
  ["run", "work", "/bin/busybox", "ls", "-l", "/tree/file", "--color=never"],
  ["run", "work", "/bin/busybox", "stat", "-c", "%a %u %g %s", "/secret", "/tree/sub/other"],
  ["run", "work"],
  ["run", "work", "--"],
  ["run"],
  ["run", "nothing", "x"],
  ["run", "--terminal=maybe", "work", "x"],
  ["mount", "work"],
  ["mount", "work", "nothing"],
  ["mount", "work", "--json"],
  [
    "config",
    "--entrypoint",
    '["/bin/busybox", "a b"]',
    "--cmd",
    "x 'y z'",
    "--env",
    "A=1",
    "--env",
    "B=$A/2",
    "work",
  ],
  [
    "config",
    "--label",
    "a=b,c=d",
    "--label",
    "gone=1",
    "--port",
    "80,90/udp",
    "--volume",
    "/v",
    "--user",
    "1:2",
    "work",
  ],
  ["config", "--label", "gone-", "--workingdir", "/w", "--stop-signal", "SIGINT", "--author", "me", "work"],
  ["config", "--annotation", "note=1", "--port", "80-", "work"],
  ["config", "--cmd", "open 'quote", "work"],
  ["config", "--healthcheck-interval", "bad", "work"],
  ["config"],
  ["config", "work", "--env", "x=y"],
  ["inspect", "--format", "{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.Env}}", "work"],
  [
    "inspect",
    "--format",
    "{{.OCIv1.Config.Labels}} {{.OCIv1.Config.ExposedPorts}} {{.OCIv1.Config.Volumes}}",
    "work",
  ],
  [
    "inspect",
    "--format",
    "{{.OCIv1.Config.User}} {{.OCIv1.Config.WorkingDir}} {{.OCIv1.Author}} {{.OCIv1.OS}}",
    "work",
  ],
  [
    "inspect",
    "--format",
    "{{range $k, $v := .OCIv1.Config.Labels}}{{$k}}={{$v}};{{end}}{{len .OCIv1.Config.Env}}",
    "work",
  ],
  ["inspect", "--format", '{{printf "%q %v" .Container .Type}}{{if .FromImage}}x{{else}}y{{end}}', "work"],
  ["inspect", "--format", "{{index .OCIv1.Config.Env 0}} {{.Docker.Config.StopSignal}}", "work"],
  ["inspect", "--format", "{{.Nope}}", "work"],
  ["inspect", "--format", "{{.Type", "work"],
  ["inspect", "--type", "nothing", "work"],
  ["inspect", "--type", "container", "nothing"],
  ["inspect"],
  ["commit", "-q", "work", "localhost/made"],
  ["commit", "--quiet", "--squash", "--iidfile", "iid", "work", "localhost/squashed:1"],
  ["commit", "-q", "nothing", "localhost/x"],
  ["commit", "-q", "work", "UPPER"],
  ["commit", "--format", "zz", "work", "x"],
  ["commit"],
  ["images", "localhost/made"],
  ["images", "-n", "made"],
  ["images", "--format", "{{.Name}} {{.Tag}} {{.ID}}", "localhost/squashed:1"],
  ["images", "--no-trunc", "made"],
  ["images", "-q", "made"],
  ["images", "nothing"],
  ["images", "a", "b"],
  ["images", "--filter", "zz=1"],
  ["images", "--filter", "dangling=true"],
  ["images", "--filter", "label=a=b,c=d"],
  [
    "inspect",
    "--type",
    "image",
    "--format",
    "{{.FromImage}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.User}}",
    "made",
  ],
  ["tag", "made", "localhost/made:more"],
  ["tag", "nothing", "x"],
  ["tag", "made"],
  ["images", "--format", "{{.Tag}}", "made:more"],
  ["images", "--format", "table {{.Tag}} {{.ID}}", "made"],
  ["from", "made"],
  ["from", "--cidfile", "cid", "localhost/made:latest"],
  ["containers", "--filter", "ancestor=localhost/made"],
  ["rmi", "squashed:1"],
  ["rmi", "made:more"],
  ["rmi", "nothing"],
  ["rmi"],
  ["rmi", "-a", "-p"],
  ["push", "-q", "made", "oci-archive:made.tar"],
  ["push", "--quiet", "--digestfile", "digest", "made", "dir:made.dir"],
  ["push", "-q", "nothing", "dir:x"],
  ["push"],
  ["pull", "-q", "oci-archive:made.tar"],
  ["pull", "-q", "oci-archive:nothing.tar"],
  ["pull"],
  ["rename", "work", "other"],
  ["rename", "nothing", "x"],
  ["rename", "other", "working-container"],
  ["rename", "a"],
  ["rm", "nothing", "other"],
  ["rm", "-a", "x"],
  ["rm"],
  ["delete", "working-container"],
  ["bud", "-q", "-t", "localhost/built", "."],
  ["bud", "-q", "--layers", "--label", "more=1", "-t", "built:2", "-f", "Dockerfile"],
  [
    "inspect",
    "--type",
    "image",
    "--format",
    '{{index .OCIv1.Config.Labels "made"}} {{.OCIv1.Config.Cmd}}',
    "built",
  ],
  ["manifest", "create", "localhost/list"],
  ["manifest", "create", "localhost/list"],
  ["manifest", "create", "--amend", "localhost/list", "built"],
  ["manifest", "create"],
  ["manifest", "add", "localhost/list", "built"],
  [
    "manifest",
    "add",
    "--arch",
    "arm64",
    "--variant",
    "v8",
    "--annotation",
    "a=b",
    "localhost/list",
    "built:2",
  ],
  ["manifest", "add", "localhost/list"],
  ["manifest", "exists", "localhost/list"],
  ["manifest", "exists", "nothing"],
  ["manifest", "exists", "built"],
  ["manifest", "inspect", "built"],
  ["manifest", "push", "-q", "--all", "--digestfile", "listdigest", "localhost/list", "dir:listdir"],
  ["manifest", "remove", "localhost/list", `sha256:${"0".repeat(64)}`],
  ["images", "-q", "list"],
  ["tag", "list", "localhost/otherlist"],
  ["manifest", "exists", "otherlist"],
  ["manifest", "rm", "nothing"],
  ["bud", "-q", "-f", "Failing", "."],
  ["bud", "-q", "-f", "nothing", "."],
  ["bud", "-q", "nothing"],
  ["bud", "-q", "--target", "nothing", "."],
  ["bud", "a", "b"],
  ["bud", "--build-arg"],
  ["inspect", "--format", "{{.OCIv1.Created}} {{.Docker.Created}} {{len .OCIv1.RootFS.DiffIDs}}", "built"],
  ["inspect", "--format", '{{index .OCIv1.Config.Labels "none"}}|{{.OCIv1.Config.Labels.made}}', "built"],
  ["inspect", "--format", "{{index .OCIv1.Config.Env 99}}", "built"],
  [
    "inspect",
    "--format",
    '{{printf "%q %x %5s|%-5s|%v" .Type "ab" "a" "b" true}} {{slice "abc" 1}}',
    "built",
  ],
  ["inspect", "--format", '{{with .OCIv1}}{{.OS}}{{end}}{{/* c */}}{{- "x" -}} y', "built"],
  ["images", "--format", '{{printf "%-30s|%v" .Name .ReadOnly}}', "built"],
  ["images", "--format", "{{.CreatedAtRaw}}", "built:2"],
  ["images", "--format", '{{range $i, $c := split .Name "/"}}{{$i}}={{$c}};{{end}}', "built"],
  ["images", "--filter", "reference=built:2", "--format", "{{.Tag}}"],
  ["images", "--filter", "dangling=x"],
  ["images", "built", "--json"],
  ["from", "--name", "late", "built"],
  ["config", "--env", "A=1", "--env", "A", "--label", "c", "late"],
  ["inspect", "--format", "{{.OCIv1.Config.Env}} {{.OCIv1.Config.Labels.c}}|", "late"],
  ["config", "--onbuild", "RUN x", "--shell", "/bin/a -c", "--hostname", "h", "--domainname", "d", "late"],
  [
    "inspect",
    "--format",
    "{{.Docker.Config.OnBuild}} {{.Docker.Config.Shell}} {{.Docker.Config.Hostname}}",
    "late",
  ],
  ["config", "--entrypoint", '["x"', "late"],
  ["run", "--isolation", "zz", "late", "x"],
  ["pull", "--policy", "never", "localhost/none"],
  ["pull", "--policy", "zz", "localhost/none"],
  ["login", "--get-login=true", "nope.example"],
  ["source", "add", "nothing", "tree/file"],
  ["tag", "built", "built:3", "built:4"],
  ["rmi", "built:3", "built:4", "nothing"],
  ["from", "--name", "last", "scratch"],
  ["commit", "-q", "--rm", "last", "one"],
  ["rmi", "one", "nothing"],
  ["rm", "-a"],
  ["containers"],
  ["images", "--no-such"],
  ["no-such-command"],
  ["--no-such-flag"],
];

test.skipIf(!possible)("a session of both", () => {
  const differences: string[] = [];
  for (const argv of LINES) {
    const theirs = buildah.run(argv);
    const ours = cooper.run(argv);
    if (theirs.exitCode !== ours.exitCode || normal(theirs.stdout) !== normal(ours.stdout)) {
      differences.push(
        `${argv.join(" ")}\n--- buildah ${theirs.exitCode}\n${normal(theirs.stdout)}${theirs.stderr}\n--- cooper ${ours.exitCode}\n${normal(ours.stdout)}${ours.stderr}`,
      );
    }
    if (ours.exitCode === 125) expect(ours.stderr, argv.join(" ")).toStartWith("Error: ");
  }
  expect(differences.join("\n\n")).toBe("");
  for (const file of ["iid", "cid", "digest"]) {
    const [theirs, ours] = [buildah, cooper].map(({ cwd }) => normal(readFileSync(join(cwd, file), "utf8")));
    expect(ours, file).toBe(theirs!);
  }
});

test.skipIf(!possible).each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends a running command, with status %d and nothing left", async (signal, status) => {
  cooper.run(["from", "--name", signal, "scratch"]);
  cooper.run(["copy", "-q", signal, "busybox", "/busybox"]);
  const marker = `${process.pid}${status}`;
  const running = Bun.spawn(
    [
      ...program,
      "--root",
      `${directory}/cr`,
      "--runroot",
      `${directory}/crr`,
      "run",
      signal,
      "/busybox",
      "sh",
      "-c",
      `echo up; /busybox sleep ${marker}; exit 1`,
    ],
    { stdout: "pipe", stderr: "pipe" },
  );
  await running.stdout.getReader().read();
  running.kill(signal);
  expect(await running.exited).toBe(status);
  expect(Bun.spawnSync(["pgrep", "-f", `sleep ${marker}$`]).stdout.toString()).toBe("");
  expect(cooper.run(["rm", signal]).exitCode).toBe(0);
});
