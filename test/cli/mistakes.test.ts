// Protects what people read after common mistakes: each message says what failed and why, and what to do about it.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { busyboxBase } from "../support/bases.ts";
import { CommandLine } from "../support/command-line.ts";

setDefaultTimeout(60_000);

const command = new CommandLine("mistakes");
let container = "";

beforeAll(async () => {
  await command.ok("import", busyboxBase(), "localhost/busybox");
  container = await command.ok("from", "localhost/busybox");
  command.file("context/near.txt", "");
  command.file("context/ignored.txt", "");
  command.file("context/.dockerignore", "ignored.txt");
  command.file("empty/file", "");
  command.file("text", "no archive");
});
afterAll(() => command[Symbol.dispose]());

/** What standard error ends with; DIR is the test's directory, CONTAINER the container's name. */
async function complaint(...argv: string[]): Promise<string> {
  const named = argv.map((word) => word.replace("DIR", command.path(".")).replace("CONTAINER", container));
  const { status, stderr } = await command.run(named);
  expect(status).toBe(125);
  return stderr
    .slice(stderr.indexOf("Error: "))
    .replaceAll(command.path("."), "DIR")
    .replaceAll(container, "CONTAINER");
}

const LIST_IMAGES = "Hint: cooper images lists what is there";
const LIST_CONTAINERS = "Hint: cooper containers lists what is there";
const LIST_BOTH = "Hint: cooper containers and cooper images list what is there";

describe("of commands and flags", () => {
  test.each<[argv: string, ...lines: string[]]>([
    ["bid", 'Unknown command "bid"', "Hint: did you mean bud?"],
    ["image foo", 'Unknown command "image foo"', "Hint: cooper image --help lists the commands"],
    ["bud --reprot x", "Unknown flag: --reprot", "Hint: did you mean --report?"],
    ["--root", "Flag needs an argument: --root"],
    [
      "--log-level loud images",
      'Unknown log level "loud"',
      "Hint: one of trace, debug, info, warn, error, fatal, panic",
    ],
    [
      "login REGISTRY -u ann",
      "No flag (-u) can be given after the first argument",
      "Hint: put flags before the arguments, or `--` before an argument that begins with a dash",
    ],
    ["tag localhost/busybox", "tag needs at least 2 arguments, got 1", "Hint: usage: cooper tag IMAGE NAME…"],
    ["run CONTAINER", "A command must be given", "Hint: cooper run CONTAINER -- COMMAND"],
    [
      "bud --progress bars DIR",
      'Unknown kind of progress "bars"',
      "Hint: use auto, plain, tty, quiet, rawjson",
    ],
    ["bud --platform arm DIR", 'Cannot read the platform "arm"', "Hint: write it as linux/arm64"],
    [
      "prune --keep-storage much",
      'Invalid size "much" for --keep-storage',
      "Hint: write it as a number with b, k, m or g",
    ],
    [
      "images --format {{.Name",
      "Cannot use the template: an action is not closed with }}",
      "Hint: templates are Go's: https://pkg.go.dev/text/template",
    ],
    ["config --port abc CONTAINER", 'Port "abc" cannot be exposed: it is not port[-port][/protocol]'],
  ])("%s", async (argv, ...lines) => {
    expect(await complaint(...argv.split(" "))).toBe(`Error: ${lines.join("\n")}`);
  });
});

describe("of names and files", () => {
  test.each<[argv: string, ...lines: string[]]>([
    ["from localhost/none", "localhost/none: no such image in the store", LIST_IMAGES],
    ["rm none", "none: no such container", LIST_CONTAINERS],
    ["inspect none", 'There is no container or image "none"', LIST_BOTH],
    ["diff none", 'There is no container or image "none"', LIST_BOTH],
    [
      "manifest add none x",
      "none: no such list of images in the store",
      "Hint: make one with: cooper manifest create",
    ],
    [
      "commit CONTAINER Upper",
      '"Upper" is not an image name: "Upper" has upper-case letters',
      "Hint: repository names are lower-case: upper",
    ],
    [
      "pull docker-archive:DIR/none.tar",
      "Cannot open docker-archive:DIR/none.tar: DIR/none.tar does not exist",
    ],
    ["import DIR/none x", "Cannot import DIR/none: there is no such file"],
    ["import DIR/text x", "Cannot import DIR/text: Archive ends too early, in its first header"],
    [
      "copy CONTAINER DIR/txet /",
      "Cannot copy DIR/txet: not found in the host",
      "Hint: did you mean DIR/text?",
    ],
    [
      "push localhost/busybox 127.0.0.1:9/x",
      expect.stringMatching(
        /^Cannot send blob sha256:\w+ to docker:\/\/127.0.0.1:9\/x: the connection was refused/,
      ) as unknown as string,
    ],
    ["bud DIR/none", "The build context DIR/none does not exist"],
    ["bud DIR/empty", "There is no Containerfile or Dockerfile in DIR/empty", "Hint: name it with -f"],
    ["bud -f DIR/none DIR/empty", "There is no Dockerfile DIR/none"],
  ])("%s", async (argv, ...lines) => {
    const found = await complaint(...argv.split(" "));
    if (typeof lines[0] === "string") expect(found).toBe(`Error: ${lines.join("\n")}`);
    else expect(found.replace("Error: ", "")).toEqual(lines[0]!);
  });
});

