// Protects who commands run as and who owns copies: names and numbers as Docker reads them, from the container's files only.
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lookupOwner, lookupUser } from "../../src/container/user.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin

www:x:33:34:web:/var/www:/bin/false
user:x:1000:100::/home/user:/bin/sh
4000:x:5:6:a number for a name:/number:/bin/sh
homeless:x:77:77
noid:x::
words:x:abc:def:::
negative:x:-5:-5:::
huge:x:99999999999:1:::
halves:x:1.5:2.5:::
twice:x:50:51::/first:
twice:x:60:61::/second:
+::::::
`;
const GROUP = `root:x:0:
daemon:x:1:user
www:x:34:
users:x:100:root
docker:x:999:user,www,
extra:x:1001:user
broken:x:oops:user
short
`;

const root = mkdtempSync(join(tmpdir(), "cooper-user-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(join(root, "etc"), { recursive: true, force: true });
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/passwd"), PASSWD);
  writeFileSync(join(root, "etc/group"), GROUP);
});

function code(action: () => unknown): string {
  try {
    return JSON.stringify(action());
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("USER", () => {
  test.each([
    // text, uid, gid, groups, home
    ["", 0, 0, [0, 100], "/root"],
    ["root", 0, 0, [0, 100], "/root"],
    ["0", 0, 0, [0, 100], "/root"],
    ["www", 33, 34, [34, 999], "/var/www"],
    ["33", 33, 34, [34, 999], "/var/www"],
    ["user", 1000, 100, [100, 1, 999, 1001], "/home/user"],
    ["1000:5", 1000, 5, [5], "/home/user"],
    ["user:docker", 1000, 999, [999], "/home/user"],
    ["user:0", 1000, 0, [0], "/home/user"],
    ["user:", 1000, 100, [100, 1, 999, 1001], "/home/user"],
    [":docker", 0, 999, [999], "/root"],
    ["1234", 1234, 0, [0], "/"],
    ["1234:4321", 1234, 4321, [4321], "/"],
    ["1234:users", 1234, 100, [100], "/"],
    ["007", 7, 0, [0], "/"],
    ["4294967294", 4294967294, 0, [0], "/"],
    ["homeless", 77, 77, [77], "/"],
    ["twice", 50, 51, [51], "/first"],
    // A number is a number, even where somebody is called so.
    ["4000", 4000, 0, [0], "/"],
  ] as [string, number, number, number[], string][])("%p", (text, uid, gid, groups, home) => {
    expect(lookupUser(root, text)).toEqual({ uid, gid, additionalGids: groups, home });
  });

  test.each([
    ["nobody", "not-found"],
    ["user:nogroup", "not-found"],
    ["ROOT", "not-found"],
    [" root", "not-found"],
    ["-1", "not-found"],
    ["0x10", "not-found"],
    ["1e3", "not-found"],
    ["4294967295", "invalid"],
    ["99999999999999999999", "invalid"],
    ["0:4294967295", "invalid"],
    // Lines without an id say nothing of anybody: not that they are root.
    ["noid", "not-found"],
    ["words", "not-found"],
    ["negative", "not-found"],
    ["huge", "not-found"],
    ["halves", "not-found"],
    ["+", "not-found"],
    ["root:broken", "not-found"],
    ["root:short", "not-found"],
  ])("%p is refused: %s", (text, wanted) => {
    expect(code(() => lookupUser(root, text))).toBe(wanted);
  });

  test.each(["passwd", "group", "both"])("without %s numbers still work", (missing) => {
    for (const file of missing === "both" ? ["passwd", "group"] : [missing]) rmSync(join(root, "etc", file));
    expect(lookupUser(root, "12:34")).toEqual({ uid: 12, gid: 34, additionalGids: [34], home: "/" });
    expect(code(() => lookupUser(root, "12:www"))).toBe(
      missing === "passwd" ? '{"uid":12,"gid":34,"additionalGids":[34],"home":"/"}' : "not-found",
    );
    expect(lookupUser(root, "")).toMatchObject({ uid: 0, gid: 0 });
  });

  test("the host's files are out of reach", () => {
    rmSync(join(root, "etc"), { recursive: true });
    symlinkSync("/etc", join(root, "etc"));
    expect(code(() => lookupUser(root, "daemon"))).toBe("not-found");
    rmSync(join(root, "etc"));
    mkdirSync(join(root, "etc"));
    symlinkSync("../../../../../../../../etc/passwd", join(root, "etc/passwd"));
    expect(code(() => lookupUser(root, "daemon"))).toBe("not-found");
    symlinkSync("/elsewhere/group", join(root, "etc/group"));
    mkdirSync(join(root, "elsewhere"), { recursive: true });
    writeFileSync(join(root, "elsewhere/group"), "linked:x:4242:\n");
    expect(lookupUser(root, "5:linked").gid).toBe(4242);
  });

  test("files that are no databases count as none", () => {
    rmSync(join(root, "etc/passwd"));
    mkdirSync(join(root, "etc/passwd"));
    expect(lookupUser(root, "0")).toMatchObject({ uid: 0 });
    writeFileSync(join(root, "etc/group"), "\0".repeat(100_000));
    expect(code(() => lookupUser(root, "0:www"))).toBe("not-found");
  });
});

describe("--chown", () => {
  test.each([
    ["www", 33, 34],
    ["user", 1000, 100],
    ["user:www", 1000, 34],
    ["user:7", 1000, 7],
    // BuildKit: a bare number is the group as well, whatever /etc/passwd says of it.
    ["33", 33, 33],
    ["1234", 1234, 1234],
    ["33:44", 33, 44],
    ["33:docker", 33, 999],
    ["0", 0, 0],
  ] as [string, number, number][])("%p", (text, uid, gid) => {
    expect(lookupOwner(root, text)).toEqual({ uid, gid });
  });

  test("an unknown name is refused", () => {
    expect(code(() => lookupOwner(root, "nobody"))).toBe("not-found");
    expect(code(() => lookupOwner(root, "root:nobody"))).toBe("not-found");
  });
});
