// Protects what users read when a registry does not do what they want: the whole text, for every command that asks one.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { CommandLine } from "../support/command-line.ts";
import { makeImage, type MadeImage } from "../support/make-image.ts";
import { MemoryRegistry } from "../transport/memory-registry.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const line = new CommandLine("registry-errors");
let plain: TestRegistry;
let secure: TestRegistry;
let tokens: MemoryRegistry;
let stale: MemoryRegistry;
let made: MadeImage;

beforeAll(async () => {
  [plain, secure] = await Promise.all([
    startRegistry(),
    startRegistry({ tls: true, users: { kim: "s3cret" } }),
  ]);
  tokens = new MemoryRegistry({ user: "kim:s3cret" });
  stale = new MemoryRegistry({ user: "kim:s3cret", tokenUses: 0 });
  made = await makeImage(line.path("image"), { layers: [[{ path: "a", content: "1" }]] });
  line.file("certs/ca.crt", await Bun.file(secure.ca).text());
  line.file("empty/README", "");
  line.file(
    "registries.conf",
    `${[plain.host, tokens.host, stale.host, "127.0.0.1:1"]
      .map((host) => `[[registry]]\nlocation = "${host}"\ninsecure = true\n`)
      .join("")}[[registry]]\nlocation = "blocked.example"\nblocked = true\n`,
  );
  line.file("policy.json", `{"default": [{"type": "reject"}]}`);
  await line.ok("pull", "-q", made.reference);
  await line.ok("tag", made.imageId, "localhost/mine");
  await line.ok("image", "copy", "-q", made.reference, `docker://${plain.host}/team/app:1`);
});
afterAll(() => {
  for (const one of [plain, secure, tokens, stale, line]) one[Symbol.dispose]();
});

const COMMANDS: Record<string, (name: string) => string[]> = {
  pull: (name) => ["pull", "-q", "--retry=0", `docker://${name}`],
  push: (name) => ["push", "-q", "--retry=0", "localhost/mine", `docker://${name}`],
  copy: (name) => ["image", "copy", "-q", "--retry=0", `docker://${name}`, `dir:${line.path("never")}`],
  inspect: (name) => ["image", "inspect", "--retry=0", `docker://${name}`],
  "list-tags": (name) => ["image", "list-tags", "--retry=0", `docker://${name.replace(/:[^:/]*$/, "")}`],
  delete: (name) => ["image", "delete", "--retry=0", `docker://${name}`],
};
const READING = ["pull", "copy", "inspect", "list-tags", "delete"];
const ALL = Object.keys(COMMANDS);

/** What each command was doing, as its error begins. */
const DOING: Record<string, string> = {
  pull: "Cannot read manifest TAG of",
  push: "Cannot send blob BLOB to",
  copy: "Cannot read manifest TAG of",
  inspect: "Cannot read manifest TAG of",
  "list-tags": "Cannot list the tags of",
  delete: "Cannot read manifest TAG of",
};

interface Case {
  name: string;
  commands: string[];
  /** Of the image that is named; hosts are put in for their names. */
  image: () => string;
  flags?: () => string[];
  /** DOING, HOST, REPOSITORY and ACTION stand for what they are. */
  text: string;
}

