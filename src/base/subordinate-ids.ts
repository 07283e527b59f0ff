/** Ranges of ids that a user may map: /etc/subuid and /etc/subgid (subuid(5)). */
import { readFileSync } from "node:fs";

export interface IdRange {
  /** First id outside. */
  first: number;
  count: number;
}

const FULL_ID = 2 ** 32 - 1;

/** The ranges that a file gives a user, by login name or number; none where there is no file. Malformed lines give none. */
export function subordinateRanges(file: string, user: { uid?: number; name: string }): IdRange[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const match = /^([^:#]+):(\d+):(\d+)\s*$/.exec(line.trim());
    if (match === null || (match[1] !== user.name && match[1] !== String(user.uid))) return [];
    const range = { first: Number(match[2]), count: Number(match[3]) };
    return range.count > 0 && range.first + range.count <= FULL_ID ? [range] : [];
  });
}

/** Login name of a user; Bun's userInfo() takes $USER's word for it. The number, as text, where there is no name. */
export function loginName(uid: number, passwd = "/etc/passwd"): string {
  try {
    for (const line of readFileSync(passwd, "utf8").split("\n")) {
      const [name, , id] = line.split(":");
      if (id === String(uid) && name !== undefined) return name;
    }
  } catch {
    // An image without users.
  }
  try {
    // Directory services answer to id(1).
    const { exitCode, stdout } = Bun.spawnSync(["id", "-un", String(uid)], { stderr: "ignore" });
    if (exitCode === 0) return stdout.toString().trim();
  } catch {
    // No id(1).
  }
  return String(uid);
}
