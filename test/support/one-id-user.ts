/** A user of this machine without a range of subordinate ids, for as long as a test runs. Needs root. */
import { spawnSync } from "node:child_process";
import type { Person } from "./as-users.ts";

let count = 0;

export class OneIdUser implements Disposable {
  readonly person: Person;

  constructor() {
    const name = `cooper-one-${process.pid}-${count++}`;
    const made = spawnSync("useradd", ["--no-create-home", "--shell", "/bin/sh", name], { encoding: "utf8" });
    if (made.status !== 0) throw new Error(made.stderr);
    // useradd gives it one.
    for (const file of ["subuid", "subgid"]) spawnSync("sed", ["-i", `/^${name}:/d`, `/etc/${file}`]);
    const id = (flag: string) => Number(spawnSync("id", [flag, name], { encoding: "utf8" }).stdout);
    this.person = { kind: "user", name, uid: id("-u"), gid: id("-g") };
  }

  [Symbol.dispose](): void {
    spawnSync("userdel", [this.person.name]);
  }
}
