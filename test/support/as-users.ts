/** Who the end-to-end tests run as: root, and an unprivileged user with a range of subordinate ids. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";

export interface Person {
  /** For test titles. */
  kind: "root" | "user";
  name: string;
  uid: number;
  gid: number;
}

/**
 * The table for `describe.each(people)("as $kind", (person) => …)`. Where the tests themselves run unprivileged, only
 * the user is in it: nobody else can be become.
 */
export const people: Person[] = process.getuid?.() === 0 ? [root(), testUser()] : [runner()];

/** The entry for root alone, empty where the tests are unprivileged. */
export const rootOnly: Person[] = people.filter((person) => person.kind === "root");

function root(): Person {
  return { kind: "root", name: "root", uid: 0, gid: 0 };
}

function runner(): Person {
  const { username, uid, gid } = userInfo();
  return { kind: "user", name: username, uid, gid };
}

/** The user that scripts/setup --test makes; COOPER_TEST_USER names another one. */
function testUser(): Person {
  const name = process.env.COOPER_TEST_USER ?? "cooper-test";
  const entry = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .find(([user]) => user === name);
  if (entry === undefined) throw new Error(`There is no user ${name}; run scripts/setup --test`);
  return { kind: "user", name, uid: Number(entry[2]), gid: Number(entry[3]) };
}

/** What to put before a command line so that it runs as this person; nothing when the tests do already. */
export function becoming(person: Person): string[] {
  if (person.uid === process.getuid?.()) return [];
  return ["setpriv", `--reuid=${person.uid}`, `--regid=${person.gid}`, "--init-groups", "--"];
}

/** Whether the person may read a path (and so every directory above it). */
export function mayRead(person: Person, path: string): boolean {
  const [program = "", ...args] = [...becoming(person), "test", "-r", path];
  return spawnSync(program, args).status === 0;
}