describe("in Dockerfiles", () => {
  const BASE = "FROM localhost/busybox";
  test.each<[dockerfile: string, line: number, message: string, hint: string | undefined]>([
    [`${BASE}\nRNU echo`, 2, 'Unknown instruction "RNU"', "did you mean RUN?"],
    ["RUN echo", 1, "RUN stands before the first FROM", "only ARG may come before FROM"],
    [`${BASE}\nENV A`, 2, 'ENV must have two arguments: "A" has no value', "write ENV A=value"],
    [
      `${BASE}\nRUN <<EOF\necho`,
      2,
      "The here-document <<EOF has no end",
      "a line with nothing but EOF ends it",
    ],
    [
      `${BASE}\nHEALTHCHECK --intervall=3s CMD x`,
      2,
      "Unknown flag --intervall of HEALTHCHECK",
      "did you mean --interval?",
    ],
    [`${BASE}\nEXPOSE 99999999`, 2, 'Invalid port "99999999": ports go up to 65535', undefined],
    [
      `${BASE}\nCOPY naer.txt /`,
      2,
      "Cannot copy naer.txt: not found in the build context",
      "did you mean near.txt?",
    ],
    [
      `${BASE}\nCOPY ignored.txt /`,
      2,
      "Cannot copy ignored.txt: not found in the build context",
      "it exists, but DIR/context/.dockerignore excludes it",
    ],
    [
      `${BASE}\nADD http://127.0.0.1:9/x /`,
      2,
      "Cannot download http://127.0.0.1:9/x: the connection was refused",
      "check the address and the network",
    ],
    [
      `${BASE} AS build\n${BASE}\nCOPY --from=127.0.0.1:9/x /a /b`,
      3,
      "Cannot read manifest latest of docker://127.0.0.1:9/x: the connection was refused",
      "is a registry running there? check the name 127.0.0.1:9 and the network",
    ],
    [
      `${BASE} AS build\n${BASE}\nCOPY --from=localhost/none /a /b`,
      3,
      "localhost/none: no such image in the store",
      "cooper images lists what is there",
    ],
    [
      `${BASE}\nRUN --mount=type=secret,id=key,required=true true`,
      2,
      'There is no secret "key"',
      "give it with --secret id=key,src=FILE",
    ],
    [
      `${BASE}\nUSER nobodyhere\nRUN id`,
      3,
      'The container has no user "nobodyhere" in /etc/passwd',
      "create it in an earlier step, or give its number",
    ],
  ])("%j", async (dockerfile, line, message, hint) => {
    const file = command.file("Dockerfile", `${dockerfile}\n`);
    const lines = (await complaint("bud", "-f", file, "DIR/context")).split("\n");
    expect(lines[0]).toBe(`Error: ${message}`);
    expect(lines[1]).toBe(`  DIR/Dockerfile:${line}`);
    expect(lines.some((one) => one.startsWith(`  > ${line} | ${dockerfile.split("\n")[line - 1]}`))).toBe(
      true,
    );
    expect(lines.at(-1)?.startsWith("Hint: ") ? lines.at(-1) : undefined).toBe(hint && `Hint: ${hint}`);
  });

  test.each([
    ["FROM buidl", 2],
    [`${BASE}\nCOPY --from=buidl /a /b`, 3],
    [`${BASE}\nRUN --mount=from=buidl,target=/x ls /x`, 3],
  ])("a misspelt stage: %j", async (dockerfile, line) => {
    // So that nobody is asked on a network.
    command.file("registries.conf", 'unqualified-search-registries = ["127.0.0.1:9"]\n');
    const file = command.file("Dockerfile", `${BASE} AS build\n${dockerfile}\n`);
    const found = await complaint("bud", "-f", file, "DIR/context");
    expect(found).toContain(`DIR/Dockerfile:${line}\n`);
    expect(found).toEndWith("Hint: did you mean the stage build?");
  });
});

describe("in a RUN", () => {
  test.each([
    ["false", 1, "failed: exit status 1", undefined],
    ["true && \\\n      false", 1, '"true && false" failed: exit status 1', undefined],
    [
      '["/bin/sh" "-c"]',
      127,
      "failed: exit status 127",
      "Hint: it is no JSON, so the shell got it: write strings in double quotes, with commas between them",
    ],
    [
      "sh -c 'kill -9 $$'; exit $?",
      137,
      "failed: exit status 137",
      "Hint: it was killed (SIGKILL), as the kernel does when memory runs out",
    ],
  ])("%j", async (words, status, message, hint) => {
    const file = command.file("Dockerfile", `FROM localhost/busybox\nRUN ${words}\n`);
    const found = await command.run(["bud", "-f", file, command.path("context")]);
    expect(found.status).toBe(status);
    expect(/^Error: .*$/m.exec(found.stderr)?.[0]).toEndWith(message);
    expect(found.stderr).toMatch(/^Log: .*\.log$/m);
    expect(/^Hint: .*$/m.exec(found.stderr)?.[0]).toBe(hint);
  });
});