const certs = () => ["--cert-dir", line.path("certs")];
const cases: Case[] = [
  {
    name: "a wrong password",
    commands: ALL,
    image: () => `${secure.host}/team/app:1`,
    flags: () => [...certs(), "--creds", "kim:guessed"],
    text: `Error: DOING PLACE: the registry answered 401 (SAID)
Hint: the credentials from --creds were not accepted for REPOSITORY: give other ones, or it does not exist there`,
  },
  {
    name: "nobody logged in",
    commands: ALL,
    image: () => `${secure.host}/team/app:1`,
    flags: certs,
    text: `Error: DOING PLACE: the registry answered 401 (SAID)
Hint: log in with cooper login HOST or give --creds; or REPOSITORY does not exist there`,
  },
  {
    name: "a wrong password for tokens",
    commands: ALL,
    image: () => `${tokens.host}/team/app:1`,
    flags: () => ["--creds", "kim:guessed"],
    text: `Error: Cannot log in to ACTION PLACE: its token server HOST answered 401 (incorrect username or password)
Hint: the credentials from --creds were not accepted for REPOSITORY: give other ones, or it does not exist there`,
  },
  {
    name: "tokens that have expired when they come",
    commands: ALL,
    image: () => `${stale.host}/team/app:1`,
    flags: () => ["--creds", "kim:s3cret"],
    text: `Error: DOING PLACE: the registry answered 401 (unauthorized)
Hint: the registry refuses the token that its token server gave a moment ago: it has expired already, or it is not for REPOSITORY; compare this host's clock, or tell who runs the registry`,
  },
  {
    name: "an unknown repository",
    commands: READING,
    image: () => `${plain.host}/no/such:1`,
    text: `Error: DOING PLACE: the registry answered 404 (UNKNOWN)
Hint: THERE`,
  },
  {
    name: "a missing tag",
    commands: ["pull", "copy", "inspect", "delete"],
    image: () => `${plain.host}/team/app:1x`,
    text: `Error: DOING PLACE: the registry answered 404 (UNKNOWN)
Hint: THERE`,
  },
  {
    name: "nobody there",
    commands: ALL,
    image: () => "127.0.0.1:1/team/app:1",
    text: `Error: DOING PLACE: the connection was refused
Hint: is a registry running there? check the name HOST and the network`,
  },
  {
    name: "an unknown host",
    commands: ALL,
    image: () => "nowhere.invalid/team/app:1",
    text: `Error: DOING PLACE: the host is not known
Hint: check the name HOST and the network`,
  },
  {
    name: "a certificate that nobody trusts",
    commands: ALL,
    image: () => `${secure.host}/team/app:1`,
    text: `Error: DOING PLACE: its certificate is not trusted (depth zero self signed cert)
Hint: put its CA into /etc/containers/certs.d/HOST/ca.crt, name a --cert-dir, or use --tls-verify=false`,
  },
  {
    name: "a registry without TLS",
    commands: ALL,
    image: () => `localhost:${plain.port}/team/app:1`,
    text: `Error: DOING PLACE: the TLS handshake failed
Hint: if HOST speaks plain HTTP, use --tls-verify=false or set insecure = true for it in registries.conf; if it wants a client certificate, put it into certs.d or --cert-dir`,
  },
  {
    name: "a policy that refuses",
    commands: ["pull", "copy", "inspect"],
    image: () => `${plain.host}/team/app:1`,
    flags: () => ["--signature-policy", line.path("policy.json")],
    text: `Error: Cannot read PLACE:1: the policy SCRATCH/policy.json rejects it by default
Hint: change the policy, or take the image from a place that it trusts`,
  },
  {
    name: "a registry that is blocked",
    commands: ALL,
    image: () => "blocked.example/team/app:1",
    text: `Error: PLACETAG is blocked: registries.conf forbids HOST
Hint: take another registry, or remove "blocked = true" from the entry of HOST`,
  },
];

const ACTION: Record<string, string> = { push: "push to", delete: "delete from" };

/** What the registry says of the same depends on what it is asked. */
function wordsOf(command: string): Record<string, string> {
  const isList = command === "list-tags";
  return {
    PLACETAG: isList ? "PLACE" : "PLACE:1",
    DOING: DOING[command]!,
    ACTION: ACTION[command] ?? "pull from",
    // A HEAD request is answered without a text.
    SAID: command === "push" ? "unauthorized" : "UNAUTHORIZED: authentication required",
    UNKNOWN: isList
      ? "NAME_UNKNOWN: repository name not known to registry"
      : "MANIFEST_UNKNOWN: manifest unknown",
    THERE: isList
      ? "there is no repository REPOSITORY on HOST"
      : "cooper image list-tags PLACE tells what is there",
  };
}

for (const { name, commands, image, flags, text } of cases) {
  test.each(commands)(`${name}: %s`, async (command) => {
    const full = image();
    const [verb, ...rest] = COMMANDS[command]!(full);
    const at = verb === "image" ? [verb, rest.shift()!] : [verb!];
    const { status, stdout, stderr } = await line.run([...at, ...(flags?.() ?? []), ...rest]);
    const slash = full.indexOf("/");
    const [host, path] = [full.slice(0, slash), full.slice(slash + 1).replace(/:[^:/]*$/, "")];
    const said = stderr
      .replaceAll(/sha256:[0-9a-f]{64}/g, "BLOB")
      .replaceAll(line.path("policy.json"), "SCRATCH/policy.json")
      .replaceAll(host, "HOST");
    let expected = text;
    for (const [word, words] of Object.entries(wordsOf(command))) expected = expected.replaceAll(word, words);
    expected = expected
      .replaceAll("PLACE", `docker://HOST/${path}`)
      .replaceAll("REPOSITORY", path)
      .replaceAll("TAG", /:([^:/]*)$/.exec(full)![1]!);
    expect([status, stdout, said]).toEqual([125, "", expected]);
  });
}
